/** The stream's thread, as the user's thread sees it. */

import { Worker as Thread } from "node:worker_threads";
import type { Command, News, ThreadData } from "./messages.js";

/** After `stop` a thread has so long to say what is left. */
const STOP_TIME_MAX = 5_000;

/** A thread that runs a session. */
export class Link {
  readonly #thread: Thread;
  readonly #ended: Promise<void>;

  /** `onError` is called if the thread dies of an error that nobody foresaw. */
  constructor(data: ThreadData, onNews: (news: readonly News[]) => void, onError: (error: Error) => void) {
    this.#thread = new Thread(new URL("./thread.js", import.meta.url), {
      workerData: data,
      name: "steplane",
      execArgv: [],
    });
    this.#thread.on("message", onNews);
    this.#thread.on("error", onError);
    this.#ended = new Promise((resolve) => {
      this.#thread.once("exit", () => {
        resolve();
      });
    });
  }

  /** Tell it something. `moved` are buffers that are given away. */
  post(command: Command, moved: ArrayBuffer[] = []): void {
    this.#thread.postMessage(command, moved);
  }

  /** Let it send what is there, and end. */
  async stop(): Promise<void> {
    this.post({ kind: "stop" });
    const timer = setTimeout(() => void this.#thread.terminate(), STOP_TIME_MAX);
    await this.#ended;
    clearTimeout(timer);
  }
}
