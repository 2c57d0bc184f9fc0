/** A worker of one function with three steps, which says on its standard output where it is. The argument is what it does there. */

import { setTimeout as pause } from "node:timers/promises";
import { Steplane } from "../../src/index.js";

const [how = ""] = process.argv.slice(2);
const logger = { debug: hear, info: hear, warn: hear, error: hear };
const app = new Steplane({ id: "shop", namespace: process.env["NAMESPACE"], logger });

app.createFunction({ id: "steps", triggers: { event: "steps/start" }, retries: 0 }, async ({ step }) => {
  const first = await step.run("first", () => said("first"));
  const second = await step.run("second", async () => {
    said("second");
    if (how === "hang" || how === "stuck") await pause(3_600_000);
    if (how === "slow") await pause(300);
    if (how === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
    return process.pid;
  });
  const third = await step.run("third", () => said("third"));
  return [first, second, third];
});

// Whoever started this program ended: so does it.
process.stdin.on("end", () => process.exit(1)).resume();
const worker = app.createWorker({ drainTimeout: how === "stuck" ? 200 : "1h" });
void worker.connected().then(() => said("ready"));
await worker.run();
process.stdin.destroy();
said("ended");

function hear(message: string): void {
  if (message.startsWith("draining")) said("draining");
}

function said(word: string): number {
  process.stdout.write(`${word}\n`);
  return process.pid;
}
