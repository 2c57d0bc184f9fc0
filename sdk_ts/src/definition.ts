/** A function's settings as the server is told them. It checks all of them: here only what can't be told is refused. */

import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import type { Duration as DurationMessage } from "@bufbuild/protobuf/wkt";
import { ArgumentError } from "./errors.js";
import type * as flow from "./flow.js";
import {
  ConcurrencyHold,
  ConcurrencyScope,
  FunctionDefinitionSchema,
  SingletonMode,
  type FunctionDefinition,
  type RetryPolicySchema,
  type TriggerSchema,
} from "./gen/steplane/v1/function_pb.js";
import { nothingElse } from "./options.js";
import { policyOf, type Retry } from "./retry.js";
import { quoted, shown } from "./text.js";
import { encodeDuration, milliseconds, type Duration } from "./time.js";

/** What can be said of a function. */
export interface FunctionOptions<Name extends string = string> {
  /** The function's id inside its app. */
  id: string;
  /** What people call it; the id if not given. */
  name?: string | undefined;
  /** What starts it: up to 10. `step.invoke` and people always can. */
  triggers: flow.Trigger<Name> | readonly flow.Trigger<Name>[];
  /** How often a failed step, or the function, is tried again, after 15 s, 30 s, 1, 2, 5, … minutes: 4 times if not given. */
  retries?: number | undefined;
  /** The same, and when. Not together with `retries`. */
  retry?: Retry | undefined;
  /** One run for many events. */
  batchEvents?: flow.Batch | undefined;
  /** What cancels runs: up to 5. */
  cancel?: flow.Cancel | readonly flow.Cancel[] | undefined;
  /** How many run at once: up to 2 limits; a number is one without a key. */
  concurrency?: number | flow.Concurrency | readonly flow.Concurrency[] | undefined;
  /** One run once events have been quiet. */
  debounce?: flow.Debounce | undefined;
  /** Which runs are before others. */
  priority?: flow.Priority | undefined;
  /** How many start in a period; the rest is skipped. */
  rateLimit?: flow.RateLimit | undefined;
  /** One at a time. */
  singleton?: flow.Singleton | undefined;
  /** How many start in a period; the rest waits. */
  throttle?: flow.Throttle | undefined;
  /** How long runs may wait and take. */
  timeouts?: flow.Timeouts | undefined;
  /** A CEL expression over `event`: one run for each of its values in 24 hours. */
  idempotency?: string | undefined;
}

const SCOPES = {
  fn: ConcurrencyScope.FUNCTION,
  app: ConcurrencyScope.APP,
  namespace: ConcurrencyScope.NAMESPACE,
};
const HOLDS = { invocation: ConcurrencyHold.INVOCATION, run: ConcurrencyHold.RUN };
const MODES = { skip: SingletonMode.SKIP, cancel: SingletonMode.CANCEL };

/** A function's definition for the server. Throws `ArgumentError`, which names the function and the option. */
export function define(appId: string, options: FunctionOptions): FunctionDefinition {
  const { id: functionId, name, triggers, retries, retry, batchEvents, debounce, priority, ...more } = options;
  const { cancel, concurrency, rateLimit, singleton, throttle, timeouts, idempotency, ...rest } = more;
  const where = `function ${quoted(functionId)}`;
  nothingElse(rest, () => where);
  const said = <T, R>(option: string, value: T | undefined, translate: (value: T) => R): R | undefined =>
    value === undefined ? undefined : naming(`${where}: ${option}`, () => translate(value));
  if (retry !== undefined && retries !== undefined) {
    const same = `{ attempts: ${retries + 1}, ... } has ${retries} retries`;
    throw new ArgumentError(`${where}: give retry or retries, not both: ${same}`);
  }
  // What is undefined counts as not given; the type can't say so.
  const definition = create(FunctionDefinitionSchema, {
    appId,
    functionId,
    name,
    triggers: naming(`${where}: triggers`, () => several(triggers).map(triggerOf)),
    retry: said("retry", retry, whole(policyOf)) ?? said("retries", retries, plainRetries),
    batch: said("batchEvents", batchEvents, whole(batchOf)),
    cancel: said("cancel", cancel, (them) => several(them).map(whole(cancelOf))),
    concurrency: said("concurrency", concurrency, (them) =>
      several(typeof them === "number" ? { limit: them } : them).map(whole(concurrencyOf)),
    ),
    debounce: said("debounce", debounce, whole(debounceOf)),
    priority: said("priority", priority, whole(priorityOf)),
    rateLimit: said("rateLimit", rateLimit, whole(rateLimitOf)),
    singleton: said("singleton", singleton, whole(singletonOf)),
    throttle: said("throttle", throttle, whole(throttleOf)),
    timeouts: said("timeouts", timeouts, whole(timeoutsOf)),
    idempotency: said("idempotency", idempotency, (key) => (key === "" ? undefined : { key })),
  } as MessageInitShape<typeof FunctionDefinitionSchema>);
  // A text where there should be a number, say, is found only when it is written.
  naming(where, () => toBinary(FunctionDefinitionSchema, definition));
  return definition;
}

