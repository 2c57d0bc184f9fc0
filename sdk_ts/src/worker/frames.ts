/**
 * Frames to the server as bytes.
 *
 * Reports are kept as bytes until they are acknowledged, and go out many a frame, so their frame is put together from these
 * bytes: a message that repeats another is, on the wire, each of those with its tag and length before it.
 */

import { readFileSync } from "node:fs";
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { StreamWorkRequestSchema } from "../gen/steplane/v1/work_pb.js";
import type { Identity, Lease } from "./messages.js";

const REPORTS_FIELD = 3;
const REPORT_FIELD = 1;
const FRAME_TAG = (REPORTS_FIELD << 3) | WireType.LengthDelimited;
const ITEM_TAG = (REPORT_FIELD << 3) | WireType.LengthDelimited;
/** What a frame needs around one report: two tags and two lengths, rounded up. */
const OVERHEAD_BYTES = 32;

/** Who the worker is. */
export function hello(identity: Identity, functionIds: string[], held: Lease[]): Buffer {
  const { namespace, appId, instanceId } = identity;
  const sdk = `steplane-ts/${version()}`;
  const language = `node/${process.versions.node}`;
  return frame({
    case: "hello",
    value: { namespace, appId, functionIds, instanceId, sdk, language, held: plain(held) },
  });
}

/** How many invocations the server may have sent. */
export function credit(invocationLimit: number): Buffer {
  return frame({ case: "credit", value: { invocationLimit: BigInt(invocationLimit) } });
}

/** A sign of life. */
export function heartbeat(held: Lease[]): Buffer {
  return frame({ case: "heartbeat", value: { held: plain(held) } });
}

/** Invocations handed back. */
export function release(leases: Lease[]): Buffer {
  return frame({ case: "release", value: { leases: plain(leases) } });
}

/** No more invocations, please. */
export function drain(): Buffer {
  return frame({ case: "drain", value: {} });
}

/** Reports in as few frames as hold them; a report that is too large for any goes alone. */
export function* reports(items: readonly Uint8Array[], bytesMax: number): Generator<Buffer> {
  let first = 0;
  let size = 0;
  for (const [index, item] of items.entries()) {
    if (index > first && size + item.length + OVERHEAD_BYTES > bytesMax) {
      yield reportsFrame(items.slice(first, index));
      first = index;
      size = 0;
    }
    size += item.length + OVERHEAD_BYTES;
  }
  if (first < items.length) yield reportsFrame(first === 0 ? items : items.slice(first));
}

function reportsFrame(items: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const item of items) size += 1 + varintSize(item.length) + item.length;
  const buffer = Buffer.allocUnsafe(1 + varintSize(size) + size);
  buffer[0] = FRAME_TAG;
  let end = writeVarint(buffer, 1, size);
  for (const item of items) {
    buffer[end] = ITEM_TAG;
    end = writeVarint(buffer, end + 1, item.length);
    buffer.set(item, end);
    end += item.length;
  }
  return buffer;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest >>>= 7) size += 1;
  return size;
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let [end, rest] = [at, value];
  for (; rest > 127; rest >>>= 7, end += 1) buffer[end] = (rest & 127) | 128;
  buffer[end] = rest;
  return end + 1;
}

function frame(content: NonNullable<MessageInitShape<typeof StreamWorkRequestSchema>["frame"]>): Buffer {
  return Buffer.from(toBinary(StreamWorkRequestSchema, create(StreamWorkRequestSchema, { frame: content })));
}

function plain(leases: Lease[]): { runId: string; epoch: number }[] {
  return leases.map(({ runId, epoch }) => ({ runId, epoch }));
}

function version(): string {
  const url = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}
