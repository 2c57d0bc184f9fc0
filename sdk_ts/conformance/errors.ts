/** Failures of a script as errors, and errors as values of a script. */

import { NonRetriableError, RetryAfterError, StepError } from "../src/index.js";

/** An error that a script raises. */
export interface Failure {
  readonly name?: string;
  readonly message?: string;
  readonly retry?: "never" | { readonly after_ms: number };
}

/** An error that the SDK reports by the failure's name. */
export function errorOf({ name, message = "", retry }: Failure): Error {
  const error = kindOf(message, retry);
  if (name !== undefined) error.name = name;
  return error;
}

/** An error as scripts see it once it is caught. */
export function errorValue(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), reason: "", step_id: "" };
  const { name, message } = error;
  const [reason, step_id] = error instanceof StepError ? [error.reason, error.stepId] : ["", ""];
  return { name, message, reason, step_id };
}

function kindOf(message: string, retry: Failure["retry"]): Error {
  if (retry === undefined) return new Error(message);
  return retry === "never" ? new NonRetriableError(message) : new RetryAfterError(message, retry.after_ms);
}
