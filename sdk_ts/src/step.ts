/** What a function can do durably: run, sleep, send, wait, invoke. */

import { afterJson, decode, encode, encodeEvent, eventOf } from "./codec.js";
import { RejectedError, StepError } from "./errors.js";
import type { AnySchemas, EventToSend, Named, NameOf, Schemas, Sendable } from "./event.js";
import { stackOf } from "./failures.js";
import type { Json } from "./json.js";
import type { Limits } from "./limits.js";
import type { Logger } from "./logger.js";
import { Status, type StepCall } from "./replay/call.js";
import { StepKind } from "./replay/journal.js";
import { stepIdOf } from "./replay/key.js";
import * as reports from "./reports.js";
import type { Retry } from "./retry.js";
import { SCOPE } from "./scope.js";
import { checkBatch, checkOutput } from "./sizes.js";
import { quoted } from "./text.js";
import { DAY, type Duration } from "./time.js";
import * as waiting from "./waiting.js";
import type { InvokeOptions, RunOptions, SignalOptions, SignalWaitOptions, WaitOptions } from "./waiting.js";

/** The server takes sleeps of up to 366 days; one that is surely shorter need not wait for its ack to be parked. */
const SLEEP_CERTAIN_MAX = 365 * DAY;

/** What steps ask of the invocation that they are called in. */
export interface StepHost {
  /** What the server refuses for good. */
  readonly limits: Limits;
  /** Whether nobody else was given the run. If not, `settle` waits until that is known. */
  readonly isSure: boolean;
  readonly log: Logger;
  /** A step is called; `undefined` if the code must not go on here. */
  begin(stepId: string, kind: StepKind): StepCall | undefined;
  /** Report what was done, if anything, and wait until the code can go on: for ever, if it must not. */
  settle(call: StepCall, report?: Uint8Array, isCertain?: boolean): Promise<void>;
  /** The code waits for the step no longer. */
  abandon(call: StepCall): void;
}

/** The steps of a function. */
export class Step<S extends Schemas<S> = AnySchemas> {
  readonly #host: StepHost;

  constructor(host: StepHost) {
    this.#host = host;
  }

  /**
   * Run `handler` once: what it returns is recorded, and returned by every replay.
   *
   * It is tried again if it throws an error, as `retry` says, else as its function does; once it has failed for good,
   * `StepError` is thrown here. What it returns has to be JSON, and comes back as JSON has it.
   */
  run<T>(stepId: string, handler: () => T, options: RunOptions = {}): Promise<Json<Awaited<T>>> {
    return watched(() => this.#run(stepId, handler, options) as Promise<Json<Awaited<T>>>);
  }

  /** Sleep for some time. It costs neither memory nor a slot, and survives restarts. */
  sleep(stepId: string, duration: Duration): Promise<void> {
    return watched(async () => {
      const length = Math.max(waiting.lengthOf(stepId, "duration", duration), 0);
      await this.#sleep(stepId, length, length);
    });
  }

  /** Sleep until a moment: a `Date`, or a text such as "2030-01-01T00:00:00Z". One that is past does not sleep at all. */
  sleepUntil(stepId: string, until: Date | string): Promise<void> {
    return watched(async () => {
      const moment = waiting.momentOf(stepId, until);
      await this.#sleep(stepId, moment, moment.getTime() - Date.now());
    });
  }

  /**
   * Send an event, or several, exactly once, and return their ids.
   *
   * The step is recorded and its events are stored in one transaction, whatever crashes. They carry the trace context of
   * this step.
   */
  sendEvent(stepId: string, events: Sendable<S> | readonly Sendable<S>[]): Promise<string[]> {
    const batch = (Array.isArray(events) ? events : [events]) as readonly EventToSend[];
    return watched(async () => {
      const call = await this.#ask(stepId, StepKind.SEND_EVENTS, (begun) => {
        if (batch.length === 0) return undefined;
        const messages = batch.map(encodeEvent);
        checkBatch(messages, stepId, this.#host.limits);
        return reports.eventsSent(begun, messages);
      });
      return [...(call.entry?.eventIds ?? [])];
    });
  }

