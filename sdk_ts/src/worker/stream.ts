/** One stream to the server: reads it, keeps its time, and sends what the outbox has. In the stream's thread. */

import { fromBinary } from "@bufbuild/protobuf";
import { Metadata, status, type Client, type ClientDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { decodeEntry } from "../codec.js";
import {
  StreamWorkResponseSchema,
  WorkService,
  type StreamWorkResponse,
  type Welcome,
} from "../gen/steplane/v1/work_pb.js";
import { limitsOf } from "../limits.js";
import { decodeMilliseconds } from "../time.js";
import { pathOf } from "../transport.js";
import type { CertaintyWriter } from "./certainty.js";
import { ackOf, invocationOf, resolutionsOf } from "./incoming.js";
import type { Lease, News } from "./messages.js";
import { FRAME_BYTES_DEFAULT, type Outbox, type Sink } from "./outbox.js";

const WELCOME_TIME_MAX = 15_000;
const END_TIME_MAX = 2_000;
const DRAINED_CHECK_TIME = 100;

/** A stream ended, and not by an error of gRPC. */
export class SessionBroken extends Error {}

/** What a stream needs of its session. */
export interface StreamHost {
  readonly outbox: Outbox;
  readonly certainty: CertaintyWriter;
  /** Tell the user's side. */
  tell(news: News): void;
  hello(held: Lease[]): Buffer;
  welcomed(welcome: Welcome): void;
  /** What is held may be less than before. */
  settled(): void;
}

/** One stream. It runs once. */
export class Stream implements Sink {
  isWelcome = false;
  isCredited = true;
  isFull = false;
  frameBytesMax = FRAME_BYTES_DEFAULT;
  readonly #host: StreamHost;
  readonly #offered: Lease[];
  #call: ClientDuplexStream<Buffer, Buffer> | undefined;
  #end: ((error: Error | undefined) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #heard = performance.now();
  #beaten = this.#heard;
  #nextBeat = Infinity;
  #interval = 0;
  #silenceMax = Infinity;
  #welcomeBy = this.#heard + WELCOME_TIME_MAX;
  #endBy: number | undefined;
  #isStopping = false;
  #isServerDraining = false;

  constructor(host: StreamHost) {
    this.#host = host;
    this.#offered = host.outbox.open();
  }

  /** Serve the stream until it ends. Throws what it ended with, unless it was to end. */
  async run(client: Client): Promise<void> {
    const same = (data: Buffer): Buffer => data;
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(
      pathOf(WorkService.method.streamWork),
      same,
      same,
      new Metadata(),
      {},
    );
    this.#call = call;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#end = (error) => {
          if (error === undefined) resolve();
          else reject(error);
        };
        call.on("data", (data: Buffer) => {
          this.#read(data);
        });
        call.on("drain", () => {
          this.isFull = false;
          this.#host.outbox.flush();
        });
        call.on("error", (error: ServiceError) => this.#end?.(this.#meaning(error)));
        call.on("end", () => this.#end?.(this.#endMeaning()));
        this.write(this.#host.hello(this.#offered));
        this.#tick();
      });
    } finally {
      clearTimeout(this.#timer);
      this.isWelcome = false;
      this.#end = undefined;
      this.#host.outbox.close();
      call.cancel();
    }
  }

  write(frame: Buffer): void {
    if (this.#call?.write(frame) === false) this.isFull = true;
  }

  /** Send what is there, end the stream, and let `run` return. */
  stop(): void {
    this.#isStopping = true;
    this.#tick();
  }

  #meaning(error: ServiceError): Error | undefined {
    if (this.#isStopping && this.#endBy !== undefined) return undefined;
    return this.isWelcome && error.code === status.UNAVAILABLE
      ? new SessionBroken(`the connection was lost (${error.details})`)
      : error;
  }

  #endMeaning(): Error | undefined {
    return this.#isStopping || this.#isServerDraining ? undefined : new SessionBroken("the server ended the stream");
  }

  /** Beat as the server asked for, and notice when it falls silent. */
  #tick(): void {
    clearTimeout(this.#timer);
    if (this.#end === undefined) return;
    const now = performance.now();
    if (!this.isWelcome) {
      if (this.#isStopping) {
        this.#end(undefined);
      } else if (now >= this.#welcomeBy) {
        this.#end(new SessionBroken("the server takes the connection, but does not answer the hello"));
      } else {
        this.#tickAt(now, this.#welcomeBy);
      }
      return;
    }
    if (this.#stoodStill(now)) return;
    if (now >= this.#nextBeat) {
      this.#beaten = now;
      this.#nextBeat = now + this.#interval;
      this.#host.certainty.extend(this.#silenceMax);
      this.#host.outbox.beat();
    }
    if (now - this.#heard > this.#silenceMax) {
      const seconds = this.#silenceMax / 1000;
      this.#end(new SessionBroken(`the server was silent for ${seconds} s, so the connection is taken for dead`));
      return;
    }
    this.#considerEnd(now);
    if (this.#endBy !== undefined && now > this.#endBy) {
      this.#end(undefined);
      return;
    }
    const isEnding = this.#isServerDraining || this.#endBy !== undefined;
    this.#tickAt(now, Math.min(this.#nextBeat, this.#heard + this.#silenceMax + 10), isEnding);
  }

  #tickAt(now: number, moment: number, isEnding = false): void {
    const wait = isEnding ? Math.min(moment - now, DRAINED_CHECK_TIME) : moment - now;
    this.#timer = setTimeout(
      () => {
        this.#tick();
      },
      Math.max(wait, 1),
    );
  }

  #considerEnd(now: number): void {
    if (this.#endBy !== undefined) return;
    if (this.#isStopping || (this.#isServerDraining && this.#host.outbox.isEmpty)) {
      this.#endBy = now + END_TIME_MAX;
      this.isCredited = false;
      this.#host.outbox.flush();
      this.#call?.end();
    }
  }

  /** A process that was frozen must not act on what it was sent: others may have done all of it by now. */
  #stoodStill(now: number): boolean {
    const still = now - this.#beaten;
    if (!this.isWelcome || still <= this.#silenceMax) return false;
    const seconds = (still / 1000).toFixed(1);
    this.#end?.(
      new SessionBroken(`this process stood still for ${seconds} s, so its runs may have been given to others`),
    );
    return true;
  }

  #read(data: Buffer): void {
    if (this.#end === undefined) return;
    this.#heard = performance.now();
    if (this.#stoodStill(this.#heard)) return;
    try {
      this.#take(fromBinary(StreamWorkResponseSchema, data).frame);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #take(frame: StreamWorkResponse["frame"]): void {
    const { outbox } = this.#host;
    switch (frame.case) {
      case "acks": {
        const acks = outbox.acked(frame.value.acks.map(ackOf));
        if (acks.length > 0) this.#host.tell({ kind: "acked", acks });
        this.#host.settled();
        break;
      }
      case "invocations":
        outbox.received(frame.value.invocations);
        this.#host.tell({ kind: "invoked", invocations: frame.value.invocations.map(invocationOf) });
        break;
      case "resolutions":
        this.#host.tell({ kind: "resolved", resolutions: resolutionsOf(frame.value.resolutions) });
        break;
      case "journalPart": {
        const { runId, epoch, entries } = frame.value;
        this.#host.tell({ kind: "journalContinued", lease: { runId, epoch }, entries: entries.map(decodeEntry) });
        break;
      }
      default:
        this.#takeRare(frame);
    }
  }

  #takeRare(frame: StreamWorkResponse["frame"]): void {
    switch (frame.case) {
      case "welcome":
        this.#takeWelcome(frame.value);
        break;
      case "heartbeatAck": {
        const leases = frame.value.stop.map(({ runId, epoch }) => ({ runId, epoch }));
        const reason = "the server gave it to somebody else";
        if (leases.length > 0) this.#host.tell({ kind: "takenAway", leases, reason });
        break;
      }
      case "cancellations":
        for (const { runId, epoch, reason } of frame.value.cancellations) {
          this.#host.tell({ kind: "takenAway", leases: [{ runId, epoch }], reason });
        }
        break;
      case "drain":
        this.#host.tell({ kind: "log", level: "info", text: `the server is going away: ${frame.value.reason}` });
        this.isCredited = false;
        this.#isServerDraining = true;
        this.#tick();
        break;
      case "drainAck":
        this.#host.tell({ kind: "drainAcked" });
        break;
      default:
        // A newer server may say what this SDK does not know.
        this.#host.tell({ kind: "log", level: "debug", text: "a frame of an unknown kind was ignored" });
    }
  }

  #takeWelcome(welcome: Welcome): void {
    const limits = limitsOf(welcome.limits);
    this.#interval = decodeMilliseconds(welcome.heartbeatInterval) || 5_000;
    this.#silenceMax = decodeMilliseconds(welcome.sessionTimeout) || 6 * this.#interval;
    this.#nextBeat = performance.now() + this.#interval;
    this.frameBytesMax = limits.frameBytesMax || FRAME_BYTES_DEFAULT;
    this.isWelcome = true;
    const lost = this.#host.outbox.welcome(this, this.#offered, welcome.resumed);
    const stream = this.#host.certainty.begin(this.#beaten + this.#silenceMax - performance.now());
    this.#host.tell({ kind: "welcomed", stream, limits, lost });
    this.#host.welcomed(welcome);
    this.#tick();
  }
}
