/** All invocations of a worker: begins them, and tells each what the server says. On the user's thread. */

import { Context } from "../context.js";
import { RegistrationError, RejectedError } from "../errors.js";
import type { DurableFunction } from "../function.js";
import { UNLIMITED, type Limits } from "../limits.js";
import type { Logger } from "../logger.js";
import { AckStatus, type Entry } from "../replay/journal.js";
import { Machine } from "../replay/machine.js";
import { runFailed } from "../reports.js";
import { quoted } from "../text.js";
import type { CertaintyReader } from "./certainty.js";
import { Desk } from "./desk.js";
import { Invocation, type Owner } from "./invocation.js";
import type { Link } from "./link.js";
import { leaseKey, type IncomingAck, type IncomingInvocation, type Lease, type News } from "./messages.js";

const FAILED_MAX = 1_000;

/** An invocation whose journal has not come whole. */
interface Partial {
  readonly message: IncomingInvocation;
  readonly journal: Entry[];
  remaining: number;
}

/** What the worker wants to know. */
export interface ExecutorHost {
  readonly link: Pick<Link, "post">;
  readonly certainty: CertaintyReader;
  readonly log: Logger;
  readonly functionLog: Logger;
  /** Less may be left to wait for. */
  changed(): void;
  refused(error: RegistrationError): void;
  settled(number: number): void;
}

/** Reads what the session tells, and owns its invocations. */
export class Executor implements Owner {
  limits: Limits = UNLIMITED;
  readonly desk: Desk;
  readonly log: Logger;
  /** Whether a stream is open. */
  isConnected = false;
  /** Whether more invocations may come on the stream. */
  canReceive = false;
  readonly #host: ExecutorHost;
  readonly #functions: ReadonlyMap<string, DurableFunction>;
  readonly #live = new Map<string, Invocation>();
  readonly #partial = new Map<string, Partial>();
  /** Whose outcome was refused, and then reported as a failure. */
  readonly #failed = new Set<string>();
  #isDraining = false;

  constructor(host: ExecutorHost, functions: ReadonlyMap<string, DurableFunction>) {
    this.#host = host;
    this.#functions = functions;
    this.desk = new Desk(host.link);
    this.log = host.log;
  }

  get isSure(): boolean {
    return this.#host.certainty.isSure;
  }

  /** Whether nothing runs here. */
  get isIdle(): boolean {
    return this.#live.size === 0 && this.#partial.size === 0;
  }

  /** Begin nothing more; what has not begun is handed back. */
  drain(): void {
    this.#isDraining = true;
    this.#releasePartial();
  }

  /**
   * Stop everything at once, and hand it back: no failure of it is reported. Ask for no more before. The result is how much
   * was stopped.
   */
  abandon(): number {
    this.drain();
    const invocations = [...this.#live.values()];
    for (const invocation of invocations) invocation.drop();
    this.desk.flush();
    this.#release(
      invocations.map((each) => each.lease),
      0,
    );
    return invocations.length;
  }

  left(invocation: Invocation): void {
    const { runId } = invocation.lease;
    if (this.#live.get(runId) === invocation) this.#live.delete(runId);
    if (this.#isDraining) this.#host.changed();
  }

  /** What the session tells, in the order that it came. */
  take(news: readonly News[]): void {
    for (const each of news) this.#take(each);
  }

  #take(news: News): void {
    switch (news.kind) {
      case "acked":
        for (const ack of news.acks) this.#acked(ack);
        break;
      case "invoked":
        for (const message of news.invocations) this.#invoked(message);
        break;
      case "resolved":
        for (const resolution of news.resolutions) this.#find(resolution)?.resolved(resolution.entry);
        break;
      case "journalContinued":
        this.#journalContinued(news.lease, news.entries);
        break;
      case "takenAway":
        this.#takenAway(news.leases, news.reason);
        break;
      case "log":
        this.log[news.level](news.text);
        break;
      default:
        this.#takeRare(news);
    }
  }

  #takeRare(news: News): void {
    switch (news.kind) {
      case "welcomed":
        this.limits = news.limits;
        this.isConnected = this.canReceive = true;
        this.#host.certainty.follow(news.stream);
        if (news.lost.length > 0) {
          this.log.warn(`${news.lost.length} invocations were given to others while this worker was not connected`);
          this.#drop(news.lost);
        }
        // The rest of their journals was on its way when the old stream broke: no other stream has it.
        this.#releasePartial();
        for (const invocation of this.#live.values()) invocation.reassured();
        this.#host.changed();
        break;
      case "disconnected":
        this.isConnected = this.canReceive = false;
        this.#host.changed();
        break;
      case "drainAcked":
        this.canReceive = false;
        this.#host.changed();
        break;
      case "settled":
        this.#host.settled(news.number);
        break;
      case "refused":
        this.#host.refused(new RegistrationError(news.message, news.code, news.violations));
    }
  }

  #invoked(message: IncomingInvocation): void {
    if (this.#isDraining) {
      this.#release([message], 1);
    } else if (message.journalRemaining > 0) {
      const journal = [...message.journal];
      this.#partial.set(leaseKey(message), { message, journal, remaining: message.journalRemaining });
    } else {
      this.#start(message, message.journal);
    }
  }