  /**
   * Wait for an event, and return it, or null once `timeout` has passed: up to 366 days, which is the default.
   *
   * `event` is a name, whose `*` at the end matches any rest, or a `WaitedEvent`, or up to 10 of these: then any of them is
   * waited for, or, with `allOf`, all of them, which come back in the order of `event`. `match` is a path, for example
   * `data.user_id`, that has the same value in the event that started the run and in the one waited for; `if` is a CEL
   * expression over both, as `event` and `async`.
   *
   * What came before this step is no answer, unless `since` says so. So nobody has to wait before somebody else answers.
   */
  waitForEvent<Name extends NameOf<S>>(
    stepId: string,
    options: WaitOptions<Name> & { allOf?: false | undefined },
  ): Promise<Named<S, Name> | null>;
  waitForEvent<Name extends NameOf<S>>(
    stepId: string,
    options: WaitOptions<Name> & { allOf: true },
  ): Promise<Named<S, Name>[] | null>;
  waitForEvent(stepId: string, options: WaitOptions): Promise<unknown> {
    return watched(async () => {
      const call = await this.#ask(stepId, StepKind.WAIT_FOR_EVENT, (begun) =>
        reports.waitStarted(begun, waiting.waitForEvent(stepId, options)),
      );
      const output = outputOf(call);
      if (output === null) return null;
      return Array.isArray(output) ? output.map(eventOf) : eventOf(output);
    });
  }

  /**
   * Run another function, and return what it returned.
   *
   * `function` is a function of this program, or the id of any: `"charge"` of this app, `"billing/charge"` of another.
   * `data` is the data of the event that it gets. Throws `StepError` if its run fails, with that error's name, message and
   * stack; or if the run was cancelled, skipped, could not be made, or took longer than `timeout` (up to 366 days, which is
   * the default), which the error's `reason` tells. A run that took longer goes on.
   */
  invoke<Output = unknown, Data = object>(stepId: string, options: InvokeOptions<Output, Data>): Promise<Json<Output>> {
    return watched(async () => {
      const call = await this.#ask(stepId, StepKind.INVOKE, (begun) =>
        reports.invokeStarted(begun, waiting.invoke(stepId, options, this.#host.limits)),
      );
      return outputOf(call) as Json<Output>;
    });
  }

  /**
   * Wait for a signal, and return its data, or null once `timeout` has passed: up to 366 days, as by default.
   *
   * One step only can wait for a signal, so its name should have something of its own, for example `approve/${orderId}`. If
   * another one waits for it, this step fails, or replaces that one, which then fails: both with `StepError`, whose reason
   * is SIGNAL_IN_USE or SIGNAL_REPLACED.
   */
  waitForSignal<Data = unknown>(stepId: string, options: SignalWaitOptions): Promise<Data | null> {
    return watched(async () => {
      const call = await this.#ask(stepId, StepKind.WAIT_FOR_SIGNAL, (begun) =>
        reports.signalWaitStarted(begun, waiting.waitForSignal(stepId, options)),
      );
      return outputOf(call) as Data | null;
    });
  }

  /**
   * Send a signal, with any JSON value, to the run that waits for it, exactly once, and return that run's id.
   *
   * Throws `StepError` with the reason SIGNAL_NOT_FOUND if no run waits for it.
   */
  sendSignal(stepId: string, options: SignalOptions): Promise<string> {
    return watched(async () => {
      const call = await this.#ask(stepId, StepKind.SEND_SIGNAL, (begun) =>
        reports.signalSent(begun, waiting.sendSignal(stepId, options, this.#host.limits)),
      );
      return String(outputOf(call));
    });
  }

  async #sleep(stepId: string, until: number | Date, length: number): Promise<void> {
    const isCertain = length <= SLEEP_CERTAIN_MAX;
    await this.#ask(stepId, StepKind.SLEEP, (begun) => reports.sleepStarted(begun, until), isCertain);
  }

  async #run(stepId: string, handler: () => unknown, options: RunOptions): Promise<unknown> {
    const host = this.#host;
    const { retry } = waiting.runOptions(stepId, options);
    const call = host.begin(stepId, StepKind.RUN) ?? (await never());
    while (call.status !== Status.COMPLETED) {
      if (call.status === Status.EXECUTE) {
        // Without that, a process that was frozen would do again what others did meanwhile.
        await host.settle(call, host.isSure ? await this.#try(call, handler, retry) : undefined);
      } else if (call.status === Status.BLOCKED) {
        await host.settle(call);
      } else {
        throw failureOf(call);
      }
    }
    return call.entry === undefined ? call.value : decode(call.entry.output, call.entry.encoding);
  }

  /** Run a step's body once; the result is its report. */
  async #try(call: StepCall, handler: () => unknown, retry: Retry | undefined): Promise<Uint8Array> {
    const startTime = Date.now();
    try {
      const value = await SCOPE.run(call, handler);
      const text = encode(value, "the result of step", call.key);
      checkOutput(text, "the result of step", call.key, this.#host.limits);
      call.value = afterJson(value, text);
      return reports.stepCompleted(call, text, startTime);
    } catch (error) {
      const run = call.machine.runId;
      const tries = call.attempts + 1;
      this.#host.log.warn(`step ${quoted(call.key)} of run ${run} failed in try ${tries}\n${stackOf(error)}`);
      return reports.stepFailed(call, error, retry, startTime);
    }
  }

  /** Do a step that the server does: it is told once, and says what comes of it, now or later. */
  async #ask(
    stepId: string,
    kind: StepKind,
    report: (call: StepCall) => Uint8Array | undefined,
    isCertain = false,
  ): Promise<StepCall> {
    const host = this.#host;
    const call = host.begin(stepId, kind) ?? (await never());
    if (call.status === Status.EXECUTE) {
      let data: Uint8Array | undefined;
      try {
        data = report(call);
      } catch (error) {
        host.abandon(call);
        throw error;
      }
      if (data === undefined) {
        host.abandon(call);
        return call;
      }
      await host.settle(call, data, isCertain);
    } else if (call.status === Status.BLOCKED) {
      await host.settle(call);
    }
    if (call.status !== Status.COMPLETED) throw failureOf(call);
    return call;
  }
}

function outputOf(call: StepCall): unknown {
  return call.entry === undefined ? null : decode(call.entry.output, call.entry.encoding);
}

function failureOf(call: StepCall): Error {
  if (call.status === Status.REJECTED) {
    return new RejectedError(`the server refused step ${quoted(call.key)}: ${call.problem}`);
  }
  const failure = call.entry?.failure;
  return new StepError({
    name: failure?.name ?? "",
    message: failure?.message ?? "",
    stack: failure?.stack ?? "",
    stepId: stepIdOf(call.key),
    stepKey: call.key,
    reason: failure?.reason ?? "",
  });
}

/** A step, whose promise code may await later than it fails: without that, Node would end the process in between. */
function watched<T>(step: () => Promise<T>): Promise<T> {
  const promise = step();
  promise.catch(() => undefined);
  return promise;
}

/** Where code waits that must not go on: nobody holds on to it, so it is collected. */
function never(): Promise<never> {
  return new Promise<never>(() => undefined);
}
