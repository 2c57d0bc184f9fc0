/** Where the code that runs just now is: in a run, or in the body of one of its steps. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { StepCall } from "./replay/call.js";
import { childTraceparent, stepSpanId } from "./replay/key.js";
import { Machine } from "./replay/machine.js";

/** The run, or the step, of the code that runs. */
export const SCOPE = new AsyncLocalStorage<Machine | StepCall>();

/**
 * The W3C trace context of the step whose body this is called in, else of the run; empty outside of runs.
 *
 * Pass it on when a step calls another service, so that its spans become children of the step's.
 */
export function currentTraceparent(): string {
  const scope = SCOPE.getStore();
  if (scope === undefined) return "";
  if (scope instanceof Machine) return scope.traceparent;
  const run = scope.machine;
  return childTraceparent(run.traceparent, stepSpanId(run.runId, scope.key));
}
