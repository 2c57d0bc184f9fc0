/** One call of a step by the code. Only the machine changes its status. */

import type { Entry, StepKind } from "./journal.js";
import type { Machine } from "./machine.js";

/** Where a called step stands. */
export const Status = {
  /** The shell is to do it now, and to report it. */
  EXECUTE: 1,
  /** It was done; its ack is awaited. */
  REPORTED: 2,
  /** The server has to let time pass first. */
  BLOCKED: 3,
  COMPLETED: 4,
  FAILED: 5,
  /** The server refused it for good. */
  REJECTED: 6,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** One call of a step by the code, until the code has its result. */
export class StepCall {
  status: Status = Status.EXECUTE;
  /** How many tries were made before. */
  attempts = 0;
  /** The step as it is recorded, as far as that is known here. */
  entry: Entry | undefined = undefined;
  /** Why it was rejected. */
  problem = "";
  /** Whether it is held: it counts as active, since a run is not parked on what can go on here. */
  isHeld = false;
  /** The shell's: the result of a try that was executed here. */
  value: unknown = undefined;
  /** The shell's: lets the code go on that waits for this call. */
  waiter: (() => void) | undefined = undefined;

  constructor(
    readonly machine: Machine,
    readonly key: string,
    readonly kind: StepKind,
  ) {}
}
