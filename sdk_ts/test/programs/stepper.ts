/** A worker of one function with three steps, which says on its standard output where it is. The argument is what it does there. */

import { setTimeout as pause } from "node:timers/promises";
import { Steplane } from "../../src/index.js";

const [how = ""] = process.argv.slice(2);
const app = new Steplane({ id: "shop" });

app.createFunction({ id: "steps", triggers: { event: "steps/start" }, retries: 0 }, async ({ step }) => {
  const first = await step.run("first", () => said("first"));
  const second = await step.run("second", async () => {
    said("second");
    if (how === "hang") await pause(3_600_000);
    if (how === "slow") await pause(300);
    if (how === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    return process.pid;
  });
  const third = await step.run("third", () => said("third"));
  return [first, second, third];
});

await app.serve({ drainTimeout: "5s" });
said("ended");

function said(word: string): number {
  process.stdout.write(`${word}\n`);
  return process.pid;
}
