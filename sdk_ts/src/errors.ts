/**
 * Every error of the SDK: those that a function throws to say something, and those that tell it something.
 *
 * What an error says about trying again is decided in `failures.ts`.
 */

import { quoted } from "./text.js";
import type { Duration } from "./time.js";

/** The base of all errors of the SDK. */
export class SteplaneError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Throw it to fail a step, or the function, at once: it is not tried again. */
export class NonRetriableError extends SteplaneError {}

/**
 * Throw it to have a step, or the function, tried again after a time of your choice.
 *
 * `after` is a duration (milliseconds, or a text such as "30s"), or a moment. The server keeps it between 1 second and 24
 * hours.
 */
export class RetryAfterError extends SteplaneError {
  constructor(
    message: string,
    /** When to try again. */
    readonly after: Duration | Date,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What is known of a step that failed. */
export interface StepFailure {
  name: string;
  message: string;
  stack: string;
  stepId: string;
  stepKey: string;
  reason: string;
}

/**
 * A step failed for good. Thrown where the step was called; uncaught, it fails the run at once.
 *
 * Its `name`, `message` and `stack` are those of the error that the step failed with last; of an invoked function, those
 * that its run failed with.
 */
export class StepError extends SteplaneError {
  /** The id of the step. */
  readonly stepId: string;
  /** Which use of that id it was. */
  readonly stepKey: string;
  /**
   * Empty if code of yours failed: the step's own, or that of the function that it invoked. Else why the server let it
   * fail: CANCELLED, TIMED_OUT, FUNCTION_NOT_FOUND, SKIPPED, SET_ASIDE, SIGNAL_NOT_FOUND, SIGNAL_IN_USE, SIGNAL_REPLACED,
   * LINEAGE_TOO_DEEP.
   */
  readonly reason: string;

  constructor(failure: StepFailure) {
    super(failure.message);
    this.name = failure.name;
    this.stepId = failure.stepId;
    this.stepKey = failure.stepKey;
    this.reason = failure.reason;
    this.stack = failure.stack || this.toString();
  }

  override toString(): string {
    const what = this.name === "" ? this.message : `${this.name}: ${this.message}`;
    return `step ${quoted(this.stepId)} failed: ${what}`;
  }
}

/** A step, or a retry policy, is given what it can't have. It says what would do. */
export class ArgumentError extends NonRetriableError {}

/** A step's id can't be one. */
export class StepIdError extends NonRetriableError {}

/** The code no longer matches what is recorded of the run: the same step is called as another kind. */
export class NonDeterminismError extends NonRetriableError {}

/** A step was called inside the body of another. */
export class NestedStepError extends NonRetriableError {}

/** A value is not what JSON can carry. */
export class NotSerializableError extends NonRetriableError {}

/** A value is larger than the server takes. */
export class TooLargeError extends NonRetriableError {}

/** The server refused what a step, or a run, reported, and will never take it. */
export class RejectedError extends NonRetriableError {}

/** One thing that is wrong with a request. */
export interface FieldViolation {
  /** Which field, by its path: `events[3].name`. */
  field: string;
  /** What would be right. */
  description: string;
}

/** The server refused a request, or could not be reached. */
export class RequestError extends SteplaneError {
  constructor(
    message: string,
    /** The name of the gRPC status: `INVALID_ARGUMENT`, `UNAVAILABLE`, … */
    readonly code: string,
    /** What is wrong, field by field, if the request was. */
    readonly violations: readonly FieldViolation[] = [],
  ) {
    const lines = violations.map((each) => `\n  ${each.field}: ${each.description}`);
    super(message + lines.join(""));
  }
}

/**
 * Events, or a signal, could not be sent. None of the batch was stored, unless the code is `DEADLINE_EXCEEDED`.
 *
 * After that one nobody knows; to send the same events again is safe if they have ids. Of a signal nobody knows after
 * `UNAVAILABLE` as well, since it is not sent again by itself; `NOT_FOUND` says that no run waits for it.
 */
export class SendError extends RequestError {}

/** The server refused the definition of a function. */
export class RegistrationError extends RequestError {}
