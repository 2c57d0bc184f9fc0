/** The TypeScript worker that is measured: `worker.mjs ADDRESS SLOTS`. */

import { Steplane } from "../sdk_ts/dist/src/index.js";

const client = new Steplane({ id: "bench", address: process.argv[2] });

client.createFunction({ id: "two-steps", triggers: { event: "bench/two" } }, async ({ event, step }) => {
  const number = event.data.i;
  const first = await step.run("first", () => ({ a: number }));
  const second = await step.run("second", () => ({ b: number + 1 }));
  return { ...first, ...second };
});

await client.serve({ slots: Number(process.argv[3]) });
