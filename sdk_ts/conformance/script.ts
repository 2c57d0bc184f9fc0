/** The scripts of `conformance/README.md`, executed with the steps of the TypeScript SDK. */

import { setTimeout as pause } from "node:timers/promises";
import { currentTraceparent, NonRetriableError, type Context, type EventToSend, type Retry } from "../src/index.js";
import { errorOf, errorValue, type Failure } from "./errors.js";
import { eventValue, resolved, scopeOf, type Scope } from "./scope.js";

/** One statement: what it is, by the name of its first member, and the rest. */
export type Statement = Readonly<Record<string, unknown>>;

/** A retry policy of the file. */
export interface ScriptedRetry {
  readonly attempts: number;
  readonly first_delay_ms: number;
  readonly factor: number;
}

interface Sleep {
  readonly sleep: string;
  readonly ms: number;
  readonly until?: string;
}

interface Wait {
  readonly wait: string;
  readonly events: readonly { event: string; match?: string; expression?: string }[];
  readonly timeout_ms?: number;
  readonly since_run?: boolean;
  readonly all_of?: boolean;
}

/** A statement that tells something to others. */
type Tell =
  | { readonly send: string; readonly events: readonly EventToSend[] }
  | (Told & { readonly invoke: string; readonly function: string })
  | (Told & { readonly wait_signal: string; readonly on_conflict?: "fail" | "replace" })
  | (Told & { readonly send_signal: string });

interface Told {
  readonly data?: unknown;
  readonly signal: string;
  readonly timeout_ms?: number;
}

/** The end of a script, or of a branch, with a value. */
interface Returned {
  readonly value: unknown;
}

/** How often this process executed the body of a step: by its run, and its trace context, which no other step of it has. */
const executions = new Map<string, number>();

/** Execute a function's script, and return what it returns. */
export async function runScript(context: Context, statements: readonly Statement[]): Promise<unknown> {
  return new Execution(context, scopeOf(context)).value(statements);
}

/** A retry policy of the file, as the SDK takes it. */
export function retryOf(retry: ScriptedRetry | undefined): Retry | undefined {
  if (retry === undefined) return undefined;
  return { attempts: retry.attempts, firstDelay: retry.first_delay_ms, factor: retry.factor };
}

/** The execution of statements in one scope. */
class Execution {
  readonly #context: Context;
  readonly #scope: Scope;

  constructor(context: Context, scope: Scope) {
    this.#context = context;
    this.#scope = scope;
  }

  /** What a script or a branch returns. */
  async value(statements: readonly Statement[]): Promise<unknown> {
    return (await this.#all(statements))?.value ?? null;
  }

  async #all(statements: readonly Statement[]): Promise<Returned | undefined> {
    for (const statement of statements) {
      const block = this.#block(statement);
      if (block !== undefined) {
        const end = await block;
        if (end !== undefined) return end;
      } else {
        const value = await this.#simple(statement);
        if (typeof statement["as"] === "string") this.#scope[statement["as"]] = value;
      }
    }
    return undefined;
  }

