/** What an error that was thrown in a user's code says: to people, and about trying again. */

import { NonRetriableError, RetryAfterError, StepError } from "./errors.js";
import { cut, shown } from "./text.js";
import { encodeDuration, milliseconds } from "./time.js";

const TEXT_BYTES_MAX = 16 * 1024;
/** Where the SDK's own code is: its frames, which are in every stack, tell a user nothing. */
const FRAME = /^\s+at /;
const HERE = new URL(".", import.meta.url).href;

/** A failure for the wire. */
export interface OutgoingFailure {
  name: string;
  message: string;
  stack: string;
  stepKey: string;
}

/** An error for the wire. One that a step failed with keeps that step's name, message and stack. */
export function failureOf(error: unknown, stepKey = ""): OutgoingFailure {
  if (!(error instanceof Error)) {
    const message = typeof error === "string" ? error : shown(error);
    return { name: "Error", message: wellFormed(cut(message, TEXT_BYTES_MAX)), stack: "", stepKey };
  }
  const { message }: { message: unknown } = error; // a text by its type, but anybody can set it
  return {
    name: wellFormed(nameOf(error)),
    message: wellFormed(cut(String(message), TEXT_BYTES_MAX)),
    stack: wellFormed(cut(stackOf(error), TEXT_BYTES_MAX)),
    stepKey: stepKey === "" && error instanceof StepError ? error.stepKey : stepKey,
  };
}

interface Directive {
  directive: { case: "never"; value: boolean } | { case: "after"; value: ReturnType<typeof encodeDuration> };
}

/** What an error says about trying again; `undefined` leaves it to the retry policy. */
export function directiveOf(error: unknown, now: number): Directive | undefined {
  if (isFinal(error)) return { directive: { case: "never", value: true } };
  if (!(error instanceof RetryAfterError)) return undefined;
  return { directive: { case: "after", value: encodeDuration(waitOf(error, now)) } };
}

/** Where an error came from, and what caused it, without the SDK's own code. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return shown(error);
  const text = framesOf(error);
  const { cause } = error;
  return cause instanceof Error && cause !== error ? `${text}\ncaused by ${framesOf(cause)}` : text;
}

/** The name of an error: its own, or that of its class if it was given none. */
export function nameOf(error: Error): string {
  if (error instanceof StepError) return error.name === "" ? "StepError" : error.name;
  return error.name !== "" && error.name !== "Error" ? error.name : error.constructor.name || "Error";
}

function isFinal(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isFinal);
  return error instanceof NonRetriableError || error instanceof StepError;
}

function waitOf(error: RetryAfterError, now: number): number {
  const { after } = error;
  try {
    return Math.max(after instanceof Date ? after.getTime() - now : milliseconds(after), 0);
  } catch {
    return 0; // what was meant is not known, so soon
  }
}

function framesOf(error: Error): string {
  const isOthers = (line: string): boolean => !(FRAME.test(line) && (line.includes(HERE) || line.includes("(node:")));
  const stack = error.stack ?? String(error);
  // A stack is written before the constructor of a class can say its name.
  const named = stack.startsWith("Error") ? nameOf(error) + stack.slice("Error".length) : stack;
  return named.split("\n").filter(isOthers).join("\n");
}

/** Protobuf refuses half characters. */
function wellFormed(text: string): string {
  return /\p{Surrogate}/u.test(text) ? text.replace(/\p{Surrogate}/gu, "\ufffd") : text;
}
