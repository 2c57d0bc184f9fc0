/** The rich status of a gRPC error: what is wrong field by field, and when to try again. */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Metadata } from "@grpc/grpc-js";
import type { FieldViolation } from "./errors.js";
import { textOf } from "./codec.js";

const DETAILS_KEY = "grpc-status-details-bin";

/** The fields that a server found wrong. */
export function violationsOf(metadata: Metadata): FieldViolation[] {
  return detailsOf(metadata, "google.rpc.BadRequest").flatMap((detail) =>
    bytesOf(detail, 1).map((violation) => ({
      field: textOf(bytesOf(violation, 1)[0]),
      description: textOf(bytesOf(violation, 2)[0]),
    })),
  );
}

/** After how many milliseconds a server asks to be tried again, if it does. */
export function retryDelayOf(metadata: Metadata): number | undefined {
  const [detail] = detailsOf(metadata, "google.rpc.RetryInfo");
  const delay = detail === undefined ? undefined : bytesOf(detail, 1)[0];
  if (delay === undefined) return undefined;
  const [seconds, nanos] = [numberOf(delay, 1), numberOf(delay, 2)];
  return seconds * 1000 + nanos / 1e6;
}

/** The details of one type: a `google.rpc.Status` has them as `google.protobuf.Any` in its third field. */
function detailsOf(metadata: Metadata, type: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const status of metadata.get(DETAILS_KEY)) {
    if (typeof status === "string") continue;
    for (const any of bytesOf(status, 3)) {
      const name = textOf(bytesOf(any, 1)[0]);
      if (name.endsWith(`/${type}`)) found.push(bytesOf(any, 2)[0] ?? new Uint8Array());
    }
  }
  return found;
}

function bytesOf(message: Uint8Array, field: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}

function numberOf(message: Uint8Array, field: number): number {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.Varint) return Number(reader.int64());
    reader.skip(type);
  }
  return 0;
}
