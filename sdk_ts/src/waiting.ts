/**
 * What steps can be given, and what those that wait for others ask for, as their reports have it.
 *
 * A mistake is told where it is written, with the step and what would do, and is never tried again.
 */

import { create } from "@bufbuild/protobuf";
import type { Duration as DurationMessage } from "@bufbuild/protobuf/wkt";
import { encode, encodeObject, payload } from "./codec.js";
import { ArgumentError } from "./errors.js";
import { DurableFunction } from "./function.js";
import {
  InvokeStartedSchema,
  SignalConflict,
  SignalSentSchema,
  SignalWaitStartedSchema,
  WaitStartedSchema,
  type InvokeStarted,
  type SignalSent,
  type SignalWaitStarted,
  type WaitStarted,
} from "./gen/steplane/v1/work_pb.js";
import type { Limits } from "./limits.js";
import { nothingElse } from "./options.js";
import { policyOf, type Retry } from "./retry.js";
import { checkData } from "./sizes.js";
import { quoted, shown } from "./text.js";
import { DAY, encodeDuration, encodeMoment, milliseconds, moment, type Duration } from "./time.js";

const WAITED_EVENTS_MAX = 10;
const DAYS_MAX = 366;

/** One of several events that `step.waitForEvent` waits for. */
export interface WaitedEvent<Name extends string = string> {
  /** The event's name; a `*` at its end matches any rest. */
  event: Name;
  /** A path, for example `data.user_id`, that has to have the same value in the event that started the run and in this one. */
  match?: string | undefined;
  /**
   * A CEL expression over `event`, which started the run, and `async`, which is this one, that has to be true. Not together
   * with `match`.
   */
  if?: string | undefined;
}

/** How to run a body. */
export interface RunOptions {
  /** How often and when it is tried again; as its function says, if not given. */
  retry?: Retry | undefined;
}

/** How to wait for events. */
export interface WaitOptions<Name extends string = string> {
  /** What is waited for: the name of an event, whose `*` at the end matches any rest, or more about it; or up to 10. */
  event: Name | WaitedEvent<Name> | readonly (Name | WaitedEvent<Name>)[];
  /** A path, for example `data.user_id`, that has to have the same value in the event that started the run and in this one. */
  match?: string | undefined;
  /** A CEL expression over both, as `event` and `async`, that has to be true. Not together with `match`. */
  if?: string | undefined;
  /** How long: up to 366 days, which is the default. */
  timeout?: Duration | undefined;
  /** From which moment on events count that came before the step; "run" is that at which the run was made. */
  since?: Date | string | undefined;
  /** Whether all of several are waited for, and not any of them. */
  allOf?: boolean | undefined;
}

/** How to invoke a function. */
export interface InvokeOptions<Output = unknown, Data = object> {
  /** A function of this program, or the id of any: `"charge"` of this app, `"billing/charge"` of another. */
  function: DurableFunction<Output, Data> | string;
  /** The data of the event that it gets: `{}` if not given. */
  data?: NotInferred<Data> | undefined;
  /** How long: up to 366 days, which is the default. */
  timeout?: Duration | undefined;
}

/** A type that is said elsewhere, and not by the value here. */
type NotInferred<T> = [T][T extends unknown ? 0 : never];

/** How to wait for a signal. */
export interface SignalWaitOptions {
  /** Its name, unique in the namespace: it should have something of its own, for example `approve/${orderId}`. */
  signal: string;
  /** How long: up to 366 days, which is the default. */
  timeout?: Duration | undefined;
  /** If another step waits for it: this one fails, or replaces that one. */
  onConflict?: "fail" | "replace" | undefined;
}

/** What to send as a signal. */
export interface SignalOptions {
  /** Its name. */
  signal: string;
  /** Any JSON value; null if not given. */
  data?: unknown;
}

/** How to run a body. Throws `ArgumentError`. */
export function runOptions(stepId: string, { retry, ...rest }: RunOptions): RunOptions {
  nothingElse(rest, () => `step ${quoted(stepId)}`);
  if (retry !== undefined) policyOf(retry); // what can't be is told here, and not by each try
  return { retry };
}

/** A wait for an event. Throws `ArgumentError`. */
export function waitForEvent(stepId: string, options: WaitOptions): WaitStarted {
  const { event, match = "", if: expression = "", timeout: length, since: past, allOf = false, ...rest } = options;
  nothingElse(rest, () => `step ${quoted(stepId)}`);
  const several = Array.isArray(event) ? (event as readonly unknown[]) : [event];
  if (several.length === 0) {
    throw new ArgumentError(`step ${quoted(stepId)} waits for no event; name one by event: ...`);
  }
  if (several.length > WAITED_EVENTS_MAX) {
    throw new ArgumentError(
      `step ${quoted(stepId)} waits for ${several.length} events; ${WAITED_EVENTS_MAX} are the most`,
    );
  }
  const wait = create(WaitStartedSchema, {
    allOf,
    events: several.map((each) => waited(stepId, each, match, expression)),
    ...timeout(stepId, length),
  });
  if (past === "run") {
    wait.past = { case: "sinceRun", value: true };
  } else if (past !== undefined) {
    const since = moment(past);
    if (since === undefined) {
      throw new ArgumentError(`step ${quoted(stepId)}: since is a moment or 'run', not ${shown(past)}`);
    }
    wait.past = { case: "since", value: encodeMoment(since.getTime()) };
  }
  return wait;
}

