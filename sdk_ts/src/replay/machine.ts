/**
 * One invocation as a machine without I/O: what each step of the code means, given the journal and the server's answers.
 *
 * The machine owns: step keys, which step is done, to be executed or blocked, when the whole invocation is blocked, and
 * whether the code is still being replayed. The shell around it owns: the user's code, reports, time. It says what happened
 * (`begin`, `reported`, `acked`, `resolved`, `abandon`) and reads the status of the step.
 *
 * In a machine that is `inOrder`, what is recorded is not given as it is asked for: a result is held, and nothing is to be
 * reported for it, until the shell finds the code at rest and says `deliver`, which gives the one that was recorded first.
 * Bodies of steps that have no result wait until no recorded one is left: what comes of those may be that they are not
 * needed, as it was live.
 *
 * Only the code here changes a `StepCall`'s status or the machine's state.
 */

import { NonDeterminismError } from "../errors.js";
import { quoted } from "../text.js";
import { Status, StepCall } from "./call.js";
import { AckStatus, StepKind, StepState, type Entry } from "./journal.js";
import { stepIdOf, stepKey } from "./key.js";
import { Order } from "./order.js";

const SPELLING: Readonly<Record<number, string>> = {
  [StepKind.RUN]: "run",
  [StepKind.SLEEP]: "sleep",
  [StepKind.SEND_EVENTS]: "send_event",
  [StepKind.WAIT_FOR_EVENT]: "wait_for_event",
  [StepKind.INVOKE]: "invoke",
  [StepKind.WAIT_FOR_SIGNAL]: "wait_for_signal",
  [StepKind.SEND_SIGNAL]: "send_signal",
};

/** Where an invocation stands. */
export const State = {
  /** The code walks over what is recorded. */
  REPLAYING: 1,
  /** Something new happens. */
  EXECUTING: 2,
  /** Every branch is blocked, and the server was told: the code must not go on here. */
  PARKED: 3,
  /** The function ended, or the invocation was taken away: the code must not go on here. */
  CLOSED: 4,
} as const;
export type State = (typeof State)[keyof typeof State];

/** What a machine begins with. */
export interface MachineOptions {
  readonly runId: string;
  readonly epoch: number;
  readonly traceparent?: string;
  readonly journal?: readonly Entry[];
  /** How many steps a run may have, as far as the server told. */
  readonly stepsMax?: number;
  /** Whether the shell says `deliver`; else all that is recorded is given as it is asked for. */
  readonly inOrder?: boolean;
}

/** The replay of one invocation. */
export class Machine {
  readonly runId: string;
  readonly epoch: number;
  readonly traceparent: string;
  state: State;
  /** Whether the code must not go on here. */
  isOver = false;
  readonly #stepsMax: number;
  readonly #journal: Map<string, Entry>;
  readonly #used = new Map<string, number>();
  readonly #live = new Map<string, StepCall>();
  #known: number;
  #active = 0;
  #blocked = 0;
  /** Of the recorded results that the code does not have yet; `undefined` if there are none. */
  #order: Order<StepCall> | undefined;
  /** Calls whose bodies wait until no recorded result is left. */
  #postponed = new Map<string, StepCall>();
  #mayPostpone = true;

  constructor(options: MachineOptions) {
    const journal = options.journal ?? [];
    this.runId = options.runId;
    this.epoch = options.epoch;
    this.traceparent = options.traceparent ?? "";
    this.#stepsMax = options.stepsMax ?? 0;
    this.#journal = new Map(journal.map((entry) => [entry.stepKey, entry]));
    this.#known = this.#journal.size;
    this.#order = options.inOrder === true && this.#known > 0 ? new Order(this.#journal.values()) : undefined;
    this.state = this.#known > 0 ? State.REPLAYING : State.EXECUTING;
  }

  /** Whether some called steps are blocked, and all are. */
  get isBlocked(): boolean {
    return this.#blocked > 0 && this.#active === 0;
  }

  /** The calls that the code has no result of yet. */
  get live(): Iterable<StepCall> {
    return this.#live.values();
  }

  /** How many these are. */
  get liveCount(): number {
    return this.#live.size;
  }

  /** Whether results wait to be delivered. */
  get hasHeld(): boolean {
    return this.#order?.hasHeld ?? false;
  }

  /** Whether bodies wait to be begun. */
  get hasPostponed(): boolean {
    return this.#postponed.size > 0;
  }

  /** The code calls a step. Throws `NonDeterminismError` if another kind is recorded, `StepIdError` for a bad id. */
  begin(stepId: string, kind: StepKind): StepCall {
    if (this.isOver) throw new Error(`run ${this.runId}: step ${quoted(stepId)} was called after the end`);
    const occurrence = this.#used.get(stepId) ?? 0;
    const key = stepKey(stepId, occurrence);
    this.#used.set(stepId, occurrence + 1);
    const call = new StepCall(this, key, kind);
    const entry = this.#journal.get(key);
    if (entry === undefined) {
      this.#known += 1;
    } else {
      this.#journal.delete(key);
      if (entry.kind !== kind) throw new NonDeterminismError(mismatch(key, entry.kind, kind));
      call.entry = entry;
      call.attempts = entry.attempts;
      call.status = statusOf(entry);
    }
    this.#hold(call);
    if (call.isHeld || call.status === Status.EXECUTE) this.#active += 1;
    else if (call.status === Status.BLOCKED) this.#blocked += 1;
    if (call.status <= Status.BLOCKED) this.#live.set(key, call);
    if (call.status === Status.EXECUTE) this.state = State.EXECUTING;
    this.#noteProgress();
    return call;
  }

