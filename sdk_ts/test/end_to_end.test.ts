/** Functions on a real server: what they do, what is recorded, and what became of it. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import {
  ArgumentError,
  currentTraceparent,
  NonRetriableError,
  StepError,
  type GetEvents,
  type Logger,
} from "../src/index.js";
import { RunState } from "../src/gen/steplane/v1/run_pb.js";
import { FAST, inHouse, outputOf, QUIET, signpost } from "./house.js";

inHouse("a function fans out, and the lineage is one tree with one trace", async (house) => {
  const app = house.app<{ "week/over": object; "week/email": { user: string } }>();
  const traces = new Set<string>();
  app.createFunction({ id: "load", triggers: { event: "week/over" } }, async ({ step }) => {
    const users = await step.run("fetch", () => ["ada", "grace"]);
    return step.sendEvent(
      "fan-out",
      users.map((user) => ({ name: "week/email", data: { user } })),
    );
  });
  app.createFunction({ id: "email", triggers: { event: "week/email" } }, async ({ event, step }) => {
    await step.run("write", () => {
      traces.add(currentTraceparent().slice(3, 35));
    });
    return `to ${event.data.user}`;
  });
  await house.worker(app);
  const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  const [id = ""] = await app.send({ name: "week/over", traceparent });
  const sent = outputOf(await house.ended(id)) as string[];
  const outputs = await Promise.all(sent.map(async (each) => outputOf(await house.ended(each))));
  assert.deepEqual(outputs, ["to ada", "to grace"]);
  const { events, runs } = await house.lineage(id);
  assert.equal(events.length, 3);
  assert.equal(runs.length, 3);
  assert.deepEqual([...traces], ["0123456789abcdef0123456789abcdef"]);
});

inHouse("events can be typed by the client's, and say beside their data whom they are about", async (house) => {
  const app = house.app();
  type Events = GetEvents<typeof app>;
  app.createFunction({ id: "load", triggers: { event: "week/over" } }, async ({ step }) => {
    const users = await step.run("fetch", () => [{ id: "ada" }, { id: "grace" }]);
    const events = users.map<Events["week/email"]>((user) => ({ name: "week/email", data: { ...user }, user }));
    return step.sendEvent("fan-out", events);
  });
  app.createFunction({ id: "email", triggers: { event: "week/email" } }, async ({ event, step }) => {
    const { id, user } = event.data as { id: string; user: { id: string } };
    return step.run("write", () => `${id}: to ${user.id}`);
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "week/over" });
  const sent = outputOf(await house.ended(id)) as string[];
  const outputs = await Promise.all(sent.map(async (each) => outputOf(await house.ended(each))));
  assert.deepEqual(outputs, ["ada: to ada", "grace: to grace"]);
});

inHouse("every kind of step does what it says", async (house) => {
  const app = house.app<{
    "all/start": object;
    "all/ask": { id: string };
    "all/answer": { ok: boolean };
    "all/never": object;
    "all/double": { n: number };
  }>();
  const double = app.createFunction(
    { id: "double", triggers: { event: "all/double" } },
    ({ event }) => event.data.n * 2,
  );
  app.createFunction({ id: "all", triggers: { event: "all/start" } }, async ({ step, event, events, attempt }) => {
    assert.deepEqual(events, [event]);
    const made = await step.run("make", () => ({ at: new Date(0), left: undefined }));
    await step.sleep("nap", 20);
    await step.sleepUntil("past", "2020-01-01T00:00:00Z");
    const doubled = await step.invoke("call", { function: double, data: { n: 21 } });
    const [heard, approval] = await Promise.all([
      step.waitForEvent("wait", { event: "all/answer", if: "async.data.ok" }),
      step.waitForSignal("approval", { signal: `approve/${event.id}` }),
      step.sendEvent("ask", { name: "all/ask", data: { id: event.id } }),
    ]);
    const nobody = await step.waitForEvent("too-late", { event: "all/never", timeout: 10 });
    return { made, doubled, heard: heard?.data, approval, nobody, attempt };
  });
  app.createFunction({ id: "answer", triggers: { event: "all/ask" } }, async ({ event, step }) => {
    await step.sendEvent("answer", { name: "all/answer", data: { ok: true } });
    return step.sendSignal("approve", { signal: `approve/${event.data.id}`, data: { by: "grace" } });
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "all/start" });
  const run = await house.ended(id);
  assert.deepEqual(outputOf(run), {
    made: { at: "1970-01-01T00:00:00.000Z" },
    doubled: 42,
    heard: { ok: true },
    approval: { by: "grace" },
    nobody: null,
    attempt: 0,
  });
  const keys = ["make#0", "nap#0", "past#0", "call#0", "wait#0", "approval#0", "ask#0", "too-late#0"];
  assert.deepEqual([...(await house.journal(run.id)).keys()].sort(), keys.sort());
});

inHouse("what fails is tried again, each step on its own, and the body on its own", async (house) => {
  const app = house.app();
  const tries = { step: 0, body: 0 };
  app.createFunction({ id: "flaky", triggers: { event: "flaky/start" }, retry: FAST }, async ({ step, attempt }) => {
    const value = await step.run("once", () => {
      tries.step += 1;
      if (tries.step < 3) throw new Error("not yet");
      return tries.step;
    });
    tries.body += 1;
    if (attempt < 2) throw new Error("later");
    return [value, tries.body];
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "flaky/start" });
  assert.deepEqual(outputOf(await house.ended(id)), [3, 3]);
});

inHouse("a step that failed for good can be caught, and uncaught it fails the run", async (house) => {
  const app = house.app();
  class CardDeclined extends NonRetriableError {}
  const options = { retries: 0, triggers: { event: "pay/start" } } as const;
  app.createFunction({ id: "caught", ...options }, async ({ step }) => {
    try {
      await step.run("charge", () => {
        throw new CardDeclined("no");
      });
    } catch (error) {
      assert(error instanceof StepError);
      return [error.name, error.message, error.stepId, error.stepKey, error.reason];
    }
    return null;
  });
  app.createFunction({ id: "uncaught", ...options }, async ({ step }) => {
    await step.run("charge", () => {
      throw new CardDeclined("no");
    });
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "pay/start" });
  const caught = await house.ended(id, "caught");
  assert.deepEqual(outputOf(caught), ["CardDeclined", "no", "charge", "charge#0", ""]);
  const { state, failure } = await house.ended(id, "uncaught");
  assert.equal(state, RunState.FAILED);
  assert.equal(failure?.name, "CardDeclined");
  assert.equal(failure.message, "no");
  assert.match(failure.stack, /end_to_end/);
  assert.doesNotMatch(failure.stack, /src\/step\.js/);
});

inHouse("a failure handler is told of the run that failed", async (house) => {
  const app = house.app();
  const told = signpost<unknown>();
  const options = {
    id: "doomed",
    triggers: { event: "doom/start" },
    retries: 0,
    onFailure: ({ event }) => {
      told.reach([event.data.function_id, event.data.error.message, event.data.event.data]);
    },
  } satisfies Parameters<typeof app.createFunction>[0];
  app.createFunction(options, () => {
    throw new Error("bad luck");
  });
  await house.worker(app);
  await app.send({ name: "doom/start", data: { n: 1 } });
  assert.deepEqual(await told.reached, ["shop/doomed", "bad luck", { n: 1 }]);
});

inHouse("what can't be retried fails its run at the first try, and says what to do", async (house) => {
  const app = house.app();
  const triggers = { event: "bad/start" };
  app.createFunction({ id: "nested", triggers }, async ({ step }) => {
    await step.run("outer", () => step.run("inner", () => 1));
  });
  app.createFunction({ id: "no-json", triggers }, async ({ step }) => {
    await step.run("map", () => new Map());
  });
  app.createFunction({ id: "no-moment", triggers }, async ({ step }) => {
    await step.sleepUntil("nap", "tomorrow");
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "bad/start" });
  const failures = ["nested", "no-json", "no-moment"].map(async (name) => {
    const { failure, attempt } = await house.ended(id, name);
    return [failure?.name, failure?.message, attempt];
  });
  assert.deepEqual(await Promise.all(failures), [
    [
      "NestedStepError",
      "step 'inner' is called inside the body of step 'outer#0'; call one after the other, or several at once by Promise.all",
      1,
    ],
    [
      "NotSerializableError",
      "the result of step 'map#0' is not JSON: it is a Map. Use objects, arrays, strings, numbers, booleans and null: " +
        "for example Object.fromEntries(map), [...set] or String(bigint).",
      1,
    ],
    [
      ArgumentError.name,
      "step 'nap': 'tomorrow' is no moment with a time zone; use a Date, or '2030-01-01T00:00:00Z'",
      1,
    ],
  ]);
});

inHouse("a race has the same winner in every replay", async (house) => {
  const app = house.app();
  const winners: string[] = [];
  app.createFunction({ id: "race", triggers: { event: "race/start" } }, async ({ step }) => {
    const winner = await Promise.race([
      step.sleep("slow", 60).then(() => "slow"),
      step.sleep("fast", 20).then(() => "fast"),
    ]);
    winners.push(winner);
    await step.sleep("both-end-meanwhile", 150);
    return step.run("tell", () => winner);
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "race/start" });
  assert.equal(outputOf(await house.ended(id)), "fast");
  assert.deepEqual([...new Set(winners)], ["fast"]);
});

inHouse("a cancelled run's signal is aborted, and its code goes no further", async (house) => {
  const app = house.app();
  const [begun, aborted] = [signpost<string>(), signpost<unknown>()];
  let isPast = false;
  app.createFunction({ id: "long", triggers: { event: "long/start" } }, async ({ step, signal, runId }) => {
    await step.run("work", async () => {
      begun.reach(runId);
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      aborted.reach(signal.aborted);
    });
    isPast = true;
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "long/start" });
  await house.cancel(await begun.reached);
  assert.equal(await aborted.reached, true);
  assert.equal((await house.ended(id)).state, RunState.CANCELLED);
  assert.equal(isPast, false);
});

inHouse("a run that waits needs no slot", async (house) => {
  const app = house.app();
  app.createFunction({ id: "sleeper", triggers: { event: "sleeper/start" } }, async ({ step }) => {
    await step.sleep("long", "1h");
  });
  app.createFunction({ id: "quick", triggers: { event: "quick/start" } }, () => "done");
  await house.worker(app, { slots: 1 });
  const sleepers = await app.send(Array.from({ length: 5 }, () => ({ name: "sleeper/start" })));
  await Promise.all(sleepers.map((each) => house.parked(each)));
  const [id = ""] = await app.send({ name: "quick/start" });
  assert.equal(outputOf(await house.ended(id)), "done");
});

inHouse("a logger is silent during replay, and its lines tell the run", async (house) => {
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger: Logger = { debug: note, info: note, warn: note, error: note };
  const app = house.app("shop", logger);
  app.createFunction({ id: "talks", triggers: { event: "talk/start" } }, async ({ step, logger }) => {
    logger.info("begins");
    await step.sleep("nap", 10);
    logger.warn("goes on");
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "talk/start" });
  const run = await house.ended(id);
  const told = lines.filter((line) => line.startsWith("["));
  assert.deepEqual(told, [`[${run.id}] begins`, `[${run.id}] goes on`]);
});

inHouse("a logger that makes children makes one for each run", async (house) => {
  const told: unknown[] = [];
  const child = (fields: object): Logger => ({ ...QUIET, error: (...line) => told.push([fields, line]) });
  const app = house.app("shop", { ...QUIET, child });
  app.createFunction({ id: "talks", triggers: { event: "talk/start" } }, ({ logger }) => {
    logger.error("no %s", "luck");
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "talk/start" });
  const run = await house.ended(id);
  assert.deepEqual(told, [[{ functionId: "talks", runId: run.id }, ["no %s", "luck"]]]);
});

inHouse("a step that fails before it is awaited ends nothing but its run, and can be caught", async (house) => {
  const app = house.app();
  app.createFunction({ id: "late", triggers: { event: "late/start" } }, async ({ step }) => {
    const failing = step.invoke("nobody", { function: "missing" });
    await step.sleep("nap", 50);
    await step.run("work", () => pause(50));
    return failing.catch((error: unknown) => (error as StepError).reason);
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "late/start" });
  assert.equal(outputOf(await house.ended(id)), "FUNCTION_NOT_FOUND");
});

inHouse("an invocation that fails says why: by the other's error, or by a reason", async (house) => {
  const app = house.app();
  const options = { triggers: { event: "none/start" }, retries: 0 } as const;
  const slow = app.createFunction({ ...options, id: "slow" }, ({ step }) => step.sleep("nap", "1h"));
  const failing = app.createFunction({ ...options, id: "failing" }, () => {
    throw new TypeError("bad luck");
  });
  app.createFunction({ ...options, id: "caller", triggers: { event: "call/start" } }, async ({ step }) => {
    const told = async (work: Promise<unknown>): Promise<unknown> =>
      work.catch((error: unknown) => {
        const { reason, name, message } = error as Error & { reason?: string };
        return [reason ?? "", name, message];
      });
    return Promise.all([
      told(step.invoke("slow", { function: slow, timeout: 50 })),
      told(step.invoke("failing", { function: failing })),
      told(step.invoke("unknown", { function: "other/charge" })),
      told(step.invoke("misspelt", { function: slow, timeOut: 50 } as never)),
    ]);
  });
  await house.worker(app);
  const [id = ""] = await app.send({ name: "call/start" });
  const [late, failed, unknown, misspelt] = outputOf(await house.ended(id)) as string[][];
  assert.equal(late?.[0], "TIMED_OUT");
  assert.deepEqual(failed, ["", "TypeError", "bad luck"]);
  assert.equal(unknown?.[0], "FUNCTION_NOT_FOUND");
  assert.deepEqual(misspelt, ["", "ArgumentError", "step 'misspelt': there is no option 'timeOut'"]);
});

inHouse("a batch is one run, and has all its events in order", async (house) => {
  const app = house.app<{ "page/seen": { n: number } }>();
  const options = {
    id: "count",
    triggers: { event: "page/seen" },
    batchEvents: { maxSize: 3, timeout: "1h" },
  } as const;
  app.createFunction(options, ({ event, events }) => [event.data.n, events.map(({ data }) => data.n)]);
  await house.worker(app);
  const ids = await app.send([1, 2, 3].map((n) => ({ name: "page/seen", data: { n } })));
  const run = await house.ended(ids[0] ?? "");
  assert.deepEqual(outputOf(run), [1, [1, 2, 3]]);
  assert.equal((await house.started(ids[2] ?? "")).id, run.id);
});

inHouse("an event cancels the runs that it matches", async (house) => {
  const app = house.app();
  const options = {
    id: "remind",
    triggers: { event: "cart/left" },
    cancel: { event: "cart/paid", match: "data.user" },
  };
  app.createFunction(options, ({ step }) => step.sleep("a day", "1 day"));
  await house.worker(app);
  const ids = await app.send(["ada", "grace"].map((user) => ({ name: "cart/left", data: { user } })));
  await Promise.all(ids.map((id) => house.parked(id)));
  await app.send({ name: "cart/paid", data: { user: "grace" } });
  assert.equal((await house.ended(ids[1] ?? "")).state, RunState.CANCELLED);
  assert.equal((await house.started(ids[0] ?? "")).state, RunState.WAITING);
});
