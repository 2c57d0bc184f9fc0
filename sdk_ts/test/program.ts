/** A worker as users start theirs: a program of `test/programs`, which says on its standard output where it is. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { ended } from "./server.js";

/** A program that was started. */
export class Program {
  readonly #child: ChildProcess;
  readonly #said = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(name: string, args: readonly string[], environment: Record<string, string>) {
    const path = join(dirname(fileURLToPath(import.meta.url)), "programs", `${name}.js`);
    // Its standard input ends with this process, and then so does it.
    const child = spawn(process.execPath, [path, ...args], {
      env: { ...process.env, ...environment },
      stdio: ["pipe", "pipe", "ignore"],
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#said.add(line);
      for (const each of this.#waiting) each();
    });
    this.#child = child;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Wait until it says a word, or has said it. */
  async heard(word: string): Promise<void> {
    const end = once(this.#child, "exit").then(() => {
      throw new Error(`the program ended without saying ${word}`);
    });
    end.catch(() => undefined);
    await Promise.race([end, this.#hearing(word)]);
  }

  /** Whether it has said a word. */
  hasSaid(word: string): boolean {
    return this.#said.has(word);
  }

  /** Give it a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Give it a signal, and wait for its end: its status. */
  async ended(signal?: NodeJS.Signals): Promise<number | null> {
    return ended(this.#child, signal);
  }

  #hearing(word: string): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.#said.has(word)) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}
