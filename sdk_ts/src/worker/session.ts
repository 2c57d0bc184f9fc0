/**
 * Keeps one stream to the server open, for ever: registers, connects, and connects again. In the stream's thread, which
 * never runs a user's code, so that code which blocks its thread stops no heartbeat.
 */

import { create, fromBinary } from "@bufbuild/protobuf";
import { status, type Client } from "@grpc/grpc-js";
import {
  FunctionDefinitionSchema,
  FunctionService,
  RegisterFunctionRequestSchema,
  type FunctionDefinition,
} from "../gen/steplane/v1/function_pb.js";
import type { Welcome } from "../gen/steplane/v1/work_pb.js";
import type { Level } from "../logger.js";
import { violationsOf } from "../status.js";
import { quoted } from "../text.js";
import { callUnary, codeOf, connect, explain, isServiceError, type Target } from "../transport.js";
import { CertaintyWriter } from "./certainty.js";
import * as frames from "./frames.js";
import type { Command, Identity, Lease, News, ThreadData } from "./messages.js";
import { Outbox } from "./outbox.js";
import { SessionBroken, Stream, type StreamHost } from "./stream.js";

const CALL_TIME_MAX = 10_000;
const DELAY_FIRST = 500;
const DELAY_MAX = 30_000;

/** The connection of one worker. */
export class Session implements StreamHost {
  readonly outbox: Outbox;
  readonly certainty: CertaintyWriter;
  readonly tell: (news: News) => void;
  readonly #target: Target;
  readonly #identity: Identity;
  readonly #definitions: readonly FunctionDefinition[];
  readonly #warned = new Set<string>();
  #stream: Stream | undefined;
  #client: Client | undefined;
  #failures = 0;
  #isStopping = false;
  #wake: (() => void) | undefined;
  #toSettle: number[] = [];

  constructor(data: ThreadData, tell: (news: News) => void) {
    this.tell = tell;
    this.certainty = new CertaintyWriter(data.certainty);
    this.outbox = new Outbox(data.slots, this.certainty);
    this.#target = data.target;
    this.#identity = data.identity;
    this.#definitions = data.definitions.map((each) => fromBinary(FunctionDefinitionSchema, each));
  }

  /** What the user's side says. */
  take(command: Command): void {
    switch (command.kind) {
      case "put":
        this.outbox.put(command.index, command.data, command.slotsFreed);
        break;
      case "forget":
        this.outbox.forget(command.leases);
        break;
      case "release":
        this.outbox.release(command.leases, command.slotsFreed);
        break;
      case "drain":
        this.outbox.drain();
        break;
      case "settle":
        this.#toSettle.push(command.number);
        break;
      case "stop":
        this.#stop();
    }
    this.settled();
  }

  /** Be connected until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      const trouble = await this.#runOnce();
      if (this.#mustStop()) return;
      // Full jitter: a thousand workers that lost one server do not come back at one moment.
      const delay = Math.random() * Math.min(DELAY_FIRST * 2 ** this.#failures, DELAY_MAX);
      this.#failures += 1;
      if (trouble !== "") {
        const again = `Trying again in ${(delay / 1000).toFixed(1)} s (try ${this.#failures}).`;
        this.#log("error", `not connected to Steplane: ${trouble}. ${again}`);
      }
      await this.#pause(delay);
    }
  }

  hello(held: Lease[]): Buffer {
    return frames.hello(
      this.#identity,
      this.#definitions.map((each) => each.functionId),
      held,
    );
  }

  welcomed(welcome: Welcome): void {
    this.#failures = 0;
    this.#log(
      "info",
      `connected to Steplane at ${this.#target.address} (${welcome.server}), session ${welcome.sessionId}`,
    );
  }

  settled(): void {
    if (this.#toSettle.length === 0 || !this.outbox.isEmpty) return;
    for (const number of this.#toSettle.splice(0)) this.tell({ kind: "settled", number });
  }

  /** Send what is there, end the stream, and let `run` return. */
  #stop(): void {
    this.#isStopping = true;
    this.#wake?.();
    if (this.#stream !== undefined) this.#stream.stop();
    else this.#client?.close(); // which ends a call that a silent server does not answer
  }

  #mustStop(): boolean {
    return this.#isStopping;
  }

  /** Be connected for as long as that goes well; the result says why it ended. */
  async #runOnce(): Promise<string> {
    const client = connect(this.#target);
    this.#client = client;
    try {
      if (!(await this.#register(client)) || this.#mustStop()) return "";
      await this.#serve(client);
    } catch (error) {
      if (error instanceof SessionBroken) return error.message;
      if (isServiceError(error)) return explain(error, this.#target);
      // The worker must not become deaf, whatever happens.
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#log("error", `an unexpected error ended the connection: ${text}`);
      return "an unexpected error";
    } finally {
      this.#client = undefined;
      client.close();
    }
    return "";
  }

  /** Whether the server takes all functions. */
  async #register(client: Client): Promise<boolean> {
    for (const definition of this.#definitions) {
      const request = create(RegisterFunctionRequestSchema, { namespace: this.#identity.namespace, definition });
      const name = quoted(definition.functionId);
      try {
        const answer = await callUnary(client, FunctionService.method.registerFunction, request, CALL_TIME_MAX);
        for (const warning of answer.warnings) this.#warn(`function ${name}: ${warning}`);
      } catch (error) {
        if (!isServiceError(error) || error.code !== status.INVALID_ARGUMENT) throw error;
        this.#isStopping = true;
        const message = `the server refuses function ${name}: ${error.details}`;
        this.tell({ kind: "refused", message, code: codeOf(error), violations: violationsOf(error.metadata) });
        return false;
      }
    }
    return true;
  }

  async #serve(client: Client): Promise<void> {
    const stream = new Stream(this);
    this.#stream = stream;
    try {
      await stream.run(client);
    } finally {
      this.#stream = undefined;
      if (!this.#mustStop()) this.tell({ kind: "disconnected" });
    }
  }

  #warn(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#log("warn", text);
  }

  #log(level: Level, text: string): void {
    this.tell({ kind: "log", level, text });
  }

  #pause(time: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, time);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