/** An invocation of a function. Throws `ArgumentError`, `NotSerializableError` or `TooLargeError`. */
export function invoke(
  stepId: string,
  options: Omit<InvokeOptions<unknown, never>, "data"> & { data?: unknown },
  limits: Limits,
): InvokeStarted {
  const { function: target, data: given, timeout: length, ...rest } = options;
  nothingElse(rest, () => `step ${quoted(stepId)}`);
  const [appId, functionId] =
    target instanceof DurableFunction ? [target.appId, target.id] : split(named(stepId, "function", target));
  const data = encodeObject(given ?? {}, "the data of step", stepId);
  checkData(data, stepId, limits);
  return create(InvokeStartedSchema, { appId, functionId, data: payload(data), ...timeout(stepId, length) });
}

/** A wait for a signal. Throws `ArgumentError`. */
export function waitForSignal(stepId: string, options: SignalWaitOptions): SignalWaitStarted {
  const { signal: name, timeout: length, onConflict: said = "fail", ...rest } = options;
  nothingElse(rest, () => `step ${quoted(stepId)}`);
  const conflicts: Record<string, SignalConflict> = { fail: SignalConflict.FAIL, replace: SignalConflict.REPLACE };
  const onConflict = conflicts[said];
  if (onConflict === undefined) {
    throw new ArgumentError(`step ${quoted(stepId)}: onConflict is 'fail' or 'replace', not ${shown(said)}`);
  }
  const signal = named(stepId, "signal", name);
  return create(SignalWaitStartedSchema, { signal, onConflict, ...timeout(stepId, length) });
}

/** A signal. Throws `ArgumentError`, `NotSerializableError` or `TooLargeError`. */
export function sendSignal(stepId: string, options: SignalOptions, limits: Limits): SignalSent {
  const { signal, data, ...rest } = options;
  nothingElse(rest, () => `step ${quoted(stepId)}`);
  const text = encode(data, "the data of step", stepId);
  checkData(text, stepId, limits);
  return create(SignalSentSchema, { signal: named(stepId, "signal", signal), data: payload(text) });
}

/** How long a step sleeps, or waits at the most, in milliseconds. Throws `ArgumentError`. */
export function lengthOf(stepId: string, name: string, duration: Duration): number {
  let length: number;
  try {
    length = milliseconds(duration);
  } catch (error) {
    const why = (error as Error).message;
    throw new ArgumentError(`step ${quoted(stepId)}: ${name}=${shown(duration)}: ${why}`, { cause: error });
  }
  if (length > DAYS_MAX * DAY) {
    throw new ArgumentError(`step ${quoted(stepId)}: ${name} is ${shown(duration)}; ${DAYS_MAX} days are the most`);
  }
  return length;
}

/** A moment that a step names. Throws `ArgumentError`. */
export function momentOf(stepId: string, value: Date | string): Date {
  const found = moment(value);
  if (found === undefined) {
    throw new ArgumentError(
      `step ${quoted(stepId)}: ${shown(value)} is no moment with a time zone; use a Date, or '2030-01-01T00:00:00Z'`,
    );
  }
  return found;
}

function timeout(stepId: string, duration: Duration | undefined): { timeout?: DurationMessage } {
  if (duration === undefined) return {};
  const length = lengthOf(stepId, "timeout", duration);
  if (length < 0) {
    throw new ArgumentError(`step ${quoted(stepId)}: timeout is ${shown(duration)}; it can't be negative`);
  }
  return { timeout: encodeDuration(length) };
}

function waited(
  stepId: string,
  each: unknown,
  match: string,
  expression: string,
): { event: string; match: string; expression: string } {
  let event = each;
  if (typeof each === "object" && each !== null) {
    const { event: name, match: itsMatch = "", if: itsExpression = "", ...rest } = each as WaitedEvent;
    nothingElse(rest, () => `step ${quoted(stepId)}`);
    if (match !== "" || expression !== "") {
      throw new ArgumentError(
        `step ${quoted(stepId)}: match and if are for events that are given by name; ` +
          `say it in { event: ${quoted(name)}, ... }`,
      );
    }
    [event, match, expression] = [name, itsMatch, itsExpression];
  }
  const name = named(stepId, "event", event);
  if (match !== "" && expression !== "") {
    throw new ArgumentError(
      `step ${quoted(stepId)}: event ${quoted(name)} has match and if; say both in if: ` +
        `'event.${match} == async.${match} && ...'`,
    );
  }
  return { event: name, match, expression };
}

function named(stepId: string, what: string, name: unknown): string {
  if (typeof name === "string" && name !== "") return name;
  throw new ArgumentError(`step ${quoted(stepId)}: ${what} is a name, not ${shown(name)}`);
}

function split(name: string): [string, string] {
  const slash = name.lastIndexOf("/");
  return [slash < 0 ? "" : name.slice(0, slash), name.slice(slash + 1)];
}
