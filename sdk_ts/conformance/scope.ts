/** What statements can refer to, and how. */

import type { Context, Event } from "../src/index.js";

/** A JSON value of a script. */
export type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

/** What a script, or a branch, has saved. */
export type Scope = Record<string, unknown>;

/** What a script can refer to from its beginning. */
export function scopeOf(context: Context): Scope {
  const events = context.events.map(eventValue);
  return {
    event: events[0],
    events,
    run_id: context.runId,
    attempt: context.attempt,
    traceparent: context.traceparent,
  };
}

/** An event as scripts see it. */
export function eventValue({ id, name, data, ts }: Event): Scope {
  return { id, name, data, ts };
}

/** A value of a script, with what its references refer to. */
export function resolved(scope: Scope, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => resolved(scope, each));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1) {
    const [name, said] = entries[0] as [string, unknown];
    if (name === "$") return found(scope, said as string);
    if (name === "$repeat") {
      const [text, times] = said as [string, number];
      return text.repeat(times);
    }
  }
  return Object.fromEntries(entries.map(([name, each]) => [name, resolved(scope, each)]));
}

function found(scope: Scope, path: string): unknown {
  let value: unknown = scope;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return null;
    value = (value as Record<string, unknown>)[name];
  }
  return value ?? null;
}
