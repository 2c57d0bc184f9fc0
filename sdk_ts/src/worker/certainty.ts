/**
 * Whether what a worker holds was surely given to nobody else: memory that both threads see.
 *
 * The stream's thread writes until when the server surely counts the session as live, and of which stream that is. The
 * user's thread is sure only of a stream whose welcome it has read, since that says which invocations were lost before it.
 */

const UNTIL = 0;
const STREAM = 1;

/** Memory for both sides. */
export function newCertainty(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT);
}

/** The stream's side. */
export class CertaintyWriter {
  readonly #cells: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory);
  }

  /** A welcome came: the result is the number of its stream. */
  begin(milliseconds: number): number {
    const stream = Atomics.add(this.#cells, STREAM, 1n) + 1n;
    this.extend(milliseconds);
    return Number(stream);
  }

  /** The session lives for so long from now on, at least. */
  extend(milliseconds: number): void {
    Atomics.store(this.#cells, UNTIL, process.hrtime.bigint() + BigInt(Math.round(milliseconds * 1e6)));
  }

  /** The stream is gone. */
  end(): void {
    Atomics.store(this.#cells, UNTIL, 0n);
  }
}

/** The user's side. */
export class CertaintyReader {
  readonly #cells: BigInt64Array;
  #stream = -1n;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory);
  }

  /** The welcome of this stream was read. */
  follow(stream: number): void {
    this.#stream = BigInt(stream);
  }

  /** Whether what is held is surely held. */
  get isSure(): boolean {
    return (
      Atomics.load(this.#cells, STREAM) === this.#stream && process.hrtime.bigint() < Atomics.load(this.#cells, UNTIL)
    );
  }
}