  /** Hand back what has not begun, as its journal is not complete. */
  #releasePartial(): void {
    const leases = Array.from(this.#partial.values(), (each) => each.message);
    this.#partial.clear();
    if (leases.length > 0) this.#release(leases, leases.length);
  }

  #journalContinued(lease: Lease, entries: readonly Entry[]): void {
    const partial = this.#partial.get(leaseKey(lease));
    if (partial === undefined) return;
    for (const entry of entries) partial.journal.push(entry);
    partial.remaining -= entries.length;
    if (partial.remaining > 0) return;
    this.#partial.delete(leaseKey(lease));
    this.#start(partial.message, partial.journal);
  }

  #acked(ack: IncomingAck): void {
    if (ack.status === AckStatus.STALE_EPOCH || ack.status === AckStatus.RUN_ENDED) this.#drop([ack]);
    else if (ack.stepKey !== "") this.#find(ack)?.acked(ack);
    else this.#refuseOutcome(ack);
  }

  #takenAway(leases: readonly Lease[], reason: string): void {
    for (const lease of leases) {
      // A heartbeat crosses with acks: most of what it is told to stop has just ended here.
      if (this.#partial.has(leaseKey(lease)) || this.#find(lease) !== undefined) {
        this.log.info(`run ${lease.runId} (epoch ${lease.epoch}) is stopped here: ${reason}`);
      }
    }
    this.#drop(leases);
  }

  #start(message: IncomingInvocation, journal: readonly Entry[]): void {
    const { runId, epoch, functionId, traceparent, attempt, events } = message;
    const before = this.#live.get(runId);
    if (before !== undefined) {
      if (before.machine.epoch >= epoch) return; // it was delivered twice, and is being worked on
      this.#drop([before.lease]);
    }
    const definition = this.#functions.get(functionId);
    if (definition === undefined) {
      // It is not held from now on, so the server gives it to another after some heartbeats.
      this.log.error(`the server sent run ${runId} of function ${quoted(functionId)}, which is not served here`);
      this.#forget([message]);
      this.desk.freeSlot();
      return;
    }
    const stepsMax = this.limits.runStepsMax;
    const machine = new Machine({ runId, epoch, traceparent, journal, stepsMax, inOrder: true });
    const invocation = new Invocation(this, machine, definition);
    this.#live.set(runId, invocation);
    invocation.start(new Context(invocation, machine, events, attempt, this.#host.functionLog));
  }

  #find(lease: Lease): Invocation | undefined {
    const invocation = this.#live.get(lease.runId);
    return invocation?.lease.epoch === lease.epoch ? invocation : undefined;
  }

  #drop(leases: readonly Lease[]): void {
    this.#forget(leases);
    for (const lease of leases) {
      if (this.#partial.delete(leaseKey(lease))) this.desk.freeSlot();
      this.#find(lease)?.drop();
    }
    if (this.#isDraining) this.#host.changed();
  }

  /** The server will never take a run's outcome as it was reported: the run fails with the reason, else is let go. */
  #refuseOutcome(ack: IncomingAck): void {
    const key = leaseKey(ack);
    if (this.#failed.has(key)) {
      this.log.error(`the server refuses the outcome of run ${ack.runId}: ${ack.message}`);
      this.#drop([ack]);
      return;
    }
    if (this.#failed.size >= FAILED_MAX) this.#failed.clear();
    this.#failed.add(key);
    const error = new RejectedError(`the server refused the outcome of this run: ${ack.message}`);
    this.desk.report(ack, "", runFailed(ack, error, Date.now()));
  }

  #forget(leases: readonly Lease[]): void {
    if (leases.length > 0) this.#host.link.post({ kind: "forget", leases: leases.map(plain) });
  }

  #release(leases: readonly Lease[], slotsFreed: number): void {
    if (leases.length > 0) this.#host.link.post({ kind: "release", leases: leases.map(plain), slotsFreed });
  }
}

/** A lease is sent without what else came with it. */
function plain({ runId, epoch }: Lease): Lease {
  return { runId, epoch };
}
