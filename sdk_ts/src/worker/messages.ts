/** What crosses between the user's thread and the stream's: plain values, many a message. */

import type { IncomingEvent } from "../codec.js";
import type { FieldViolation } from "../errors.js";
import type { Limits } from "../limits.js";
import type { Level } from "../logger.js";
import type { Entry } from "../replay/journal.js";
import type { Target } from "../transport.js";

/** One lease of one run to this worker. */
export interface Lease {
  readonly runId: string;
  readonly epoch: number;
}

/** The same lease has the same text. */
export function leaseKey(lease: Lease): string {
  return `${lease.runId}/${lease.epoch}`;
}

/** Who the worker is. */
export interface Identity {
  readonly namespace: string;
  readonly appId: string;
  readonly instanceId: string;
}

/** What the stream's thread begins with. */
export interface ThreadData {
  readonly target: Target;
  readonly identity: Identity;
  readonly definitions: readonly Uint8Array[];
  readonly slots: number;
  /** See `certainty.ts`. */
  readonly certainty: SharedArrayBuffer;
}

/** What the user's side says. */
export type Command =
  | {
      readonly kind: "put";
      /** Of each report: run id, epoch, step key, and how many bytes it has of `data`. */
      readonly index: readonly (string | number)[];
      readonly data: Uint8Array;
      readonly slotsFreed: number;
    }
  | { readonly kind: "forget"; readonly leases: readonly Lease[] }
  | { readonly kind: "release"; readonly leases: readonly Lease[]; readonly slotsFreed: number }
  | { readonly kind: "drain" }
  /** Answer `settled` with this number once nothing is held. */
  | { readonly kind: "settle"; readonly number: number }
  | { readonly kind: "stop" };

/** An invocation, as it came. */
export interface IncomingInvocation extends Lease {
  readonly functionId: string;
  readonly events: readonly IncomingEvent[];
  readonly attempt: number;
  readonly journal: readonly Entry[];
  readonly journalRemaining: number;
  readonly traceparent: string;
}

/** The answer to a report. */
export interface IncomingAck extends Lease {
  readonly stepKey: string;
  readonly status: number;
  readonly message: string;
  readonly entry: Entry | undefined;
}

/** A blocked step that may go on. */
export interface IncomingResolution extends Lease {
  readonly entry: Entry;
}

/** What the stream's side says, in the order that things came. */
export type News =
  /** A stream is open. The lost leases are to be stopped. */
  | { readonly kind: "welcomed"; readonly stream: number; readonly limits: Limits; readonly lost: readonly Lease[] }
  | { readonly kind: "invoked"; readonly invocations: readonly IncomingInvocation[] }
  | { readonly kind: "journalContinued"; readonly lease: Lease; readonly entries: readonly Entry[] }
  | { readonly kind: "acked"; readonly acks: readonly IncomingAck[] }
  | { readonly kind: "resolved"; readonly resolutions: readonly IncomingResolution[] }
  | { readonly kind: "takenAway"; readonly leases: readonly Lease[]; readonly reason: string }
  /** The stream is gone; another is being opened. */
  | { readonly kind: "disconnected" }
  /** Nothing was held when this was said. */
  | { readonly kind: "settled"; readonly number: number }
  /** No more work comes on this stream. */
  | { readonly kind: "drainAcked" }
  /** The server does not take what this worker serves; the session has ended. */
  | {
      readonly kind: "refused";
      readonly message: string;
      readonly code: string;
      readonly violations: readonly FieldViolation[];
    }
  | { readonly kind: "log"; readonly level: Level; readonly text: string };
