/**
 * Reports: one fact about a run each, as the bytes that are kept until the ack comes.
 *
 * The frequent ones are written field by field, which is several times as fast as to make a message of them first.
 */

import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Event } from "./gen/steplane/v1/event_pb.js";
import { directiveOf, failureOf } from "./failures.js";
import {
  ReportSchema,
  type InvokeStarted,
  type SignalSent,
  type SignalWaitStarted,
  type WaitStarted,
} from "./gen/steplane/v1/work_pb.js";
import type { StepCall } from "./replay/call.js";
import type { Machine } from "./replay/machine.js";
import { policyOf, type Retry } from "./retry.js";
import { encodeDuration, encodeMoment } from "./time.js";

type Body = NonNullable<MessageInitShape<typeof ReportSchema>["body"]>;

/** A try of a step returned: `text` is its result. */
export function stepCompleted(call: StepCall, text: string, startTime: number): Uint8Array {
  const writer = begin(call.machine.runId, call.machine.epoch, call.key, startTime);
  writer.tag(5, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(text).join();
  return writer
    .tag(2, WireType.Varint)
    .uint32(call.attempts + 1)
    .join()
    .finish();
}

/** The function returned: `text` is what. */
export function runCompleted(machine: Machine, text: string, startTime: number): Uint8Array {
  const writer = begin(machine.runId, machine.epoch, "", startTime);
  writer.tag(9, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(text).join();
  return writer.join().finish();
}

/** Every branch is blocked. */
export function runParked(machine: Machine, blockedBy: readonly string[]): Uint8Array {
  const writer = begin(machine.runId, machine.epoch, "", undefined);
  writer.tag(11, WireType.LengthDelimited).fork();
  for (const key of blockedBy) writer.tag(1, WireType.LengthDelimited).string(key);
  return writer.join().finish();
}

/** A try of a step threw an error. */
export function stepFailed(call: StepCall, error: unknown, retry: Retry | undefined, startTime: number): Uint8Array {
  const directive = directiveOf(error, Date.now());
  return encoded(call.machine, call.key, startTime, {
    case: "stepFailed",
    value: {
      failure: failureOf(error, call.key),
      attempt: call.attempts + 1,
      ...(directive === undefined ? {} : { retry: directive }),
      ...(retry === undefined ? {} : { policy: policyOf(retry) }),
    },
  });
}

/** The function threw an error. */
export function runFailed(lease: { runId: string; epoch: number }, error: unknown, startTime: number): Uint8Array {
  const directive = directiveOf(error, Date.now());
  return encoded(lease, "", startTime, {
    case: "runFailed",
    value: { failure: failureOf(error), ...(directive === undefined ? {} : { retry: directive }) },
  });
}

/** A sleep begins: for so many milliseconds, or until a moment. */
export function sleepStarted(call: StepCall, until: number | Date): Uint8Array {
  return started(call, {
    case: "sleepStarted",
    value: {
      until:
        typeof until === "number"
          ? { case: "duration", value: encodeDuration(until) }
          : { case: "dueTime", value: encodeMoment(until.getTime()) },
    },
  });
}

/** A step sends events. */
export function eventsSent(call: StepCall, events: Event[]): Uint8Array {
  return started(call, { case: "eventsSent", value: { events } });
}

/** A wait for an event begins. */
export function waitStarted(call: StepCall, value: WaitStarted): Uint8Array {
  return started(call, { case: "waitStarted", value });
}

/** Another function is invoked. */
export function invokeStarted(call: StepCall, value: InvokeStarted): Uint8Array {
  return started(call, { case: "invokeStarted", value });
}

/** A wait for a signal begins. */
export function signalWaitStarted(call: StepCall, value: SignalWaitStarted): Uint8Array {
  return started(call, { case: "signalWaitStarted", value });
}

/** A step sends a signal. */
export function signalSent(call: StepCall, value: SignalSent): Uint8Array {
  return started(call, { case: "signalSent", value });
}

function started(call: StepCall, body: Body): Uint8Array {
  return encoded(call.machine, call.key, Date.now(), body);
}

function encoded(
  { runId, epoch }: { runId: string; epoch: number },
  stepKey: string,
  startTime: number,
  body: Body,
): Uint8Array {
  return toBinary(
    ReportSchema,
    create(ReportSchema, { runId, epoch, stepKey, startTime: encodeMoment(startTime), body }),
  );
}

/** What all reports begin with. */
function begin(runId: string, epoch: number, stepKey: string, startTime: number | undefined): BinaryWriter {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(runId).tag(2, WireType.Varint).uint32(epoch);
  if (stepKey !== "") writer.tag(3, WireType.LengthDelimited).string(stepKey);
  if (startTime === undefined) return writer;
  const seconds = Math.floor(startTime / 1000);
  return writer
    .tag(4, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.Varint)
    .int64(seconds)
    .tag(2, WireType.Varint)
    .int32((startTime - seconds * 1000) * 1_000_000)
    .join();
}
