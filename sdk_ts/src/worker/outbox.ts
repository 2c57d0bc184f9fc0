/**
 * All that is to be told to the server, and all that it has not confirmed. In the stream's thread.
 *
 * The law: a report stays here until its ack comes, and is sent again on every new stream; a lease stays here, and so in
 * every heartbeat, from the moment it is read from the stream until its outcome is acknowledged or it is taken away.
 */

import { fromBinary } from "@bufbuild/protobuf";
import { ReportSchema } from "../gen/steplane/v1/work_pb.js";
import { AckStatus, StepState } from "../replay/journal.js";
import type { CertaintyWriter } from "./certainty.js";
import * as frames from "./frames.js";
import { leaseKey, type IncomingAck, type Lease } from "./messages.js";
import { Slots } from "./slots.js";

export const FRAME_BYTES_DEFAULT = 4 * 1024 * 1024;

/** What is to be sent on one stream. */
export interface Sink {
  readonly isWelcome: boolean;
  readonly isCredited: boolean;
  readonly frameBytesMax: number;
  /** Send a frame. */
  write(frame: Buffer): void;
  /** Whether the other side is behind: what is not sent now is sent later, together. */
  readonly isFull: boolean;
}

interface Held {
  readonly lease: Lease;
  /** What was reported and not acknowledged, by its step key; an outcome has none. */
  readonly unacked: Map<string, Uint8Array>;
}

/** What waits to be sent, and what waits to be acknowledged. */
export class Outbox {
  readonly #slots: Slots;
  readonly #certainty: CertaintyWriter;
  readonly #held = new Map<string, Held>();
  #unsent: Uint8Array[] = [];
  #released: Lease[] = [];
  #isBeatDue = false;
  #isDraining = false;
  #isDrainDue = false;
  #isFlushDue = false;
  #sink: Sink | undefined;

  constructor(slots: number, certainty: CertaintyWriter) {
    this.#slots = new Slots(slots);
    this.#certainty = certainty;
  }

  // What the user's side says.

  /** Reports to send and to keep. Those of leases that were taken away meanwhile are dropped. */
  put(index: readonly (string | number)[], data: Uint8Array, slotsFreed: number): void {
    let start = 0;
    for (let at = 0; at < index.length; at += 4) {
      const end = start + (index[at + 3] as number);
      const held = this.#held.get(leaseKey({ runId: index[at] as string, epoch: index[at + 1] as number }));
      if (held !== undefined) {
        const report = data.subarray(start, end);
        held.unacked.set(index[at + 2] as string, report);
        this.#unsent.push(report);
      }
      start = end;
    }
    this.#slots.busy -= slotsFreed;
    this.#flushSoon();
  }

  /** Leases were taken away. What was not sent of them is not sent any more. */
  forget(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const key = leaseKey(lease);
      const dropped = new Set(this.#held.get(key)?.unacked.values());
      this.#held.delete(key);
      if (dropped.size > 0) this.#unsent = this.#unsent.filter((report) => !dropped.has(report));
    }
  }

  /** Hand leases back; they are held no longer. */
  release(leases: readonly Lease[], slotsFreed: number): void {
    this.#released.push(...leases.filter((lease) => this.#held.delete(leaseKey(lease))));
    this.#slots.busy -= slotsFreed;
    this.#flushSoon();
  }

  /** Ask for no more invocations, on this stream and all that follow. */
  drain(): void {
    if (!this.#isDraining) this.#isDrainDue = true;
    this.#isDraining = true;
    this.#flushSoon();
  }

  /** Every lease that the server counts, or may count, as this worker's. */
  get held(): Lease[] {
    return Array.from(this.#held.values(), (each) => each.lease);
  }

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  // What the stream says.

  /** Begin a stream: nothing is sent on it until it is welcome. The result are the leases that its hello asks to keep. */
  open(): Lease[] {
    this.#slots.reset();
    this.#isBeatDue = false;
    this.#released = [];
    return this.held;
  }

  /** The server's answer to a hello. All that is not acknowledged is sent again; the result are leases that are lost. */
  welcome(sink: Sink, offered: readonly Lease[], resumed: readonly Lease[]): Lease[] {
    const kept = new Set(resumed.map(leaseKey));
    const lost = offered.filter((lease) => !kept.has(leaseKey(lease)) && this.#held.delete(leaseKey(lease)));
    this.#unsent = Array.from(this.#held.values(), (each) => [...each.unacked.values()]).flat();
    this.#sink = sink;
    this.#isDrainDue = this.#isDraining;
    this.#flushSoon();
    return lost;
  }

  /** Invocations came. Each occupies a slot, unless it is one that is held already. */
  received(leases: readonly Lease[]): void {
    for (const { runId, epoch } of leases) {
      const key = leaseKey({ runId, epoch });
      this.#slots.received();
      if (!this.#held.has(key)) {
        this.#held.set(key, { lease: { runId, epoch }, unacked: new Map() });
        this.#slots.busy += 1;
      }
    }
  }

  /**
   * Acks came. The result are those that the user's side has to see: not those of an outcome that is on disk, and not
   * those of reports that were answered before.
   */
  acked(acks: readonly IncomingAck[]): IncomingAck[] {
    return acks.filter((ack) => {
      const key = leaseKey(ack);
      const held = this.#held.get(key);
      const isLost = ack.status === AckStatus.STALE_EPOCH || ack.status === AckStatus.RUN_ENDED;
      if (held !== undefined && !isLost) {
        const report = held.unacked.get(ack.stepKey);
        if (report === undefined || isOfEarlierTry(ack, report)) return false;
        held.unacked.delete(ack.stepKey);
      }
      const isSuccess = ack.status === AckStatus.COMMITTED || ack.status === AckStatus.DUPLICATE;
      if (ack.stepKey !== "" || !isSuccess) return true;
      this.#held.delete(key);
      return false;
    });
  }

  /** It is time for a heartbeat. */
  beat(): void {
    this.#isBeatDue = true;
    this.flush();
  }

  /** The stream is gone. */
  close(): void {
    this.#sink = undefined;
    this.#certainty.end();
  }

  /** Send what there is, as far as the stream takes it. */
  flush(): void {
    const sink = this.#sink;
    if (sink?.isWelcome !== true) return;
    if (this.#isBeatDue) {
      this.#isBeatDue = false;
      sink.write(frames.heartbeat(this.held));
    }
    if (sink.isFull) return;
    if (this.#isDrainDue) {
      this.#isDrainDue = false;
      sink.write(frames.drain());
    }
    if (this.#unsent.length > 0) {
      const unsent = this.#unsent;
      this.#unsent = [];
      for (const frame of frames.reports(unsent, sink.frameBytesMax)) sink.write(frame);
    }
    if (this.#released.length > 0) {
      // After the reports, which would count no more.
      sink.write(frames.release(this.#released));
      this.#released = [];
    }
    const credit = sink.isCredited && !this.#isDraining ? this.#slots.credit() : undefined;
    if (credit !== undefined) sink.write(frames.credit(credit));
  }

  #flushSoon(): void {
    if (this.#isFlushDue || this.#sink === undefined) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      this.flush();
    });
  }
}

/** Whether an ack came late: it tells of fewer tries than the report that waits for its own. */
function isOfEarlierTry({ entry }: IncomingAck, report: Uint8Array): boolean {
  if (entry?.state !== StepState.RETRYING) return false;
  const { body } = fromBinary(ReportSchema, report);
  const attempt = body.case === "stepCompleted" || body.case === "stepFailed" ? body.value.attempt : 0;
  return entry.attempts < attempt;
}
