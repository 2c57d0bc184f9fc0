/** What comes from the server, as the plain values that cross to the user's thread. */

import { decodeEntry, receiveEvent } from "../codec.js";
import type { Ack, Invocation, Resolution } from "../gen/steplane/v1/work_pb.js";
import type { IncomingAck, IncomingInvocation, IncomingResolution } from "./messages.js";

/** The answer to a report. */
export function ackOf({ runId, epoch, stepKey, status: outcome, message, entry }: Ack): IncomingAck {
  return {
    runId,
    epoch,
    stepKey,
    status: outcome,
    message,
    entry: entry === undefined ? undefined : decodeEntry(entry),
  };
}

/** An invocation. */
export function invocationOf(message: Invocation): IncomingInvocation {
  const { runId, epoch, functionId, attempt, journalRemaining, traceparent } = message;
  return {
    runId,
    epoch,
    functionId,
    attempt,
    journalRemaining,
    traceparent,
    events: message.events.map(receiveEvent),
    journal: message.journal.map(decodeEntry),
  };
}

/** Steps that may go on. */
export function resolutionsOf(resolutions: readonly Resolution[]): IncomingResolution[] {
  return resolutions.flatMap(({ runId, epoch, entry }) =>
    entry === undefined ? [] : [{ runId, epoch, entry: decodeEntry(entry) }],
  );
}
