/** The order in which recorded results are given to the code: that in which the server recorded them. */

import { StepState, type Entry } from "./journal.js";

/** Holds the calls of steps that have ended until it is their turn. */
export class Order<C> {
  /** The steps that have ended, each with how many did before it. */
  readonly #ranks = new Map<string, number>();
  /** What is held, by its rank. */
  readonly #held: (C | undefined)[];
  #heldCount = 0;
  #turnsOver = 0;
  /** No lower rank is held. */
  #least = 0;

  /** Steps of the same moment are in the order of the journal. */
  constructor(entries: Iterable<Entry>) {
    const ended = [...entries].filter((each) => each.state === StepState.COMPLETED || each.state === StepState.FAILED);
    ended.sort((one, other) => one.endedAt - other.endedAt);
    for (const [rank, entry] of ended.entries()) this.#ranks.set(entry.stepKey, rank);
    this.#held = new Array<C | undefined>(ended.length);
  }

  /** Whether every turn is over. */
  get isOver(): boolean {
    return this.#turnsOver === this.#ranks.size;
  }

  /** Whether anything is held. */
  get hasHeld(): boolean {
    return this.#heldCount > 0;
  }

  /** Of what is held, that whose turn comes first. */
  get first(): C {
    while (this.#least < this.#held.length) {
      const call = this.#held[this.#least];
      if (call !== undefined) return call;
      this.#least += 1;
    }
    throw new Error("nothing is held");
  }

  /** Hold a call, if its step has ended. Whether it has. */
  hold(stepKey: string, call: C): boolean {
    const rank = this.#ranks.get(stepKey);
    if (rank === undefined) return false;
    this.#held[rank] = call;
    this.#heldCount += 1;
    this.#least = Math.min(this.#least, rank);
    return true;
  }

  /** Its turn is over. */
  letGo(stepKey: string): void {
    const rank = this.#ranks.get(stepKey);
    if (rank === undefined || this.#held[rank] === undefined) return;
    this.#held[rank] = undefined;
    this.#heldCount -= 1;
    this.#turnsOver += 1;
  }
}