  /** A statement that has others in it, or ends the script; `undefined` if it is none of these. */
  #block(statement: Statement): Promise<Returned | undefined> | undefined {
    if ("try" in statement) return this.#try(statement);
    if ("repeat" in statement) return this.#repeat(statement);
    if ("when" in statement) return this.#when(statement);
    if ("return" in statement) return Promise.resolve({ value: this.#said(statement["return"]) });
    if ("throw" in statement) return Promise.reject(errorOf(this.#said(statement["throw"]) as Failure));
    return undefined;
  }

  async #try(statement: Statement): Promise<Returned | undefined> {
    try {
      return await this.#all(statement["try"] as Statement[]);
    } catch (error) {
      this.#scope["error"] = errorValue(error);
    }
    return this.#all(statement["catch"] as Statement[]);
  }

  async #repeat(statement: Statement): Promise<Returned | undefined> {
    const times = this.#said(statement["repeat"]) as number;
    for (let time = 0; time < times; time += 1) {
      const end = await this.#all(statement["do"] as Statement[]);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  async #when(statement: Statement): Promise<Returned | undefined> {
    const isSo = ![null, false, 0, ""].includes(this.#said(statement["when"]) as never);
    return isSo ? this.#all(statement["do"] as Statement[]) : undefined;
  }

  /** A statement that has a value. */
  #simple(statement: Statement): Promise<unknown> {
    if ("run" in statement) return this.#run(statement);
    if ("parallel" in statement) return Promise.all(this.#branches(statement["parallel"]));
    if ("race" in statement) return Promise.race(this.#branches(statement["race"]));
    const said = this.#said(statement);
    // Not counted by Node: a process ends while code of a parked run pauses.
    const options = { signal: this.#context.signal, ref: false };
    if ("pause_ms" in statement) return pause((said as { pause_ms: number }).pause_ms, undefined, options);
    if ("sleep" in statement) return this.#sleep(said as Sleep);
    if ("wait" in statement) return this.#wait(said as Wait);
    return this.#step(said as Tell);
  }

  async #step(said: Tell): Promise<unknown> {
    const { step } = this.#context;
    if ("send" in said) return step.sendEvent(said.send, said.events);
    const { data, signal, timeout_ms: timeout } = said;
    if ("invoke" in said) return step.invoke(said.invoke, { function: said.function, data: data as object, timeout });
    if ("wait_signal" in said) {
      return step.waitForSignal(said.wait_signal, { signal, timeout, onConflict: said.on_conflict });
    }
    if ("send_signal" in said) return step.sendSignal(said.send_signal, { signal, data });
    throw new NonRetriableError(`a statement without a known name: ${JSON.stringify(said)}`);
  }

  async #run(statement: Statement): Promise<unknown> {
    const { body, ...rest } = statement;
    const said = this.#said(rest) as Record<string, unknown>;
    const handler = body === undefined ? () => this.#body(said) : () => this.value(body as Statement[]);
    const retry = retryOf(said["retry"] as ScriptedRetry | undefined);
    return this.#context.step.run(said["run"] as string, handler, { retry });
  }

  async #body(said: Record<string, unknown>): Promise<unknown> {
    const execution = `${this.#context.runId}/${currentTraceparent()}`;
    const number = executions.get(execution) ?? 0;
    executions.set(execution, number + 1);
    const failure = (said["fails"] as (Failure | null)[] | undefined)?.[number];
    if (failure !== undefined && failure !== null) throw errorOf(failure);
    if (typeof said["takes_ms"] === "number") await pause(said["takes_ms"]);
    if (typeof said["blocks_ms"] === "number") block(said["blocks_ms"]);
    return said["unserializable"] === true ? new Map() : (said["returns"] ?? null);
  }

  async #sleep({ sleep, ms, until }: Sleep): Promise<void> {
    const { step } = this.#context;
    await (until === undefined ? step.sleep(sleep, ms) : step.sleepUntil(sleep, until));
  }

  async #wait(said: Wait): Promise<unknown> {
    const options = {
      event: said.events.map(({ event, match, expression }) => ({ event, match, if: expression })),
      timeout: said.timeout_ms,
      since: said.since_run === true ? "run" : undefined,
    };
    const { step } = this.#context;
    const answer = await (said.all_of === true
      ? step.waitForEvent(said.wait, { ...options, allOf: true })
      : step.waitForEvent(said.wait, options));
    if (Array.isArray(answer)) return answer.map(eventValue);
    return answer === null ? null : eventValue(answer);
  }

  #branches(branches: unknown): Promise<unknown>[] {
    return (branches as Statement[][]).map((branch) => new Execution(this.#context, { ...this.#scope }).value(branch));
  }

  #said(value: unknown): unknown {
    return resolved(this.#scope, value);
  }
}

/** Keep the thread busy. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
