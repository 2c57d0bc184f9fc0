/** What the server is told of a function, and what is refused where it is written. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { ArgumentError, Steplane, type FunctionOptions } from "../src/index.js";
import { FunctionDefinitionSchema } from "../src/gen/steplane/v1/function_pb.js";

type Options = Omit<FunctionOptions, "id" | "triggers">;

const BARE = { appId: "shop", functionId: "a", triggers: [{ event: { event: "b" } }] };

/** What the server is told of a function with these options. */
function told(options: Options): unknown {
  const made = new Steplane({ id: "shop" }).createFunction({ id: "a", triggers: { event: "b" }, ...options }, nothing);
  return toJson(FunctionDefinitionSchema, made.definition);
}

test("a definition says what was written", () => {
  const { definition } = new Steplane({ id: "shop" }).createFunction(
    {
      id: "pay",
      name: "Pay an order",
      triggers: [
        { event: "shop/order.*", if: "event.data.total > 0" },
        { cron: "0 12 * * 5", tz: "Europe/Berlin" },
      ],
      retries: 7,
    },
    nothing,
  );
  assert.deepEqual(toJson(FunctionDefinitionSchema, definition), {
    appId: "shop",
    functionId: "pay",
    name: "Pay an order",
    triggers: [
      { event: { event: "shop/order.*", expression: "event.data.total > 0" } },
      { cron: { cron: "0 12 * * 5", timeZone: "Europe/Berlin" } },
    ],
    retry: { retries: 7 },
  });
});

test("what is not said is left to the server", () => {
  assert.deepEqual(told({}), BARE);
  const nothingSaid = { name: undefined, retries: undefined, cancel: undefined, throttle: undefined, idempotency: "" };
  assert.deepEqual(told(nothingSaid), BARE);
});

const PLAIN_LIMIT = { scope: "CONCURRENCY_SCOPE_FUNCTION", hold: "CONCURRENCY_HOLD_INVOCATION" };
const OPTIONS: [Options, object][] = [
  [{ retries: 0 }, { retry: { retries: 0 } }],
  [
    { retry: { attempts: 3, firstDelay: 500, jitter: "2s" } },
    { retry: { retries: 2, delays: ["0.500s", "1s"], jitter: "2s" } },
  ],
  [
    { retry: { attempts: 5, firstDelay: "1s", factor: 3, maxDelay: "10s" } },
    { retry: { retries: 4, delays: ["1s", "3s", "9s", "10s"], jitter: "0s" } },
  ],
  [
    { batchEvents: { maxSize: 9, timeout: "1m", key: "event.data.k", if: "event.data.b" } },
    { batch: { maxSize: 9, timeout: "60s", key: "event.data.k", expression: "event.data.b" } },
  ],
  [{ cancel: { event: "stop" } }, { cancel: [{ event: "stop" }] }],
  [
    {
      cancel: [
        { event: "x/*", match: "data.u", timeout: 1500 },
        { event: "y", if: "async.data.z" },
      ],
    },
    {
      cancel: [
        { event: "x/*", match: "data.u", timeout: "1.500s" },
        { event: "y", expression: "async.data.z" },
      ],
    },
  ],
  [{ concurrency: 5 }, { concurrency: [{ limit: 5, ...PLAIN_LIMIT }] }],
  [
    {
      concurrency: [
        { limit: 1, key: "event.data.k", scope: "app", hold: "run" },
        { limit: 2, scope: "namespace" },
      ],
    },
    {
      concurrency: [
        { limit: 1, key: "event.data.k", scope: "CONCURRENCY_SCOPE_APP", hold: "CONCURRENCY_HOLD_RUN" },
        { ...PLAIN_LIMIT, limit: 2, scope: "CONCURRENCY_SCOPE_NAMESPACE" },
      ],
    },
  ],
  [
    { debounce: { period: 2000, key: "event.data.k", timeout: "1h" } },
    { debounce: { period: "2s", key: "event.data.k", timeout: "3600s" } },
  ],
  [{ debounce: { period: "2 seconds" } }, { debounce: { period: "2s" } }],
  [{ priority: { run: "event.data.vip ? 60 : 0" } }, { priority: { run: "event.data.vip ? 60 : 0" } }],
  [
    { rateLimit: { limit: 3, period: "1 minute", key: "event.data.k" } },
    { rateLimit: { limit: 3, period: "60s", key: "event.data.k" } },
  ],
  [{ singleton: {} }, { singleton: { mode: "SINGLETON_MODE_SKIP" } }],
  [
    { singleton: { key: "event.data.k", mode: "cancel" } },
    { singleton: { key: "event.data.k", mode: "SINGLETON_MODE_CANCEL" } },
  ],
  [{ throttle: { limit: 3, period: "1s" } }, { throttle: { limit: 3, period: "1s" } }],
  [
    { throttle: { limit: 3, period: "1s", burst: 2, key: "event.data.k" } },
    { throttle: { limit: 3, period: "1s", burst: 2, key: "event.data.k" } },
  ],
  [{ timeouts: { finish: "1d" } }, { timeouts: { finish: "86400s" } }],
  [{ timeouts: { start: "1s", finish: 2000 } }, { timeouts: { start: "1s", finish: "2s" } }],
  [{ idempotency: "event.data.id" }, { idempotency: { key: "event.data.id" } }],
];

