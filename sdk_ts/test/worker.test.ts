/** Workers as processes: they are killed, told to stop, kept busy, and lose their server. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { RegistrationError, type Steplane } from "../src/index.js";
import { RunState } from "../src/gen/steplane/v1/run_pb.js";
import { ended, House, outputOf, program, signpost } from "./house.js";

const BUSY = ["--heartbeat-interval", "100ms", "--session-timeout", "500ms"];

test("a worker that is killed loses no step: the next one goes on where it was", async (context) => {
  const house = await House.open(context, ["--session-grace", "100ms"]);
  const first = program(context, house, "stepper", "hang");
  const id = await start(house.app());
  await heard(first, "second");
  await ended(first, "SIGKILL");
  const second = program(context, house, "stepper", "go");
  const run = await house.runOf(id);
  assert.deepEqual(outputOf(run), [first.pid, second.pid, second.pid]);
  assert.equal(run.epoch, 2);
});

test("at SIGTERM what runs is ended and reported, nothing more is taken, and the process ends well", async (context) => {
  const house = await House.open(context);
  const worker = program(context, house, "stepper", "slow");
  const app = house.app();
  const id = await start(app);
  await heard(worker, "second");
  worker.kill("SIGTERM");
  assert.equal(await ended(worker), 0);
  const run = await house.runOf(id);
  assert.deepEqual([run.state, run.epoch], [RunState.COMPLETED, 1]);
  const [later] = await house.runsOf(await start(app));
  assert.equal(later?.state, RunState.QUEUED);
});

test("at a second signal nothing is waited for, and no failure is reported", async (context) => {
  const house = await House.open(context, ["--session-grace", "1h"]);
  const worker = program(context, house, "stepper", "hang");
  const id = await start(house.app());
  await heard(worker, "second");
  worker.kill("SIGTERM");
  worker.kill("SIGINT");
  assert.equal(await ended(worker), 130);
  program(context, house, "stepper", "go");
  assert.equal((await house.runOf(id)).state, RunState.COMPLETED);
});

test("code that keeps its thread busy stops no heartbeat", async (context) => {
  const house = await House.open(context, BUSY);
  program(context, house, "stepper", "block");
  const run = await house.runOf(await start(house.app()));
  assert.deepEqual([run.state, run.epoch], [RunState.COMPLETED, 1]);
});

test("a server that restarts loses nothing of what a worker holds", async (context) => {
  const house = await House.open(context, ["--session-grace", "20s"]);
  const app = house.app();
  const [begun, goOn] = [signpost(), signpost()];
  let count = 0;
  app.createFunction({ id: "steps", triggers: { event: "steps/start" } }, async ({ step }) => {
    const first = await step.run("first", async () => {
      begun.reach();
      await goOn.reached;
      return (count += 1);
    });
    return step.run("second", () => first + 1);
  });
  const { worker } = await house.worker(app);
  const id = await start(app);
  await begun.reached;
  await house.stop("SIGKILL");
  goOn.reach(); // what is reported now waits for the next server
  await house.start();
  await worker.connected();
  const run = await house.runOf(id);
  assert.deepEqual([outputOf(run), run.epoch, count], [2, 1, 1]);
});

test("a worker may begin before its server", async (context) => {
  const house = await House.open(context);
  await house.stop();
  const worker = program(context, house, "stepper", "go");
  await house.start();
  const run = await house.runOf(await start(house.app()));
  assert.deepEqual(outputOf(run), [worker.pid, worker.pid, worker.pid]);
});

test("a definition that the server refuses ends the worker, and says what is wrong", async (context) => {
  const house = await House.open(context);
  const app = house.app();
  app.createFunction({ id: "bad", triggers: { cron: "61 * * * *" } }, () => null);
  await assert.rejects(app.createWorker().run(), (error: unknown) => {
    assert(error instanceof RegistrationError);
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.match(error.message, /function 'bad'.*\n {2}definition\.triggers\[0\]/);
    return true;
  });
});

test("a worker runs once", async (context) => {
  const house = await House.open(context);
  const app = house.app();
  app.createFunction({ id: "any", triggers: { event: "any/start" } }, () => null);
  const { worker } = await house.worker(app);
  await assert.rejects(worker.run(), /a worker runs once/);
});

test("a large journal comes in parts, and is replayed whole", async (context) => {
  const house = await House.open(context, ["--frame-bytes-max", "256KiB"]);
  const app = house.app();
  const bodies: number[] = [];
  app.createFunction({ id: "large", triggers: { event: "steps/start" } }, async ({ step }) => {
    let size = 0;
    for (let number = 0; number < 12; number += 1) {
      const text = await step.run("part", () => (bodies.push(number), "x".repeat(100_000)));
      size += text.length;
    }
    await step.sleep("nap", 10);
    return size;
  });
  await house.worker(app);
  assert.equal(outputOf(await house.runOf(await start(app))), 1_200_000);
  assert.equal(bodies.length, 12);
});

/** Send the event that starts the steps: its id. */
async function start(app: Steplane): Promise<string> {
  const [id = ""] = await app.send({ name: "steps/start" });
  return id;
}

/** Wait until a program says a word. */
async function heard(child: ChildProcess, word: string): Promise<void> {
  if (child.stdout === null) throw new Error("nobody listens");
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) if (line === word) return;
  throw new Error(`the program ended without saying ${word}`);
}
