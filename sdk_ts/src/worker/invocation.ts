/** One invocation of a function: its machine, its code, its reports. */

import { encode } from "../codec.js";
import { NestedStepError } from "../errors.js";
import type { Context, ContextHost } from "../context.js";
import { stackOf } from "../failures.js";
import type { DurableFunction } from "../function.js";
import type { Limits } from "../limits.js";
import type { Logger } from "../logger.js";
import { Status, StepCall } from "../replay/call.js";
import type { Entry, StepKind } from "../replay/journal.js";
import type { Machine } from "../replay/machine.js";
import { runCompleted, runFailed, runParked } from "../reports.js";
import { SCOPE } from "../scope.js";
import { checkOutput } from "../sizes.js";
import { quoted } from "../text.js";
import { Delivery } from "./delivery.js";
import type { Desk } from "./desk.js";
import type { IncomingAck, Lease } from "./messages.js";

/** Turns of the loop before a function of several branches is parked: one more than promises need. */
const TURNS_BLOCKED = 2;

/** Who has all invocations. */
export interface Owner {
  readonly limits: Limits;
  readonly desk: Desk;
  readonly log: Logger;
  /** Whether what is held was surely given to nobody else. */
  readonly isSure: boolean;
  /** The invocation has ended here, one way or another. */
  left(invocation: Invocation): void;
}

/** One lease of one run, while it is worked on. */
export class Invocation implements ContextHost {
  readonly machine: Machine;
  readonly lease: Lease;
  readonly #owner: Owner;
  readonly #function: DurableFunction;
  readonly #delivery: Delivery;
  readonly #startTime = Date.now();
  #controller: AbortController | undefined;
  #isDropped = false;
  #isCheckDue = false;
  #turnsBlocked = 0;

  constructor(owner: Owner, machine: Machine, definition: DurableFunction) {
    this.#owner = owner;
    this.machine = machine;
    this.#function = definition;
    this.lease = { runId: machine.runId, epoch: machine.epoch };
    this.#delivery = new Delivery(this);
  }

  /** Call the function. */
  start(context: Context): void {
    void SCOPE.run(this.machine, () => this.#run(context));
  }

  // What steps, and the function, ask of their host.

  get limits(): Limits {
    return this.#owner.limits;
  }

  get log(): Logger {
    return this.#owner.log;
  }

  get isSure(): boolean {
    return this.#owner.isSure;
  }

  get functionId(): string {
    return this.#function.id;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isDropped) this.#controller.abort();
    return this.#controller.signal;
  }

  begin(stepId: string, kind: StepKind): StepCall | undefined {
    const outer = SCOPE.getStore();
    if (outer instanceof StepCall) {
      throw new NestedStepError(
        `step ${quoted(stepId)} is called inside the body of step ${quoted(outer.key)}; call one after the other, ` +
          "or several at once by Promise.all",
      );
    }
    return this.machine.isOver ? undefined : this.machine.begin(stepId, kind);
  }

  settle(call: StepCall, report?: Uint8Array, isCertain = false): Promise<void> {
    return new Promise((resolve) => {
      call.waiter = resolve;
      this.#handIn(call, report, isCertain);
    });
  }

  abandon(call: StepCall): void {
    this.machine.abandon(call);
  }

  // What the server says.

  /** A step's report was answered. */
  acked(ack: IncomingAck): void {
    const call = this.machine.acked(ack.stepKey, ack.status, ack.entry, ack.message);
    if (call !== undefined) this.#deliver(call);
    this.considerParking();
  }

  /** A blocked step may go on. */
  resolved(entry: Entry): void {
    const call = this.machine.resolved(entry);
    if (call !== undefined) this.#deliver(call);
  }

  /** The run is still this worker's: what waited to know that may go on. */
  reassured(): void {
    for (const call of [...this.machine.live]) if (call.status === Status.EXECUTE) this.wake(call);
  }

  /** Stop: the run is somebody else's now, or has ended. Nothing more is reported. */
  drop(): void {
    if (this.machine.isOver) return;
    this.#isDropped = true;
    this.#leave();
    this.#controller?.abort();
  }

  /** Let the code go on that waits at this call, if it does, and if it may. */
  wake(call: StepCall): void {
    const { waiter } = call;
    call.waiter = undefined;
    if (!this.machine.isOver) waiter?.();
  }

  /** If all steps are blocked, park soon, once the code has come to rest. */
  considerParking(): void {
    if (this.#isCheckDue || !this.machine.isBlocked || !this.#delivery.isEmpty) return;
    this.#isCheckDue = true;
    this.#turnsBlocked = 0;
    this.#checkSoon();
  }

  async #run(context: Context): Promise<void> {
    let outcome: Uint8Array;
    try {
      const value = await this.#function.handler(context);
      if (this.machine.isOver) return;
      const text = encode(value, "the result of function", this.#function.id);
      checkOutput(text, "the result of function", this.#function.id, this.limits);
      outcome = runCompleted(this.machine, text, this.#startTime);
    } catch (error) {
      if (this.machine.isOver) return;
      const { runId } = this.machine;
      this.log.warn(`run ${runId} of function ${quoted(this.#function.id)} failed\n${stackOf(error)}`);
      outcome = runFailed(this.lease, error, this.#startTime);
    }
    this.#leave();
    this.#owner.desk.report(this.lease, "", outcome);
  }

  #handIn(call: StepCall, report: Uint8Array | undefined, isCertain: boolean): void {
    const { machine } = this;
    if (machine.isOver) return;
    if (report !== undefined) {
      machine.reported(call, isCertain);
      this.#owner.desk.report(this.lease, call.key, report);
    } else if (!call.isHeld && call.status === Status.EXECUTE && this.isSure) {
      this.wake(call);
    }
    if (this.#delivery.isBusy || call.isHeld) this.#delivery.consider();
    this.considerParking();
  }

  #deliver(call: StepCall): void {
    const others = this.machine.liveCount - (call.status === Status.EXECUTE ? 1 : 0);
    if (others > 0 || this.#delivery.isBusy) this.#delivery.add(call);
    else this.wake(call);
  }

  #checkSoon(): void {
    setImmediate(() => {
      this.#check();
    });
  }

  #check(): void {
    const { machine } = this;
    const canPark = machine.isBlocked && !machine.isOver && this.#delivery.isEmpty && !this.#delivery.isBusy;
    this.#turnsBlocked += 1;
    if (canPark && machine.liveCount > 1 && this.#turnsBlocked < TURNS_BLOCKED) {
      this.#checkSoon();
      return;
    }
    this.#isCheckDue = false;
    if (canPark) this.#park();
  }

  #park(): void {
    const report = runParked(this.machine, this.machine.park());
    this.#owner.desk.report(this.lease, "", report);
    this.#owner.desk.freeSlot();
    this.#owner.left(this);
  }

  #leave(): void {
    this.machine.close();
    this.#owner.desk.freeSlot();
    this.#owner.left(this);
  }
}
