/** Collects what the user's thread has to report, and hands it to the stream's thread in one go. */

import type { Lease } from "./messages.js";
import type { Link } from "./link.js";

/** So many are handed over at once, so that the server can begin with them while the rest is being done. */
const BATCH_MAX = 256;

/** The reports of the user's thread. */
export class Desk {
  readonly #link: Pick<Link, "post">;
  #index: (string | number)[] = [];
  #reports: Uint8Array[] = [];
  #size = 0;
  #slotsFreed = 0;
  #isFlushDue = false;

  constructor(link: Pick<Link, "post">) {
    this.#link = link;
  }

  /** Send a report, with the others of this turn of the loop. */
  report(lease: Lease, stepKey: string, data: Uint8Array): void {
    this.#index.push(lease.runId, lease.epoch, stepKey, data.length);
    this.#reports.push(data);
    this.#size += data.length;
    if (this.#reports.length >= BATCH_MAX) this.flush();
    else this.#flushSoon();
  }

  /** An invocation needs its slot no longer. */
  freeSlot(): void {
    this.#slotsFreed += 1;
    this.#flushSoon();
  }

  /** Hand over what there is. */
  flush(): void {
    if (this.#reports.length === 0 && this.#slotsFreed === 0) return;
    const data = new Uint8Array(this.#size);
    let end = 0;
    for (const report of this.#reports) {
      data.set(report, end);
      end += report.length;
    }
    this.#link.post({ kind: "put", index: this.#index, data, slotsFreed: this.#slotsFreed }, [data.buffer]);
    this.#index = [];
    this.#reports = [];
    this.#size = 0;
    this.#slotsFreed = 0;
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    // Two turns later: a sleep that was begun in this one can be parked in the next, and go out with it.
    setImmediate(() =>
      setImmediate(() => {
        this.#isFlushDue = false;
        this.flush();
      }),
    );
  }
}
