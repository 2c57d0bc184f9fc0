/** Step keys and span ids, as the server and every other SDK derive them. */

import { createHash } from "node:crypto";
import { StepIdError } from "../errors.js";
import { kindOf, quoted } from "../text.js";

const STEP_KEY_BYTES_MAX = 256;
const STEP_ID_BYTES_MAX = STEP_KEY_BYTES_MAX - "#9999".length;
// eslint-disable-next-line no-control-regex -- these are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Ids that were found good: most programs use the same few again and again. */
const good = new Set<string>();
const GOOD_MAX = 4096;

/**
 * What identifies a step inside its run: its id, "#", and how often that id was used before.
 *
 * Throws `StepIdError` if the id can't be one.
 */
export function stepKey(stepId: string, occurrence: number): string {
  if (!good.has(stepId)) {
    const given: unknown = stepId; // programs without types give anything
    const problem = stepIdProblem(given);
    if (problem !== undefined) {
      throw new StepIdError(`step id ${quoted(Array.from(String(given)).slice(0, 64).join(""))} ${problem}`);
    }
    if (good.size >= GOOD_MAX) good.clear();
    good.add(stepId);
  }
  return `${stepId}#${occurrence}`;
}

/** The id in a step key. */
export function stepIdOf(key: string): string {
  return key.slice(0, key.lastIndexOf("#"));
}

function stepIdProblem(stepId: unknown): string | undefined {
  if (typeof stepId !== "string") return `is not a text, but ${kindOf(stepId)}`;
  if (stepId === "") return "is empty";
  if (/\p{Surrogate}/u.test(stepId)) return "is not valid Unicode";
  const size = Buffer.byteLength(stepId);
  if (size > STEP_ID_BYTES_MAX) return `has ${size} bytes; ${STEP_ID_BYTES_MAX} are the most`;
  return CONTROL.test(stepId) ? "has control characters" : undefined;
}

/** The span of a run. */
export function runSpanId(runId: string): string {
  return span(runId);
}

/** The span of a step. */
export function stepSpanId(runId: string, key: string): string {
  return span(`${runId}/${key}`);
}

/** `parent` with another span: the trace id and the flags stay. Empty if there is no parent. */
export function childTraceparent(parent: string, spanId: string): string {
  return parent === "" ? "" : `00-${parent.slice(3, 35)}-${spanId}-${parent.slice(53, 55)}`;
}

function span(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
