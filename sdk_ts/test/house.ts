/** What tests share: a server, a namespace of it for each test, and what is known there of runs. */

import { isAbsolute, join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Metadata, type Client } from "@grpc/grpc-js";
import {
  Steplane,
  type AnySchemas,
  type DurableFunction,
  type Logger,
  type Retry,
  type Schemas,
  type Worker,
} from "../src/index.js";
import {
  CancelRunRequestSchema,
  GetLineageRequestSchema,
  ListJournalRequestSchema,
  ListRunsRequestSchema,
  RunService,
  RunState,
  WatchRunRequestSchema,
  WatchRunResponseSchema,
  type GetLineageResponse,
  type JournalEntry,
  type Run,
} from "../src/gen/steplane/v1/run_pb.js";
import { callUnary, connect, pathOf, targetOf } from "../src/transport.js";
import { Program } from "./program.js";
import { Server } from "./server.js";

/** Retries that a test can wait for. */
export const FAST: Retry = { attempts: 5, firstDelay: 10, factor: 1 };

/** Nobody reads what a test logs. */
export const QUIET: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

const CALL_TIME_MAX = 10_000;
/** A test that takes longer hangs, and is ended. */
const TEST_TIME_MAX = 180_000;

let shared: Server | undefined;
let namespaces = 0;
after(() => shared?.close());

/** A test in a namespace of the server that all tests of a file share. */
export function inHouse(name: string, story: (house: House) => Promise<void>): void {
  test(name, { timeout: TEST_TIME_MAX }, async (context) => {
    if (shared === undefined) {
      shared = new Server();
      await shared.start();
    }
    namespaces += 1;
    await story(new House(context, shared, `test-${namespaces}`));
  });
}

type OnServer = (house: House, server: Server) => Promise<void>;

/** A test with a server of its own, which may be stopped and started. */
export function onServer(name: string, flags: readonly string[], story: OnServer): void {
  ownServer(name, new Server(flags), async (house, server) => {
    await server.start();
    await story(house, server);
  });
}

/** A test whose server is not there yet: it has an address, and may be started. */
export function withoutServer(name: string, story: OnServer): void {
  ownServer(name, new Server(), async (house, server) => {
    await server.choosePort();
    await story(house, server);
  });
}

function ownServer(name: string, server: Server, story: OnServer): void {
  test(name, { timeout: TEST_TIME_MAX }, async (context) => {
    const house = new House(context, server, "default");
    house.later(() => server.close());
    await story(house, server);
  });
}

/** A namespace, its clients, workers, programs and runs. All of it ends with the test. */
export class House {
  readonly #server: Server;
  readonly #namespace: string;
  readonly #closing: (() => unknown)[] = [];
  #client: Client | undefined;

