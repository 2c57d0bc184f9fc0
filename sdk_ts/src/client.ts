/** The app: its functions, its events, its worker. */

import type { Context } from "./context.js";
import { define, type FunctionOptions } from "./definition.js";
import { ArgumentError } from "./errors.js";
import type {
  AnySchemas,
  Event,
  EventToSend,
  FunctionFailed,
  Named,
  NameOf,
  Schemas,
  Sendable,
  SendableByName,
  Tick,
} from "./event.js";
import type { CronTrigger, EventTrigger } from "./flow.js";
import { DurableFunction, type AnyHandler } from "./function.js";
import { STANDARD, type Logger } from "./logger.js";
import { nothingElse } from "./options.js";
import { Sender } from "./sending.js";
import { quoted } from "./text.js";
import { milliseconds, type Duration } from "./time.js";
import { DEFAULT_PORT, targetOf, type Target, type Tls } from "./transport.js";
import { DRAIN_TIMEOUT, Worker } from "./worker/worker.js";

const SEND_TIMEOUT = 30_000;
const SLOTS = 100;
const EVENT_FAILED = "steplane/function.failed";

/** Who the app is, and how it reaches the server. */
export interface SteplaneOptions {
  /** The app's id. */
  id: string;
  /** host:port; by default that of the environment's STEPLANE_ADDRESS, else 127.0.0.1:7100. */
  address?: string | undefined;
  /** The tenant or environment. */
  namespace?: string | undefined;
  /** True for TLS with the system's authorities, or more about it. */
  tls?: boolean | Tls | undefined;
  /** Where the SDK and functions log: the standard error output if not given. */
  logger?: Logger | undefined;
}

/** What a worker takes. */
export interface WorkerOptions {
  /** What it serves, with its failure handlers; all functions of the app if not given. */
  functions?: readonly DurableFunction[] | undefined;
  /** How many invocations it executes at the same time: 100 if not given. */
  slots?: number | undefined;
  /** How long it lets end what runs, once it is told to stop: 30 seconds if not given. */
  drainTimeout?: Duration | undefined;
}

/** What starts functions of a schema map. */
type TriggerOf<S extends Schemas<S>> = EventTrigger<NameOf<S>> | CronTrigger;

/** The events that a function of these triggers gets. */
export type EventsOf<S extends Schemas<S>, T> = T extends readonly (infer Each)[]
  ? EventsOf<S, Each>
  : T extends { readonly event: infer Name extends string }
    ? Named<S, Name>
    : Tick;

/** The events of a client by their names, as they are sent: `GetEvents<typeof client>["user/created"]`. */
export type GetEvents<C> = C extends Steplane<infer S> ? SendableByName<S> : never;

/** What `createFunction` takes beside triggers. */
export interface HandlerOptions<S extends Schemas<S>> {
  /**
   * A function as well, with retries of its own: it runs once a run has failed for good. Its event's data tell of that run.
   */
  onFailure?: ((context: Context<S, Event<typeof EVENT_FAILED, FunctionFailed>>) => unknown) | undefined;
}

/**
 * An app, and its way to the server.
 *
 * A schema map gives `event.data` its type: `new Steplane<{ "user/created": { id: string } }>({ id: "app" })`.
 */
export class Steplane<S extends Schemas<S> = AnySchemas> {
  /** The app's id. */
  readonly id: string;
  readonly #namespace: string;
  readonly #target: Target;
  readonly #logger: Logger;
  readonly #functions = new Map<string, DurableFunction>();
  readonly #sender: Sender;

  constructor(options: SteplaneOptions) {
    const { id, address, namespace = "default", tls = false, logger = STANDARD, ...rest } = options;
    nothingElse(rest, () => "new Steplane");
    this.id = id;
    this.#namespace = namespace;
    const settled = [address, process.env["STEPLANE_ADDRESS"]].find((each) => each !== undefined && each !== "");
    this.#target = targetOf(settled ?? `127.0.0.1:${DEFAULT_PORT}`, tls);
    this.#logger = logger;
    this.#sender = new Sender(this.#target, namespace);
  }