  /**
   * The shell did the step and reports it.
   *
   * A sleep blocks from its report on, before the ack comes, unless the server might refuse it: so it can be parked
   * together with its report. Any other step that blocks does so from its ack on: a wait may be refused, and what is
   * invoked may have ended before the answer comes.
   */
  reported(call: StepCall, isCertain = true): void {
    if (call.kind === StepKind.SLEEP && isCertain && this.#known <= this.#stepsMax) {
      this.#active -= 1;
      this.#blocked += 1;
      call.status = Status.BLOCKED;
    } else {
      call.status = Status.REPORTED;
    }
  }

  /**
   * The server answers a step's report. The result is the call that can go on, if one can.
   *
   * Without an entry, what was reported is what is recorded: a try that succeeded.
   */
  acked(key: string, status: number, entry?: Entry, message = ""): StepCall | undefined {
    const call = this.#live.get(key);
    if (call === undefined) return undefined;
    if (status === AckStatus.REJECTED) {
      call.problem = message;
      return this.#move(call, Status.REJECTED);
    }
    call.entry = entry;
    return this.#move(call, entry === undefined ? Status.COMPLETED : statusOf(entry));
  }

  /** The server lets a blocked step go on. The result is the call that can go on, if one can. */
  resolved(entry: Entry): StepCall | undefined {
    const call = this.#live.get(entry.stepKey);
    if (call?.status !== Status.BLOCKED || call.isHeld) return undefined;
    call.entry = entry;
    return this.#move(call, statusOf(entry));
  }

  /** The code is at rest: of the results that are held, it is given the one that was recorded first. */
  deliver(): StepCall {
    const call = this.#order?.first;
    if (call?.entry === undefined) throw new Error(`run ${this.runId}: nothing is held`);
    this.#letGo(call);
    call.status = statusOf(call.entry);
    this.#noteProgress();
    return call;
  }

  /** The code is at rest, and no result is left for it: the bodies that waited for that may begin. */
  proceed(): StepCall[] {
    const calls = [...this.#postponed.values()];
    this.#postponed.clear();
    this.#mayPostpone = false; // what else is recorded is not asked for, as far as anybody can tell
    for (const call of calls) {
      call.isHeld = false;
      call.status = Status.EXECUTE;
    }
    this.state = State.EXECUTING;
    return calls;
  }

  /** The code no longer waits for the step: its call went wrong. */
  abandon(call: StepCall): void {
    if (call.isHeld) this.#letGo(call);
    else if (this.#live.delete(call.key)) this.#count(call.status, -1);
  }

  /** Stop here, since every branch is blocked. The result are the keys of the steps that block. */
  park(): string[] {
    if (!this.isBlocked) throw new Error(`run ${this.runId}: parked with ${this.#active} active steps`);
    this.state = State.PARKED;
    this.isOver = true;
    return [...this.#live.keys()];
  }

  /** Stop here. */
  close(): void {
    this.state = State.CLOSED;
    this.isOver = true;
  }

  /** Hold what was just begun, if it is to wait for its turn. */
  #hold(call: StepCall): void {
    const order = this.#order;
    if (order === undefined) return;
    if (order.hold(call.key, call)) {
      call.isHeld = true;
      call.status = Status.BLOCKED;
    } else if (call.status === Status.EXECUTE && call.kind === StepKind.RUN && this.#mayPostpone) {
      this.#postponed.set(call.key, call);
      call.isHeld = true;
      call.status = Status.BLOCKED;
    }
  }

  #letGo(call: StepCall): void {
    call.isHeld = false;
    this.#active -= 1;
    this.#live.delete(call.key);
    if (!this.#postponed.delete(call.key) && this.#order !== undefined) {
      this.#order.letGo(call.key);
      if (this.#order.isOver) this.#order = undefined;
    }
  }

  #noteProgress(): void {
    if (this.state === State.REPLAYING && this.#journal.size === 0 && !this.hasHeld && this.#postponed.size === 0) {
      this.state = State.EXECUTING;
    }
  }

  #move(call: StepCall, status: Status): StepCall | undefined {
    this.#count(call.status, -1);
    call.status = status;
    if (status > Status.BLOCKED) {
      this.#live.delete(call.key);
      return call;
    }
    this.#count(status, 1);
    if (call.entry !== undefined) call.attempts = call.entry.attempts;
    return status === Status.EXECUTE ? call : undefined;
  }

  #count(status: Status, change: number): void {
    if (status === Status.BLOCKED) this.#blocked += change;
    else this.#active += change;
  }
}

function statusOf(entry: Entry): Status {
  if (entry.state === StepState.COMPLETED) return Status.COMPLETED;
  if (entry.state === StepState.FAILED) return Status.FAILED;
  return entry.state === StepState.RETRYING && !entry.isDueLater ? Status.EXECUTE : Status.BLOCKED;
}

function mismatch(key: string, expected: number, found: StepKind): string {
  const name = quoted(stepIdOf(key));
  const recorded = SPELLING[expected] ?? `<kind ${expected}>`;
  return (
    `the code no longer matches the journal of this run at step ${quoted(key)}\n` +
    `  expected: step.${recorded}(${name}, ...), as it is recorded\n` +
    `  found:    step.${SPELLING[found] ?? ""}(${name}, ...), as the code now calls it\n` +
    "Give a step that does something else another id; runs that have begun keep what is recorded of them."
  );
}
