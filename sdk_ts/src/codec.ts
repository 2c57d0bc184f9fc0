/** Values ⇄ JSON, and the SDK's words ⇄ protobuf. */

import { create } from "@bufbuild/protobuf";
import { ArgumentError, NotSerializableError, SteplaneError } from "./errors.js";
import type { Event, EventToSend } from "./event.js";
import { EventSchema, type Event as EventMessage } from "./gen/steplane/v1/event_pb.js";
import type { Payload } from "./gen/steplane/v1/payload_pb.js";
import type { JournalEntry } from "./gen/steplane/v1/run_pb.js";
import { nothingElse } from "./options.js";
import type { Entry } from "./replay/journal.js";
import { kindOf, quoted, shown } from "./text.js";
import { decodeMilliseconds, encodeMoment } from "./time.js";

const REMEDY =
  "Use objects, arrays, strings, numbers, booleans and null: for example Object.fromEntries(map), [...set] or " +
  "String(bigint).";

/** What JSON silently makes of what it can't carry, and of other things as well. */
const LOSS = /null|\{\}/;
/** Of these it makes `{}`. */
const LOSSY = [Map, Set, Promise];

/** A value as JSON. Throws `NotSerializableError`, which says `what` of which name it is. */
export function encode(value: unknown, what: string, name: string): string {
  try {
    const text = JSON.stringify(value ?? null) as string | undefined;
    if (text === undefined) throw new TypeError(`it is ${kindOf(value)}`);
    if (LOSS.test(text)) JSON.stringify(value, refuse); // which takes several times as long
    return text;
  } catch (error) {
    const problem = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new NotSerializableError(`${what} ${quoted(name)} is not JSON: ${problem}. ${REMEDY}`);
  }
}

/** A value, unless JSON would silently turn it into something else. */
function refuse(key: string, value: unknown): unknown {
  const where = key === "" ? "it" : `its ${quoted(key)}`;
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${where} is ${value}`);
  if (LOSSY.some((each) => value instanceof each)) throw new TypeError(`${where} is ${kindOf(value)}`);
  return value;
}

/** What a replay will have of a value whose JSON is `text`: for example a text where there was a `Date`. */
export function afterJson(value: unknown, text: string): unknown {
  return typeof value === "object" && value !== null ? (JSON.parse(text) as unknown) : (value ?? null);
}

/** The value of some JSON; of nothing at all it is null. */
export function decode(text: string, encoding = ""): unknown {
  if (encoding !== "" && encoding !== "json") {
    throw new SteplaneError(`a value is encoded as ${quoted(encoding)}, which this SDK does not know`);
  }
  return text === "" ? null : JSON.parse(text);
}

/** Bytes as the text that they are. */
export function textOf(data: Uint8Array | undefined): string {
  return data === undefined || data.length === 0
    ? ""
    : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
}

/** An event for the wire. Throws `ArgumentError` or `NotSerializableError`. */
export function encodeEvent(event: EventToSend, index: number): EventMessage {
  const { id = "", name, data = {}, ts = 0, user, traceparent = "", tracestate = "", ...rest } = event;
  if (typeof name !== "string") throw new ArgumentError(`event ${index} has no name, but ${shown(name)}`);
  nothingElse(rest, () => `event ${index} (${quoted(name)})`);
  const moment = ts instanceof Date ? ts.getTime() : ts;
  if (!Number.isFinite(moment)) {
    throw new ArgumentError(`the ts of event ${index} (${quoted(name)}) is ${shown(ts)}; use a Date, or Date.now()`);
  }
  const told = user === undefined ? data : { user, ...data };
  const message = create(EventSchema, {
    id,
    name,
    data: payload(encodeObject(told, `the data of event ${index},`, name)),
    traceparent,
    tracestate,
  });
  if (moment !== 0) message.ts = encodeMoment(moment);
  return message;
}

/** An object as JSON. Throws `NotSerializableError`. */
export function encodeObject(value: unknown, what: string, name: string): string {
  const text = encode(value, what, name);
  if (!text.startsWith("{")) {
    throw new NotSerializableError(`${what} ${quoted(name)} is ${kindOf(value)}; it has to be an object`);
  }
  return text;
}

/** An event as it crosses from the stream's thread: its data are JSON. */
export type IncomingEvent = Omit<Event, "data"> & { readonly text: string; readonly encoding: string };

/** An event from the wire. */
export function receiveEvent(message: EventMessage): IncomingEvent {
  return {
    name: message.name,
    text: textOf(message.data?.data),
    encoding: message.data?.encoding ?? "",
    id: message.id,
    ts: Math.floor(decodeMilliseconds(message.ts)),
    traceparent: message.traceparent,
    tracestate: message.tracestate,
  };
}

/** An event for the user. */
export function decodeEvent({ text, encoding, ...rest }: IncomingEvent): Event {
  return { ...rest, data: decode(text, encoding) ?? {} };
}

/** An event that a step waited for, from its output. */
export function eventOf(value: unknown): Event {
  const { name, data, id, ts } = value as Event;
  return { name, data, id, ts, traceparent: "", tracestate: "" };
}

/** A recorded step from the wire. */
export function decodeEntry(message: JournalEntry): Entry {
  const { failure, output, endTime } = message;
  return {
    stepKey: message.stepKey,
    kind: message.kind,
    state: message.state,
    output: textOf(output?.data),
    encoding: output?.encoding ?? "",
    failure:
      failure === undefined
        ? undefined
        : { name: failure.name, message: failure.message, stack: failure.stack, reason: failure.reason },
    attempts: message.attempts,
    isDueLater: message.dueTime !== undefined,
    eventIds: message.eventIds,
    endedAt: endTime === undefined ? 0 : Number(endTime.seconds) * 1_000_000 + Math.floor(endTime.nanos / 1000),
  };
}

/** JSON for the wire. */
export function payload(text: string): Pick<Payload, "data"> {
  return { data: Buffer.from(text) };
}
