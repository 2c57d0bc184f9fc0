/** The worker: wires the parts, runs until it is told to stop, and drains before it ends. */

import { randomBytes } from "node:crypto";
import { constants, hostname } from "node:os";
import { toBinary } from "@bufbuild/protobuf";
import { SteplaneError, type RegistrationError } from "../errors.js";
import type { DurableFunction } from "../function.js";
import { FunctionDefinitionSchema } from "../gen/steplane/v1/function_pb.js";
import type { Logger } from "../logger.js";
import type { Target } from "../transport.js";
import { CertaintyReader, newCertainty } from "./certainty.js";
import { Executor, type ExecutorHost } from "./executor.js";
import { Link } from "./link.js";
import type { ThreadData } from "./messages.js";

export const DRAIN_TIMEOUT = 30_000;
/** The server says at once that it sends no more; a server that does not is not waited for longer. */
const DRAIN_ACK_TIME_MAX = 5_000;
/** What comes after `run` in the program has so long, if code of a run never ends. */
const LEFT_BEHIND_TIME = 1_000;
const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** What a worker is made of. */
export interface WorkerParts {
  readonly target: Target;
  readonly namespace: string;
  readonly appId: string;
  readonly functions: readonly DurableFunction[];
  readonly slots: number;
  /** In milliseconds. */
  readonly drainTimeout: number;
  readonly log: Logger;
}

/** Takes runs of an app's functions and executes them. Made by `steplane.createWorker`; runs once. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #functions: ReadonlyMap<string, DurableFunction>;
  readonly #waiting = new Set<() => void>();
  #executor: Executor | undefined;
  #link: Link | undefined;
  #isStopping = false;
  #isAbandoned = false;
  #wasSignalled = false;
  /** Of a second signal. */
  #exitCode: number | undefined;
  /** How many invocations were dropped, whose code may go on. */
  #leftBehind = 0;
  #fatal: Error | undefined;
  #settled = 0;

  constructor(parts: WorkerParts) {
    if (!Number.isInteger(parts.slots) || parts.slots < 1) {
      throw new RangeError(`a worker needs 1 slot or more, not ${parts.slots}`);
    }
    if (parts.functions.length === 0) {
      throw new RangeError("a worker needs a function; define one with steplane.createFunction(...)");
    }
    this.#parts = parts;
    this.#functions = new Map(parts.functions.map((each) => [each.id, each]));
  }

  /**
   * Run until SIGTERM or SIGINT, then drain: take nothing more, and end what runs, for up to the drain's time-out. If code
   * runs on after that, which nobody can stop, the process ends a second after `run` has returned. A second signal ends it
   * at once.
   *
   * With `signals: false`, or at any time, call `stop` to drain, which never ends the process. Throws `RegistrationError` if
   * the server refuses a function.
   */
  async run({ signals = true }: { signals?: boolean } = {}): Promise<void> {
    if (this.#executor !== undefined) {
      throw new SteplaneError("a worker runs once; make another with steplane.createWorker(...)");
    }
    const certainty = newCertainty();
    const link = new Link(
      this.#threadData(certainty),
      (news) => this.#executor?.take(news),
      (error) => {
        this.#fail(error);
      },
    );
    const executor = new Executor(this.#executorHost(link, new CertaintyReader(certainty)), this.#functions);
    this.#link = link;
    this.#executor = executor;
    const onSignal = this.#onSignal.bind(this);
    if (signals) for (const name of SIGNALS) process.on(name, onSignal);
    try {
      await this.#until(() => this.#isStopping);
      if (this.#fatal === undefined) await this.#drain(executor, link);
    } finally {
      this.#abandon();
      await link.stop();
      for (const name of SIGNALS) process.off(name, onSignal);
      if (this.#exitCode !== undefined) process.exit(this.#exitCode);
      if (this.#wasSignalled && this.#leftBehind > 0) setTimeout(() => process.exit(), LEFT_BEHIND_TIME).unref();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** Whether the server gives it work just now: for a health check. */
  get isConnected(): boolean {
    return this.#executor?.isConnected ?? false;
  }

  /** Return once it is connected, and its functions are registered. */
  async connected(): Promise<void> {
    await this.#until(() => this.isConnected);
  }

  /** Drain, and let `run` return. */
  stop(): void {
    this.#isStopping = true;
    this.#changed();
  }

  async #drain(executor: Executor, link: Link): Promise<void> {
    const { drainTimeout, log } = this.#parts;
    const seconds = drainTimeout / 1000;
    log.info(`draining: no new runs are taken; those that run have ${seconds} s to end or to park`);
    executor.drain();
    link.post({ kind: "drain" });
    await this.#until(() => !executor.canReceive || this.#isAbandoned, DRAIN_ACK_TIME_MAX);
    const endBy = performance.now() + drainTimeout;
    const isOver = (): boolean => this.#isAbandoned || performance.now() >= endBy;
    for (let number = 1; !isOver(); number += 1) {
      await this.#until(() => executor.isIdle || this.#isAbandoned, endBy - performance.now());
      executor.desk.flush();
      link.post({ kind: "settle", number });
      await this.#until(() => this.#settled >= number || this.#isAbandoned, endBy - performance.now());
      if (executor.isIdle && this.#settled >= number) return;
    }
    if (!this.#isAbandoned) {
      log.warn(`the drain took longer than ${seconds} s: what still runs is stopped and handed back`);
    }
  }

  #abandon(): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    // First of all no more work, or what is handed back would come right here again.
    this.#link?.post({ kind: "drain" });
    this.#leftBehind = this.#executor?.abandon() ?? 0;
    this.#changed();
  }

  #threadData(certainty: SharedArrayBuffer): ThreadData {
    const { target, namespace, appId, functions, slots } = this.#parts;
    const instanceId = `${hostname().slice(0, 64)}-${process.pid}-${randomBytes(8).toString("hex")}`;
    const definitions = functions.map((each) => toBinary(FunctionDefinitionSchema, each.definition));
    return { target, identity: { namespace, appId, instanceId }, definitions, slots, certainty };
  }

  #executorHost(link: Link, certainty: CertaintyReader): ExecutorHost {
    return {
      link,
      certainty,
      log: this.#parts.log,
      functionLog: this.#parts.log,
      changed: () => {
        this.#changed();
      },
      refused: (error: RegistrationError) => {
        this.#fail(error);
      },
      settled: (number) => {
        this.#settled = number;
        this.#changed();
      },
    };
  }

  #fail(error: Error): void {
    this.#fatal ??= error;
    this.stop();
  }

  #onSignal(name: NodeJS.Signals): void {
    this.#wasSignalled = true;
    if (!this.#isStopping) {
      // Loud enough for a terminal, where nothing else would show that the signal was heard.
      this.#parts.log.warn(`${name}: ending what runs, and taking nothing more; again to stop at once`);
      this.stop();
    } else {
      this.#exitCode = 128 + constants.signals[name];
      this.#abandon();
    }
  }

  #changed(): void {
    for (const each of [...this.#waiting]) each();
  }

  /** Wait until something is so, or for so many milliseconds. */
  #until(isSo: () => boolean, timeMax?: number): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        this.#waiting.delete(check);
        clearTimeout(timer);
        resolve();
      };
      const check = (): void => {
        if (isSo()) end();
      };
      const timer = timeMax === undefined ? undefined : setTimeout(end, Math.max(timeMax, 0));
      this.#waiting.add(check);
    });
  }
}
