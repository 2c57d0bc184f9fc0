/**
 * Sends events and signals from outside of runs: until the server has them, or has refused them, or the time is over.
 *
 * To try events again is safe: each has an id, so that one that was stored before its answer was lost is not stored again.
 * A signal has none: it is tried again only if the server surely did not take it.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { status, type Client, type ServiceError } from "@grpc/grpc-js";
import { encode, encodeEvent, payload } from "./codec.js";
import { SendError } from "./errors.js";
import type { EventToSend } from "./event.js";
import { EventService, SendEventsRequestSchema, SendSignalRequestSchema } from "./gen/steplane/v1/event_pb.js";
import { retryDelayOf, violationsOf } from "./status.js";
import { quoted } from "./text.js";
import { callUnary, codeOf, connect, explain, isServiceError, type Target } from "./transport.js";

const CALL_TIME_MAX = 10_000;
const DELAY_MIN = 100;
const DELAY_MAX = 5_000;
const REFUSALS: readonly number[] = [status.INVALID_ARGUMENT, status.NOT_FOUND, status.RESOURCE_EXHAUSTED];
/** What gRPC says of a call that never left. */
const NOT_CONNECTED = /No connection established|Name resolution failed|ECONNREFUSED|ENOTFOUND/i;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Sends the events and signals of one client. */
export class Sender {
  readonly #target: Target;
  readonly #namespace: string;
  #client: Client | undefined;

  constructor(target: Target, namespace: string) {
    this.#target = target;
    this.#namespace = namespace;
  }

  /** Send a batch. Throws `SendError`. */
  async send(batch: readonly EventToSend[], timeout: number): Promise<string[]> {
    if (batch.length === 0) return [];
    const events = batch.map((event, index) => {
      const message = encodeEvent(event, index);
      message.id ||= newEventId();
      return message;
    });
    const request = create(SendEventsRequestSchema, { namespace: this.#namespace, events });
    try {
      const { sendEvents } = EventService.method;
      const answer = await retrying(timeout, pauseAfter, (time) => callUnary(this.#open(), sendEvents, request, time));
      return answer.ids;
    } catch (error) {
      throw this.#refusal(error, "the events");
    }
  }

  /** Send a signal, and return the id of the run that got it. Throws `SendError`. */
  async sendSignal(signal: string, data: unknown, timeout: number): Promise<string> {
    const text = encode(data, "the data of signal", signal);
    const request = create(SendSignalRequestSchema, { namespace: this.#namespace, signal, data: payload(text) });
    try {
      const { sendSignal } = EventService.method;
      const answer = await retrying(timeout, pauseIfNotTaken, (time) =>
        callUnary(this.#open(), sendSignal, request, time),
      );
      return answer.runId;
    } catch (error) {
      throw this.#refusal(error, `signal ${quoted(signal)}`);
    }
  }

  /** Close the connection; the next `send` opens another. */
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #open(): Client {
    return (this.#client ??= connect(this.#target));
  }

  #refusal(error: unknown, what: string): unknown {
    if (!isServiceError(error)) return error;
    const violations = violationsOf(error.metadata);
    let message = `${what} could not be sent: ${explain(error, this.#target)}`;
    if (REFUSALS.includes(error.code)) {
      message = `the server refused ${what}${violations.length > 0 ? "" : `: ${error.details}`}`;
    }
    return new SendError(message, codeOf(error), violations);
  }
}

/** Call until it succeeds, or there should be no further try, or the time is over. */
async function retrying<T>(
  timeout: number,
  pauseAfterError: (error: ServiceError, delayMax: number) => number | undefined,
  call: (timeout: number) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (let delayMax = DELAY_MIN; ; delayMax = Math.min(delayMax * 2, DELAY_MAX)) {
    let wait: number | undefined;
    try {
      return await call(Math.min(Math.max(deadline - performance.now(), 1), CALL_TIME_MAX));
    } catch (error) {
      wait = isServiceError(error) ? pauseAfterError(error, delayMax) : undefined;
      if (wait === undefined || performance.now() + wait >= deadline) throw error;
    }
    await pause(wait);
  }
}

/** How long to wait before the next try, or `undefined` if there should be none. */
function pauseAfter(error: ServiceError, delayMax: number): number | undefined {
  const jitter = Math.random() * delayMax;
  const asked = retryDelayOf(error.metadata);
  switch (error.code) {
    // A server that stops may end a call that it has not looked at as CANCELLED.
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.CANCELLED:
      return (asked ?? 0) + jitter;
    case status.RESOURCE_EXHAUSTED:
      // Without RetryInfo it is a message that is too large, which is so for ever.
      return asked === undefined ? undefined : asked + jitter;
    default:
      return undefined;
  }
}

/** The same for what must not be done twice: only if the server surely did not do it. */
function pauseIfNotTaken(error: ServiceError, delayMax: number): number | undefined {
  const wasRefused = retryDelayOf(error.metadata) !== undefined;
  return wasRefused || NOT_CONNECTED.test(error.details) ? pauseAfter(error, delayMax) : undefined;
}

/** An id that no other event has, and that sorts by time. */
function newEventId(): string {
  let value = (BigInt(Date.now()) << 80n) | BigInt(`0x${randomBytes(10).toString("hex")}`);
  let text = "";
  for (let place = 0; place < 26; place += 1, value >>= 5n) text = (ALPHABET[Number(value & 31n)] ?? "") + text;
  return text;
}
