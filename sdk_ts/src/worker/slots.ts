/** How many invocations the server may send: slots, and the cumulative credit that tells of them. */

/** The slots of a worker, over one stream after another. */
export class Slots {
  busy = 0;
  readonly #count: number;
  #received = 0;
  #granted = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** A new stream: credit is counted from its start. What is held occupies its slots. */
  reset(): void {
    this.#received = 0;
    this.#granted = 0;
  }

  /** An invocation came on this stream. */
  received(): void {
    this.#received += 1;
  }

  /**
   * The credit to send now, or `undefined` if what the server has left does for now.
   *
   * More is granted once half of the slots' worth is used up, so that a busy stream carries few such frames.
   */
  credit(): number | undefined {
    const limit = this.#received + Math.max(this.#count - this.busy, 0);
    if (limit <= this.#granted || this.#granted - this.#received > Math.floor(this.#count / 2)) return undefined;
    this.#granted = limit;
    return limit;
  }
}