function naming<R>(where: string, translate: () => R): R {
  try {
    return translate();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ArgumentError(`${where}: ${why}`, { cause: error });
  }
}

/** Checks that what is translated is an object, as programs without types may not know. */
function whole<T extends object, R>(translate: (value: T) => R): (value: T) => R {
  return (value: unknown) => {
    if (value instanceof Object) return translate(value as T);
    throw new TypeError(`it has to be an object, not ${shown(value)}`);
  };
}

function several<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function plainRetries(value: number): MessageInitShape<typeof RetryPolicySchema> {
  if (!Number.isInteger(value) || value < 0) throw new TypeError(`it is a number of tries, not ${shown(value)}`);
  return { retries: value };
}

function triggerOf(it: flow.Trigger): MessageInitShape<typeof TriggerSchema> {
  if (it instanceof Object && "event" in it) {
    const { event, if: expression = "", ...rest } = it;
    nothingElse(rest);
    return { kind: { case: "event", value: { event, expression } } };
  }
  if (it instanceof Object && "cron" in it) {
    const { cron, tz: timeZone = "", ...rest } = it;
    nothingElse(rest);
    return { kind: { case: "cron", value: { cron, timeZone } } };
  }
  throw new TypeError(`it has to be { event: ... } or { cron: ... }, not ${shown(it)}`);
}

function cancelOf({ event, match = "", if: expression = "", timeout: time, ...rest }: flow.Cancel) {
  nothingElse(rest);
  return { event, match, expression, ...timeout(time) };
}

function concurrencyOf({ limit, key = "", scope = "fn", hold = "invocation", ...rest }: flow.Concurrency) {
  nothingElse(rest);
  return { limit, key, scope: oneOf(SCOPES, "scope", scope), hold: oneOf(HOLDS, "hold", hold) };
}

function batchOf({ maxSize, timeout: time, key = "", if: expression = "", ...rest }: flow.Batch) {
  nothingElse(rest);
  return { maxSize, timeout: length(time), key, expression };
}

function debounceOf({ period, key = "", timeout: time, ...rest }: flow.Debounce) {
  nothingElse(rest);
  return { period: length(period), key, ...timeout(time) };
}

function priorityOf({ run, ...rest }: flow.Priority) {
  nothingElse(rest);
  return { run };
}

function rateLimitOf({ limit, period, key = "", ...rest }: flow.RateLimit) {
  nothingElse(rest);
  return { limit, period: length(period), key };
}

function singletonOf({ key = "", mode = "skip", ...rest }: flow.Singleton) {
  nothingElse(rest);
  return { key, mode: oneOf(MODES, "mode", mode) };
}

function throttleOf({ limit, period, burst = 0, key = "", ...rest }: flow.Throttle) {
  nothingElse(rest);
  return { limit, period: length(period), burst, key };
}

function timeoutsOf({ start, finish, ...rest }: flow.Timeouts) {
  nothingElse(rest);
  return {
    ...(start === undefined ? {} : { start: length(start) }),
    ...(finish === undefined ? {} : { finish: length(finish) }),
  };
}

function timeout(duration: Duration | undefined): { timeout?: DurationMessage } {
  return duration === undefined ? {} : { timeout: length(duration) };
}

function length(duration: Duration): DurationMessage {
  return encodeDuration(milliseconds(duration));
}

function oneOf<T>(choices: Record<string, T>, name: string, value: string): T {
  const chosen = choices[value];
  if (chosen !== undefined) return chosen;
  throw new TypeError(`${name}=${shown(value)} is none of ${Object.keys(choices).map(quoted).join(", ")}`);
}