  constructor(context: TestContext, server: Server, namespace: string) {
    this.#server = server;
    this.#namespace = namespace;
    context.after(async () => {
      for (const close of this.#closing.reverse()) await close();
    });
  }

  /** Do something at the end; what was asked for last is done first. */
  later(close: () => unknown): void {
    this.#closing.push(close);
  }

  /** A client of an app, whose schema map may be given. */
  app<S extends Schemas<S> = AnySchemas>(id = "shop", logger = QUIET): Steplane<S> {
    const app = new Steplane<S>({ id, address: this.#server.address, namespace: this.#namespace, logger });
    this.later(() => {
      app.close();
    });
    return app;
  }

  /** A connected worker, until it is stopped. */
  async worker<S extends Schemas<S>>(
    app: Steplane<S>,
    options: { functions?: DurableFunction[]; slots?: number; drainTimeout?: number } = {},
  ): Promise<{ worker: Worker; stop: () => Promise<void> }> {
    const worker = app.createWorker({ drainTimeout: 100, ...options });
    const running = worker.run({ signals: false });
    const stop = async (): Promise<void> => {
      worker.stop();
      await running;
    };
    this.later(stop);
    await Promise.race([worker.connected(), running]);
    return { worker, stop };
  }

  /** A program of `test/programs`, or of any path, until it ends. */
  program(name: string, ...args: string[]): Program {
    const path = isAbsolute(name) ? name : join(import.meta.dirname, "programs", `${name}.js`);
    const environment = { STEPLANE_ADDRESS: this.#server.address, NAMESPACE: this.#namespace };
    const program = new Program(path, args, environment);
    this.later(() => program.ended("SIGKILL"));
    return program;
  }

  /** The run that an event started, as it is now. */
  async started(eventId: string, functionId = ""): Promise<Run> {
    const request = create(ListRunsRequestSchema, { namespace: this.#namespace, eventId, functionId });
    const { runs } = await callUnary(this.#open(), RunService.method.listRuns, request, CALL_TIME_MAX);
    const [run] = runs;
    if (run === undefined) throw new Error(`event ${eventId} started no run: no function is registered for it`);
    return run;
  }

  /** The run that an event started, once it has ended. */
  async ended(eventId: string, functionId = ""): Promise<Run> {
    return this.watch((await this.started(eventId, functionId)).id, () => false);
  }

  /** The run that an event started, once it waits for something. */
  async parked(eventId: string, functionId = ""): Promise<Run> {
    return this.watch((await this.started(eventId, functionId)).id, ({ state }) => state === RunState.WAITING);
  }

  /** A run, once it is so, or has ended. */
  async watch(runId: string, isSo: (run: Run) => boolean): Promise<Run> {
    const request = create(WatchRunRequestSchema, { namespace: this.#namespace, runId });
    const call = this.#open().makeServerStreamRequest(
      pathOf(RunService.method.watchRun),
      (message: typeof request) => Buffer.from(toBinary(WatchRunRequestSchema, message)),
      (data) => fromBinary(WatchRunResponseSchema, data),
      request,
      new Metadata(),
    );
    let last: Run | undefined;
    for await (const answer of call) {
      last = (answer as { run?: Run }).run;
      if (last !== undefined && isSo(last)) break;
    }
    if (last === undefined) throw new Error(`nothing is known of run ${runId}`);
    return last;
  }

  /** Cancel a run. */
  async cancel(runId: string): Promise<void> {
    const request = create(CancelRunRequestSchema, { namespace: this.#namespace, runId, reason: "a test" });
    await callUnary(this.#open(), RunService.method.cancelRun, request, CALL_TIME_MAX);
  }

  /** The recorded steps of a run, by their keys. */
  async journal(runId: string): Promise<Map<string, JournalEntry>> {
    const request = create(ListJournalRequestSchema, { namespace: this.#namespace, runId });
    const { entries } = await callUnary(this.#open(), RunService.method.listJournal, request, CALL_TIME_MAX);
    return new Map(entries.map((each) => [each.stepKey, each]));
  }

  /** All that came of an event. */
  async lineage(eventId: string): Promise<GetLineageResponse> {
    const request: MessageInitShape<typeof GetLineageRequestSchema> = { namespace: this.#namespace, eventId };
    const message = create(GetLineageRequestSchema, request);
    return callUnary(this.#open(), RunService.method.getLineage, message, CALL_TIME_MAX);
  }

  #open(): Client {
    if (this.#client === undefined) {
      const client = connect(targetOf(this.#server.address, false));
      this.later(() => {
        client.close();
      });
      this.#client = client;
    }
    return this.#client;
  }
}

/** What a run returned. */
export function outputOf(run: Run): unknown {
  const data = run.output?.data ?? new Uint8Array();
  return data.length === 0 ? undefined : JSON.parse(Buffer.from(data).toString());
}

/** Something to wait for that a function does. */
export function signpost<T = void>(): { reached: Promise<T>; reach: (value: T) => void } {
  let reach: (value: T) => void = nothing;
  const reached = new Promise<T>((resolve) => {
    reach = resolve;
  });
  return { reached, reach };
}

function nothing(): void {
  return;
}
