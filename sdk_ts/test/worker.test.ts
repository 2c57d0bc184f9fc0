/** Workers as processes: they are killed, told to stop, kept busy, and lose their server. */

import assert from "node:assert/strict";
import { RegistrationError, type Steplane } from "../src/index.js";
import { RunState } from "../src/gen/steplane/v1/run_pb.js";
import { inHouse, onServer, outputOf, signpost, withoutServer } from "./house.js";

inHouse("a worker that is killed loses no step: the next one goes on where it was", async (house) => {
  const first = house.program("stepper", "hang");
  await first.heard("ready");
  const id = await start(house.app());
  await first.heard("second");
  await first.ended("SIGKILL");
  const second = house.program("stepper");
  const run = await house.ended(id);
  assert.deepEqual(outputOf(run), [first.pid, second.pid, second.pid]);
  assert.equal(run.epoch, 2);
});

inHouse("at SIGTERM what runs is ended, nothing more is taken, and the process ends well", async (house) => {
  const worker = house.program("stepper", "slow");
  await worker.heard("ready");
  const app = house.app();
  const id = await start(app);
  await worker.heard("second");
  assert.equal(await worker.ended("SIGTERM"), 0);
  assert(worker.hasSaid("ended"));
  const run = await house.ended(id);
  assert.deepEqual([run.state, run.epoch], [RunState.COMPLETED, 1]);
  assert.equal((await house.started(await start(app))).state, RunState.QUEUED);
});

const LONG_GRACE = ["--session-grace", "1h"];

onServer("at a second signal nothing is waited for, and no failure is reported", LONG_GRACE, async (house) => {
  const worker = house.program("stepper", "hang");
  await worker.heard("ready");
  const id = await start(house.app());
  await worker.heard("second");
  worker.kill("SIGTERM");
  await worker.heard("draining");
  assert.equal(await worker.ended("SIGINT"), 130);
  assert(!worker.hasSaid("ended"));
  house.program("stepper");
  const { state, attempt } = await house.ended(id);
  assert.deepEqual([state, attempt], [RunState.COMPLETED, 0]);
});

onServer("code that never ends is handed back after the drain's time-out", LONG_GRACE, async (house) => {
  const worker = house.program("stepper", "stuck");
  await worker.heard("ready");
  const id = await start(house.app());
  await worker.heard("second");
  assert.equal(await worker.ended("SIGTERM"), 0);
  assert(worker.hasSaid("ended"));
  house.program("stepper");
  const { state, attempt } = await house.ended(id);
  assert.deepEqual([state, attempt], [RunState.COMPLETED, 0]);
});

const IMPATIENT = ["--heartbeat-interval", "100ms", "--session-timeout", "1500ms", "--session-grace", "100ms"];

onServer("code that keeps its thread busy stops no heartbeat", IMPATIENT, async (house) => {
  const worker = house.program("stepper", "block");
  await worker.heard("ready");
  const run = await house.ended(await start(house.app()));
  assert.deepEqual([run.state, run.epoch], [RunState.COMPLETED, 1]);
});

onServer("a server that restarts loses nothing of what a worker holds", LONG_GRACE, async (house, server) => {
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
  await server.stop("SIGKILL");
  goOn.reach(); // what is reported now waits for the next server
  await server.start();
  await worker.connected();
  const run = await house.ended(id);
  assert.deepEqual([outputOf(run), run.epoch, count], [2, 1, 1]);
});

withoutServer("a worker may begin before its server", async (house, server) => {
  const worker = house.program("stepper");
  await server.start();
  await worker.heard("ready");
  const run = await house.ended(await start(house.app()));
  assert.deepEqual(outputOf(run), [worker.pid, worker.pid, worker.pid]);
});

inHouse("a definition that the server refuses ends the worker, and says what is wrong", async (house) => {
  const app = house.app();
  app.createFunction({ id: "bad", triggers: { cron: "61 * * * *" } }, () => null);
  await assert.rejects(app.createWorker().run(), (error: unknown) => {
    assert(error instanceof RegistrationError);
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.match(error.message, /function 'bad'.*\n {2}definition\.triggers\[0\]/);
    return true;
  });
});

inHouse("a worker runs once", async (house) => {
  const app = house.app();
  app.createFunction({ id: "any", triggers: { event: "any/start" } }, () => null);
  const { worker } = await house.worker(app);
  await assert.rejects(worker.run(), /a worker runs once/);
});

const SMALL_FRAMES = [
  ...["--frame-bytes-max", "256KiB"],
  ...["--step-output-bytes-max", "128KiB"],
  ...["--batch-bytes-max", "128KiB"],
  ...["--event-bytes-max", "128KiB"],
];

onServer("a large journal comes in parts, and is replayed whole", SMALL_FRAMES, async (house) => {
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
  assert.equal(outputOf(await house.ended(await start(app))), 1_200_000);
  assert.equal(bodies.length, 12);
});

/** Send the event that starts the steps: its id. */
async function start(app: Steplane): Promise<string> {
  const [id = ""] = await app.send({ name: "steps/start" });
  return id;
}
