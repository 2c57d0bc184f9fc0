/** The recorded steps of a run, as replay reads them. The numbers are those of the wire. */

/** What a step does. */
export const StepKind = {
  RUN: 1,
  SLEEP: 2,
  SEND_EVENTS: 3,
  WAIT_FOR_EVENT: 4,
  INVOKE: 5,
  WAIT_FOR_SIGNAL: 6,
  SEND_SIGNAL: 7,
} as const;
export type StepKind = (typeof StepKind)[keyof typeof StepKind];

/** Where a recorded step stands. */
export const StepState = { PENDING: 1, RETRYING: 2, COMPLETED: 3, FAILED: 4 } as const;
export type StepState = (typeof StepState)[keyof typeof StepState];

/** What became of a report. */
export const AckStatus = { COMMITTED: 1, DUPLICATE: 2, STALE_EPOCH: 3, RUN_ENDED: 4, REJECTED: 5 } as const;
export type AckStatus = (typeof AckStatus)[keyof typeof AckStatus];

/** An error thrown by a user's code, or by the server, which then gives a reason. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly reason: string;
}

/** One recorded step. */
export interface Entry {
  readonly stepKey: string;
  readonly kind: number;
  readonly state: number;
  /** What it returned, as JSON; empty if nothing. */
  readonly output: string;
  readonly encoding: string;
  readonly failure: Failure | undefined;
  readonly attempts: number;
  /** Whether a retry has to wait yet: without it, a RETRYING step is to be tried now. */
  readonly isDueLater: boolean;
  readonly eventIds: readonly string[];
  /** When it was done or failed for good, in microseconds; no two steps of a run have the same. */
  readonly endedAt: number;
}
