/**
 * Lets the branches of a function hear of results one at a time, in the order in which the server recorded them.
 *
 * What branches do with their results can depend on which came first (`Promise.race`), so it has to be the same in each
 * replay. Therefore the code comes to rest after each result before it gets the next, live and in replay alike: a turn of
 * Node's loop ends only when all microtasks are done, so by then the branch has gone on to where it waits next, and whoever
 * it told has done so too. Code that awaits something else than steps is not waited for.
 */

import { Status, type StepCall } from "../replay/call.js";
import type { Invocation } from "./invocation.js";

/** Turns of the loop to rest, if there is more than one branch: one more than promises need, for a lone `setImmediate`. */
const TURNS = 2;

/** The results that the branches of one invocation have not heard of yet. */
export class Delivery {
  /** Whether a branch was told something a moment ago, or is to be: then no other may be told at once. */
  isBusy = false;
  readonly #invocation: Invocation;
  readonly #queue: StepCall[] = [];
  #turns = 0;
  /** Whether something was delivered, and the code has not come to rest since. */
  #isSettling = false;

  constructor(invocation: Invocation) {
    this.#invocation = invocation;
  }

  /** Whether no call waits for its turn that the server let go on just now. */
  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** A call can go on, and others are live: its branch hears of it in its turn. */
  add(call: StepCall): void {
    const queue = this.#queue;
    const moment = endedAt(call);
    let place = queue.length;
    // Answers to reports and resolutions come each in their order, but not all tell when the step ended.
    if (moment > 0) {
      for (let before = queue[place - 1]; before !== undefined && endedAt(before) > moment; before = queue[place - 1]) {
        place -= 1;
      }
    }
    queue.splice(place, 0, call);
    this.consider();
  }

  /** The code has done something, and may be about to come to rest. */
  consider(): void {
    this.#turns = 0;
    if (this.isBusy) return;
    this.isBusy = true;
    this.#goOnSoon();
  }

  #goOnSoon(): void {
    setImmediate(() => {
      this.#goOn();
    });
  }

  #goOn(): void {
    const { machine } = this.#invocation;
    if (machine.isOver) return;
    this.#turns += 1;
    if (!this.#isSettling && machine.liveCount === 1 && machine.hasHeld) {
      // A function of one branch, as far as it has come: it is replayed at a turn a step.
      this.isBusy = false;
      this.#invocation.wake(machine.deliver());
    } else if (this.#turns < TURNS || this.#deliver()) {
      this.#goOnSoon();
    } else {
      this.isBusy = false;
      this.#isSettling = false;
      this.#invocation.considerParking();
    }
  }

  /** Let one branch go on. Whether there was any. */
  #deliver(): boolean {
    const { machine } = this.#invocation;
    const queued = machine.hasHeld ? undefined : this.#queue.shift();
    if (machine.hasHeld) this.#invocation.wake(machine.deliver());
    else if (queued !== undefined) this.#invocation.wake(queued);
    else if (machine.hasPostponed) machine.proceed().forEach((call) => this.#invocation.wake(call));
    else return false;
    this.#isSettling = true;
    this.#turns = 0;
    return true;
  }
}

/** When the step ended, as far as that was told. */
function endedAt(call: StepCall): number {
  return call.entry !== undefined && call.status > Status.BLOCKED ? call.entry.endedAt : 0;
}
