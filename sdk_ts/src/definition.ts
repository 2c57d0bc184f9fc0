/** A function's settings as the server is told them. It checks all of them: here only what can't be told is refused. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
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
  batchEvents?: flow.Batch | undefined;
  /** Up to 5. */
  cancel?: flow.Cancel | readonly flow.Cancel[] | undefined;
  /** Up to 2; a number is one without a key. */
  concurrency?: number | flow.Concurrency | readonly flow.Concurrency[] | undefined;
  debounce?: flow.Debounce | undefined;
  priority?: flow.Priority | undefined;
  rateLimit?: flow.RateLimit | undefined;
  singleton?: flow.Singleton | undefined;
  throttle?: flow.Throttle | undefined;
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
  const said = <K extends keyof FunctionOptions, R>(
    name: K,
    translate: (value: NonNullable<FunctionOptions[K]>) => R,
  ): R | undefined => {
    const value = options[name];
    try {
      return value === undefined ? undefined : translate(value);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ArgumentError(`function ${quoted(options.id)}: ${name}: ${why}`, { cause: error });
    }
  };
  const retry = said("retry", (value) => {
    if (options.retries === undefined) return policyOf(value);
    const same = `{ attempts: ${options.retries + 1}, ... } has ${options.retries} retries`;
    throw new TypeError(`give retry or retries, not both: ${same}`);
  });
  const fields: MessageInitShape<typeof FunctionDefinitionSchema> = {
    appId,
    functionId: options.id,
    name: options.name ?? "",
    triggers: said("triggers", (value) => several(value).map(trigger)) ?? [],
    cancel: said("cancel", (value) => several(value).map(cancel)) ?? [],
    concurrency: said("concurrency", concurrency) ?? [],
  };
  const single = {
    retry: retry ?? said("retries", retries),
    batch: said("batchEvents", batch),
    debounce: said("debounce", (it) => ({ period: length(it.period), key: it.key ?? "", ...timeout(it.timeout) })),
    priority: said("priority", (it) => ({ run: it.run })),
    rateLimit: said("rateLimit", (it) => ({ limit: it.limit, period: length(it.period), key: it.key ?? "" })),
    singleton: said("singleton", (it) => ({ key: it.key ?? "", mode: oneOf(MODES, "mode", it.mode ?? "skip") })),
    throttle: said("throttle", throttle),
    timeouts: said("timeouts", timeouts),
    idempotency: said("idempotency", (key) => (key === "" ? undefined : { key })),
  };
  const given = Object.fromEntries(Object.entries(single).filter(([, value]) => value !== undefined));
  return create(FunctionDefinitionSchema, { ...fields, ...given });
}

function several<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function retries(value: number): MessageInitShape<typeof RetryPolicySchema> {
  if (!Number.isInteger(value) || value < 0) throw new TypeError(`it is a number of tries, not ${shown(value)}`);
  return { retries: value };
}

function trigger(it: flow.Trigger): MessageInitShape<typeof TriggerSchema> {
  if ("event" in it) return { kind: { case: "event", value: { event: it.event, expression: it.if ?? "" } } };
  if ("cron" in it) return { kind: { case: "cron", value: { cron: it.cron, timeZone: it.tz ?? "" } } };
  throw new TypeError(`it has to be { event: ... } or { cron: ... }, not ${shown(it)}`);
}

function cancel(it: flow.Cancel) {
  return { event: it.event, match: it.match ?? "", expression: it.if ?? "", ...timeout(it.timeout) };
}

function concurrency(value: number | flow.Concurrency | readonly flow.Concurrency[]) {
  const limits = typeof value === "number" ? [{ limit: value }] : several(value);
  return limits.map((it: flow.Concurrency) => ({
    limit: it.limit,
    key: it.key ?? "",
    scope: oneOf(SCOPES, "scope", it.scope ?? "fn"),
    hold: oneOf(HOLDS, "hold", it.hold ?? "invocation"),
  }));
}

function batch(it: flow.Batch) {
  return { maxSize: it.maxSize, timeout: length(it.timeout), key: it.key ?? "", expression: it.if ?? "" };
}

function throttle(it: flow.Throttle) {
  return { limit: it.limit, period: length(it.period), burst: it.burst ?? 0, key: it.key ?? "" };
}

function timeouts(it: flow.Timeouts) {
  const start = it.start === undefined ? {} : { start: length(it.start) };
  return { ...start, ...(it.finish === undefined ? {} : { finish: length(it.finish) }) };
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
