/** What a function is given: its event, its run, and its steps. */

import { decodeEvent, type IncomingEvent } from "./codec.js";
import { SteplaneError } from "./errors.js";
import type { AnySchemas, Event, Schemas } from "./event.js";
import { runLogger, type Logger } from "./logger.js";
import type { Machine } from "./replay/machine.js";
import { Step, type StepHost } from "./step.js";

/** What a function needs of its invocation, beside steps. */
export interface ContextHost extends StepHost {
  readonly functionId: string;
  readonly signal: AbortSignal;
}

/** What a function is given. Take from it what is needed: `async ({ event, step }) => …`. */
export class Context<S extends Schemas<S> = AnySchemas, E extends Event = Event> {
  /** The steps: what happens once, and is remembered. */
  readonly step: Step<S>;
  /** How often the function failed outside of steps before: 0 in its first try. */
  readonly attempt: number;
  readonly #host: ContextHost;
  readonly #machine: Machine;
  readonly #received: readonly IncomingEvent[];
  readonly #parent: Logger;
  #events: E[] | undefined;
  #logger: Logger | undefined;

  constructor(
    host: ContextHost,
    machine: Machine,
    received: readonly IncomingEvent[],
    attempt: number,
    logger: Logger,
  ) {
    this.step = new Step<S>(host);
    this.attempt = attempt;
    this.#host = host;
    this.#machine = machine;
    this.#received = received;
    this.#parent = logger;
  }

  /** The event that started the run. */
  get event(): E {
    const [first] = this.events;
    if (first === undefined) throw new SteplaneError(`run ${this.runId} has no event`);
    return first;
  }

  /** All events that started the run: one, or those of a batch. */
  get events(): E[] {
    return (this.#events ??= this.#received.map(decodeEvent) as E[]);
  }

  /** The run's id. */
  get runId(): string {
    return this.#machine.runId;
  }

  /** The run's W3C trace context; in the body of a step use `currentTraceparent()`. */
  get traceparent(): string {
    return this.#machine.traceparent;
  }

  /** Aborted once the run is cancelled, or somebody else's: give it to what takes long, in steps and outside of them. */
  get signal(): AbortSignal {
    return this.#host.signal;
  }

  /** Logs what happens in this run, once: it is silent during replay. Its lines tell the run's id. */
  get logger(): Logger {
    return (this.#logger ??= runLogger(this.#parent, this.#machine, this.#host.functionId));
  }
}
