/** Durations and moments, as users write them and as the wire has them. */

import { create } from "@bufbuild/protobuf";
import {
  DurationSchema,
  TimestampSchema,
  type Duration as DurationMessage,
  type Timestamp,
} from "@bufbuild/protobuf/wkt";
import { shown } from "./text.js";

/** A number of milliseconds, or a text: "500ms", "30s", "5m", "2h", "7d", "1h30m", "3 days". */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  second: 1_000,
  m: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  w: 604_800_000,
  week: 604_800_000,
};
const PARTS = /(\d+(?:\.\d+)?)\s*(?:(second|minute|hour|day|week)s?|(ms|[smhdw]))\s*/gy;
const ZONED = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)$/;

export const DAY = 86_400_000;

/** How many milliseconds a duration has. Throws a `TypeError` that says what a duration is. */
export function milliseconds(duration: Duration): number {
  if (typeof duration === "number" && Number.isFinite(duration)) return duration;
  const parsed = typeof duration === "string" ? parse(duration.trim()) : undefined;
  if (parsed === undefined) {
    throw new TypeError(`a duration is a number of milliseconds, or a text such as '30s', not ${shown(duration)}`);
  }
  return parsed;
}

/** The moment of a `Date`, or of an RFC 3339 text with a time zone; `undefined` if it is neither. */
export function moment(value: unknown): Date | undefined {
  const date = typeof value === "string" ? (ZONED.test(value) ? new Date(value) : undefined) : value;
  return date instanceof Date && !Number.isNaN(date.getTime()) ? date : undefined;
}

/** A duration for the wire. */
export function encodeDuration(length: number): DurationMessage {
  const [seconds, nanos] = split(length);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos });
}

/** A moment, in milliseconds since 1970, for the wire. */
export function encodeMoment(epochMilliseconds: number): Timestamp {
  const [seconds, nanos] = split(epochMilliseconds);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos });
}

/** Either from the wire, in milliseconds. */
export function decodeMilliseconds(message: { seconds: bigint; nanos: number } | undefined): number {
  return message === undefined ? 0 : Number(message.seconds) * 1000 + message.nanos / 1e6;
}

function split(length: number): [number, number] {
  const seconds = Math.floor(length / 1000);
  return [seconds, Math.round((length - seconds * 1000) * 1000) * 1000];
}

function parse(text: string): number | undefined {
  let total = 0;
  PARTS.lastIndex = 0;
  for (let end = 0; end < text.length; end = PARTS.lastIndex) {
    const part = PARTS.exec(text);
    if (part === null) return undefined;
    total += Number(part[1]) * (UNITS[part[2] ?? part[3] ?? ""] ?? 0);
  }
  return text === "" ? undefined : total;
}
