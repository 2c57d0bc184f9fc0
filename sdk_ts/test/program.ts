/** A worker as users start theirs: a program, which says where it is by the lines that it writes. */

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ended } from "./server.js";

/** A program that was started. */
export class Program {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  /** Start a file of JavaScript. Its standard input ends with this process. */
  constructor(path: string, args: readonly string[], environment: Record<string, string>) {
    const child = spawn(process.execPath, [path, ...args], { env: { ...process.env, ...environment } });
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on("line", (line) => {
        this.#lines.push(line);
        for (const each of this.#waiting) each();
      });
    }
    this.#child = child;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Wait until it says something, or has said it: a line, or a part of one. */
  async heard(words: string): Promise<void> {
    const end = once(this.#child, "close").then(() => {
      throw new Error(`the program ended without saying ${words}, but\n${this.#lines.join("\n")}`);
    });
    end.catch(() => undefined);
    await Promise.race([end, this.#hearing(words)]);
  }

  /** Whether it has said something. */
  hasSaid(words: string): boolean {
    return this.#lines.some((line) => line.includes(words));
  }

  /** Give it a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Give it a signal, and wait for its end: its status. */
  async ended(signal?: NodeJS.Signals): Promise<number | null> {
    return ended(this.#child, signal);
  }

  #hearing(words: string): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!this.hasSaid(words)) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}
