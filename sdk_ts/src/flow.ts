/**
 * A function's flow control: when its runs start, how many there are, and what ends them.
 *
 * Each is an option of `createFunction`, and is checked by the server when a worker registers the function. A `key` is a CEL
 * expression over `event`, for example `event.data.user_id`: the control works for each of its values on its own, or for all
 * events together if there is none. A key that gives `false` or `null` switches the control off for that event.
 */

import type { Duration } from "./time.js";

/** Starts a run for each event of a name. */
export interface EventTrigger<Name extends string = string> {
  /** The event's name; a `*` at its end matches any rest: `app/user.*`. */
  event: Name;
  /** A CEL expression over `event` that has to be true: `event.data.total > 100`. */
  if?: string | undefined;
}

/** Starts a run at each tick of a schedule. */
export interface CronTrigger {
  /** Minute, hour, day of month, month, day of week: `0 12 * * 5`. */
  cron: string;
  /** The time zone that these are read in, for example `Europe/Berlin`; UTC if not given. */
  tz?: string | undefined;
}

/** What starts runs. */
export type Trigger<Name extends string = string> = EventTrigger<Name> | CronTrigger;

/** One run for many events, which it has as `events`. Not together with debounce, singleton, priority or cancel. */
export interface Batch {
  /** A batch of so many events starts its run at once: 2 to 100. One of 4 MiB is full as well. */
  maxSize: number;
  /** How long the first event of a batch waits at the most: 1 second to 7 days. */
  timeout: Duration;
  /** A batch for each value of this expression. */
  key?: string;
  /** A CEL expression over `event`: one for which it is not true starts a run of its own at once. */
  if?: string;
}

/** An event that cancels runs: those that wait at once, one that is live where it next calls a step. */
export interface Cancel {
  /** The event's name; a `*` at its end matches any rest. */
  event: string;
  /** A path, for example `data.user_id`, that has to have the same value in the event that started the run and in this one. */
  match?: string;
  /** A CEL expression over `event`, which started the run, and `async`, which is this one. Not together with `match`. */
  if?: string;
  /** For how long after its start a run can be cancelled so: up to 366 days, which is the default. */
  timeout?: Duration;
}

/** Bounds how many run at once. The rest waits, in order. */
export interface Concurrency {
  /** How many: 1 to 100,000. */
  limit: number;
  /** A limit for each value of this expression. */
  key?: string;
  /**
   * Who shares the limit: the runs of this function, or of all functions of the app, or of the namespace, that name the same
   * key with this scope.
   */
  scope?: "fn" | "app" | "namespace";
  /** What counts: runs that are live, so that one that sleeps or waits does not, or whole runs from start to end. */
  hold?: "invocation" | "run";
}

/** One run, with the newest event, once events have been quiet for a while. */
export interface Debounce {
  /** How long it has to be quiet: 1 second to 7 days. */
  period: Duration;
  /** Each value of this expression on its own. */
  key?: string;
  /** How long the first event waits at the most: up to 366 days; for ever if not given. */
  timeout?: Duration;
}

/** Moves a run in the queue of its function. */
export interface Priority {
  /** A CEL expression over `event` that gives seconds, -600 to 600: how much earlier the run counts as queued. */
  run: string;
}

/** Bounds how many runs start in any period. What is beyond it is skipped, which is recorded. */
export interface RateLimit {
  /** How many: 1 to 1,000. */
  limit: number;
  /** The period: 1 second to 24 hours. */
  period: Duration;
  /** A limit for each value of this expression. */
  key?: string;
}

/** One run at a time, be it queued, live or waiting. */
export interface Singleton {
  /** One for each value of this expression. */
  key?: string;
  /** What becomes of a second one: it is skipped, or takes the place of the first, which is cancelled. */
  mode?: "skip" | "cancel";
}

/** Bounds how many runs start in a period, at an even flow. The rest waits, in order. */
export interface Throttle {
  /** How many: 1 to 100,000. */
  limit: number;
  /** The period: 1 second to 7 days. */
  period: Duration;
  /** How many may start at once beyond an even flow: up to the limit; 1 if not given. */
  burst?: number;
  /** A limit for each value of this expression. */
  key?: string;
}

/** Cancels what takes too long. */
export interface Timeouts {
  /** How long a run may be queued before it first starts: 1 second to 366 days. */
  start?: Duration;
  /** How long it may take from its first start to its end: 1 second to 366 days. */
  finish?: Duration;
}