test("each option is told as it is", () => {
  for (const [options, expected] of OPTIONS) assert.deepEqual(told(options), { ...BARE, ...expected });
});

const REFUSED: [object, string][] = [
  [{ triggers: "app/a" }, "triggers: it has to be { event: ... } or { cron: ... }, not 'app/a'"],
  [{ triggers: undefined }, "triggers: it has to be { event: ... } or { cron: ... }, not undefined"],
  [{ triggers: { event: "b", expression: "true" } }, "triggers: there is no option 'expression'"],
  [{ cancelOn: { event: "stop" } }, "there is no option 'cancelOn'"],
  [{ retries: -1 }, "retries: it is a number of tries, not -1"],
  [{ retries: 2, retry: { attempts: 3, firstDelay: 1 } }, "give retry or retries, not both: { attempts: 3, ... }"],
  [{ retry: 3 }, "retry: it has to be an object, not 3"],
  [{ retry: { attempts: 22, firstDelay: 1 } }, "retry: attempts is 22: 1 to 21, the first one included"],
  [{ retry: { attempts: 2, firstDelay: 1, factor: 0.5 } }, "factor is 0.5: 1 or more; 1 makes all waits the same"],
  [{ retry: { attempts: 2, firstDelay: "25h" } }, "firstDelay is '25h': it has to be from 0 to 24 hours"],
  [{ retry: { attempts: 2, firstDelay: "soon" } }, "firstDelay is 'soon': a duration is a number of milliseconds"],
  [{ retry: { attempts: 2, firstDelay: 9, maxDelay: 8 } }, "maxDelay is 8: it is less than firstDelay, which is 9"],
  [{ retry: { attempts: 2, delay: 9, firstDelay: 9 } }, "retry: there is no option 'delay'"],
  [{ cancel: "stop" }, "cancel: it has to be an object, not 'stop'"],
  [{ cancel: [null] }, "cancel: it has to be an object, not null"],
  [{ concurrency: -1 }, "ConcurrencyLimit.limit"],
  [{ concurrency: "5" }, "concurrency: it has to be an object, not '5'"],
  [{ concurrency: { limit: 1, scope: "all" } }, "scope='all' is none of 'fn', 'app', 'namespace'"],
  [{ concurrency: { limit: 1, hold: "all" } }, "hold='all' is none of 'invocation', 'run'"],
  [{ singleton: { mode: "wait" } }, "singleton: mode='wait' is none of 'skip', 'cancel'"],
  [{ debounce: "1s" }, "debounce: it has to be an object, not '1s'"],
  [{ debounce: { period: "a while" } }, "debounce: a duration is a number of milliseconds, or a text such as '30s'"],
  [{ throttle: { limit: 1, period: "1s", bursts: 2 } }, "throttle: there is no option 'bursts'"],
  [{ timeouts: { start: NaN } }, "timeouts: a duration is a number of milliseconds"],
];

test("what can't be told is refused where it is written, with what would do", () => {
  for (const [options, words] of REFUSED) {
    assert.throws(
      () => told(options),
      (error: unknown) => {
        assert(error instanceof ArgumentError);
        assert.match(error.message, /^function 'a': /);
        assert(error.message.includes(words), `${error.message}\n  lacks: ${words}`);
        return true;
      },
    );
  }
});

test("a failure handler is a function of its own, which whoever serves the other serves too", () => {
  const app = new Steplane({ id: "shop" });
  const made = app.createFunction(
    { id: "pay", name: "Pay", triggers: { event: "b" }, retries: 0, onFailure: nothing },
    nothing,
  );
  assert(made.failureHandler);
  assert.deepEqual(toJson(FunctionDefinitionSchema, made.failureHandler.definition), {
    appId: "shop",
    functionId: "pay-on-failure",
    name: "Pay (failure handler)",
    triggers: [{ event: { event: "steplane/function.failed", expression: 'event.data.function_id == "shop/pay"' } }],
  });
  assert.throws(() => app.createFunction({ id: "pay-on-failure", triggers: { event: "b" } }, nothing), {
    message: "function 'pay-on-failure' is defined twice",
  });
});

test("mistakes are told at once", () => {
  const app = new Steplane({ id: "shop" });
  const triggers = { event: "b" };
  app.createFunction({ id: "a", triggers }, nothing);
  assert.throws(() => app.createFunction({ id: "a", triggers }, nothing), /'a' is defined twice/);
  assert.throws(() => app.createFunction({ id: "c", triggers }, triggers as never), /function 'c' has no code/);
  assert.throws(() => app.createWorker({ slots: 0 }), /1 slot or more/);
  assert.throws(() => app.createWorker({ slot: 3 } as object), /createWorker: there is no option 'slot'/);
  assert.throws(() => new Steplane({ id: "empty" }).createWorker(), /needs a function/);
  assert.throws(() => new Steplane({ id: "shop", adress: "a:1" } as never), /there is no option 'adress'/);
  for (const address of ["http://localhost:7100", "localhost", "localhost:99999", "local host:1", ":7100"]) {
    assert.throws(() => new Steplane({ id: "shop", address }), /has to be host:port, for example 127\.0\.0\.1:7100/);
  }
});

function nothing(): void {
  return;
}
