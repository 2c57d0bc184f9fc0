/**
 * The TypeScript app of a trip: makes an offer for each thing that is wanted, and asks the Go app for the price of the hotel.
 *
 * `offers FOLDER`: a step notes in the folder's file `notes` that its code begins. While there is a file `hold-offers`, the
 * last step of the hotel's offer never ends: whoever made that file kills this process there.
 */

import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { Steplane } from "steplane";

type Events = {
  "travel/offer.wanted": { kind: string; nights: number };
};

const folder = process.argv[2]!;
const client = new Steplane<Events>({ id: "offers" });

function note(step: string): void {
  appendFileSync(join(folder, "notes"), `${step}\n`);
}

client.createFunction(
  { id: "book-hotel", triggers: { event: "travel/offer.wanted", if: "event.data.kind == 'hotel'" } },
  async ({ event, step }) => {
    const room = await step.run("find", () => {
      note("book-hotel/find");
      return { room: 12, nights: event.data.nights };
    });
    const price = await step.invoke<{ total: number }>("price", { function: "pricing/price", data: room });
    return step.run("confirm", async () => {
      note("book-hotel/confirm");
      if (existsSync(join(folder, "hold-offers"))) await new Promise(() => {});
      return `room ${room.room} for ${price.total}`;
    });
  },
);

client.createFunction(
  { id: "book-other", triggers: { event: "travel/offer.wanted", if: "event.data.kind != 'hotel'" } },
  async ({ event, step }) => {
    const { kind } = event.data;
    const [found, checked] = await Promise.all([
      step.run("find", () => {
        note(`book-other/find ${kind}`);
        return kind.toUpperCase();
      }),
      step.run("check", () => {
        note(`book-other/check ${kind}`);
        return true;
      }),
    ]);
    return { found, checked };
  },
);

await client.serve();