  /**
   * Define a function.
   *
   * A failed step, and a function that failed outside of steps, are tried again as `retry` says; without it up to `retries`
   * times (4 if not given), after 15 s, 30 s, 1, 2, 5, … minutes, and up to 30 s more by chance.
   *
   * Throws `ArgumentError` for what can't be said; all else is checked by the server when a worker connects.
   */
  createFunction<Output, const T extends TriggerOf<S> | readonly TriggerOf<S>[]>(
    options: Omit<FunctionOptions, "triggers"> & { triggers: T } & HandlerOptions<S>,
    handler: (context: Context<S, EventsOf<S, T>>) => Output,
  ): DurableFunction<Awaited<Output>, EventsOf<S, T>["data"]> {
    const { onFailure, ...rest } = options;
    const made = this.#add<Awaited<Output>, EventsOf<S, T>["data"]>(rest, handler as unknown as AnyHandler);
    if (onFailure !== undefined) {
      const expression = `event.data.function_id == "${this.id}/${options.id}"`;
      made.failureHandler = this.#add(
        {
          id: `${options.id}-on-failure`,
          name: `${options.name ?? options.id} (failure handler)`,
          triggers: { event: EVENT_FAILED, if: expression },
        },
        onFailure as unknown as AnyHandler,
      );
    }
    return made;
  }

  /** A worker for these functions and their failure handlers, or for all: `run` it. */
  createWorker(options: WorkerOptions = {}): Worker {
    const { functions, slots = SLOTS, drainTimeout = DRAIN_TIMEOUT, ...rest } = options;
    nothingElse(rest, () => "createWorker");
    const chosen = functions ?? [...this.#functions.values()];
    const handlers = chosen.flatMap((each) => (each.failureHandler === undefined ? [] : [each.failureHandler]));
    return new Worker({
      target: this.#target,
      namespace: this.#namespace,
      appId: this.id,
      functions: [...new Set([...chosen, ...handlers])],
      slots,
      drainTimeout: milliseconds(drainTimeout),
      log: this.#logger,
    });
  }

  /** Serve functions until SIGTERM or SIGINT, and drain: the same as `createWorker(options).run()`. */
  async serve(options: WorkerOptions = {}): Promise<void> {
    await this.createWorker(options).run();
  }

  /**
   * Send an event, or a batch, and return their ids once they are on disk. All or nothing.
   *
   * Throws `SendError` if the server refuses them, or can't be reached within `timeout`. In a function, use
   * `step.sendEvent`, which sends exactly once and keeps the trace.
   */
  async send(
    events: Sendable<S> | readonly Sendable<S>[],
    options: { timeout?: Duration | undefined } = {},
  ): Promise<string[]> {
    const batch = (Array.isArray(events) ? events : [events]) as readonly EventToSend[];
    return this.#sender.send(batch, milliseconds(options.timeout ?? SEND_TIMEOUT));
  }

  /**
   * Send a signal, with any JSON value, to the run that waits for it, and return that run's id.
   *
   * Throws `SendError`: with the code `NOT_FOUND` if no run waits for it. It is never given twice: a call of which nobody
   * knows what became of it is not made again. In a function, use `step.sendSignal`.
   */
  async sendSignal(
    signal: string,
    data: unknown = null,
    options: { timeout?: Duration | undefined } = {},
  ): Promise<string> {
    return this.#sender.sendSignal(signal, data, milliseconds(options.timeout ?? SEND_TIMEOUT));
  }

  /** Close the connection that `send` opened. */
  close(): void {
    this.#sender.close();
  }

  #add<Output, Data>(options: FunctionOptions, handler: AnyHandler): DurableFunction<Output, Data> {
    const name = `function ${quoted(options.id)}`;
    if (this.#functions.has(options.id)) throw new ArgumentError(`${name} is defined twice`);
    if (typeof handler !== "function") {
      throw new ArgumentError(
        `${name} has no code: createFunction({ id, triggers, ... }, async ({ event, step }) => { ... })`,
      );
    }
    const made = new DurableFunction<Output, Data>(define(this.id, options), handler);
    this.#functions.set(options.id, made);
    return made;
  }
}
