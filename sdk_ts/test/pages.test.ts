/** The pages on TypeScript: the blocks of each are one program, which compiles, and does what the page says. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { GetEvents, Steplane } from "../src/index.js";
import { compile, SDK } from "./command.js";
import { onServer, outputOf } from "./house.js";
import { PROJECT } from "./server.js";

const PAGES = { readme: join(SDK, "README.md"), guide: join(PROJECT, "docs", "guides", "typescript.md") };

const folder = mkdtempSync(join(tmpdir(), "steplane-pages-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Compile all pages: the path of each program, by its page. */
function compiled(): Record<keyof typeof PAGES, string> {
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(SDK, join(folder, "node_modules", "steplane"));
  symlinkSync(join(SDK, "node_modules", "@types"), join(folder, "node_modules", "@types"));
  for (const [name, path] of Object.entries(PAGES)) {
    const blocks = readFileSync(path, "utf8").matchAll(/^```ts\n(.*?)^```$/gms);
    writeFileSync(join(folder, `${name}.mts`), Array.from(blocks, ([, text]) => text).join("\n"));
  }
  compile(folder, ...Object.keys(PAGES).map((name) => `${name}.mts`));
  return { readme: join(folder, "readme.mjs"), guide: join(folder, "guide.mjs") };
}

interface Events {
  "shop/order.created": { id: string; amount: number };
  "shop/prices.wanted": { shops: string[] };
  "shop/approval.wanted": { id: string };
  "shop/approval.given": { id: string; by: string };
}

onServer("the pages' programs do what they say", [], async (house) => {
  const pages = compiled();
  const client = house.app<Events>();
  const sent = async (event: GetEvents<Steplane<Events>>[keyof Events]): Promise<string> =>
    (await client.send(event))[0] ?? "";

  const readme = house.program(pages.readme);
  await readme.heard("connected to Steplane");
  const order = { name: "shop/order.created", data: { id: "A7", amount: 12 } } as const;
  const { id } = await house.parked(await sent(order));
  assert.deepEqual([...(await house.journal(id)).keys()], ["charge#0", "let-it-settle#0"]);
  assert.equal(await readme.ended("SIGTERM"), 0);

  const guide = house.program(pages.guide);
  await guide.heard("connected to Steplane");
  const paid = await sent(order);
  assert.equal(outputOf(await house.ended(paid, "fulfil")), "charged 12");
  assert.equal((await house.lineage(paid)).events[1]?.event?.name, "shop/order.paid");
  const dear = await sent({ ...order, data: { id: "A8", amount: 101 } });
  assert.equal(outputOf(await house.ended(dear, "checkout")), "sorry: the card was declined");
  const wanted = await sent({ name: "shop/prices.wanted", data: { shops: ["corner", "hut"] } });
  assert.deepEqual(outputOf(await house.ended(wanted, "compare")), { shop: "hut", price: 3 });
  assert.deepEqual(outputOf(await house.ended(wanted, "order-twice")), ["charged 1", "charged 2"]);
  const approval = await sent({ name: "shop/approval.wanted", data: { id: "A7" } });
  await house.parked(approval);
  await client.send({ name: "shop/approval.given", data: { id: "A7", by: "grace" } });
  assert.equal(outputOf(await house.ended(approval)), "grace");
  assert.equal(await guide.ended("SIGTERM"), 0);
});
