/** A real server in a process of its own, and what it knows of runs. Ends with the test. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestContext } from "node:test";
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

/** The folder of the whole project: three above the compiled test. */
export const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** Retries that a test can wait for. */
export const FAST: Retry = { attempts: 5, firstDelay: 10, factor: 1 };

/** Nobody reads what a test logs. */
export const QUIET: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

const TIME_MAX = 10_000;
const FLAGS = ["--synchronous", "normal", "--session-grace", "1s", "--log-format", "json"];

/** A server, a client of it, and its runs. */
export class House {
  readonly folder = mkdtempSync(join(tmpdir(), "steplane-test-"));
  readonly #flags: readonly string[];
  readonly #context: TestContext;
  #server: ChildProcess | undefined;
  #client: Client | undefined;
  #address = "127.0.0.1:0";

  private constructor(context: TestContext, flags: readonly string[]) {
    this.#context = context;
    this.#flags = flags;
  }

  /** A server that runs until the test ends. */
  static async open(context: TestContext, flags: readonly string[] = []): Promise<House> {
    const house = new House(context, flags);
    context.after(() => house.#close());
    await house.start();
    return house;
  }

  get address(): string {
    return this.#address;
  }

  /** Start the server; again, it takes the same database and the same port. */
  async start(): Promise<void> {
    const ready = join(this.folder, "ready");
    const python = process.env["STEPLANE_PYTHON"] ?? join(PROJECT, ".venv", "bin", "python");
    const place = ["--db", join(this.folder, "steplane.db"), "--listen", this.#address, "--ready-file", ready];
    const log = openSync(join(this.folder, "log"), "a");
    const server = spawn(
      existsSync(python) ? python : "python3",
      ["-m", "controlplane", "serve", ...place, ...FLAGS, ...this.#flags],
      { cwd: PROJECT, stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#server = server;
    this.#address = await written(ready, server);
  }

  /** End the server: politely, or as a power cut would. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await ended(server, signal);
    rmSync(join(this.folder, "ready"), { force: true });
  }

  /** A client of an app, whose schema map may be given. */
  app<S extends Schemas = AnySchemas>(id = "shop"): Steplane<S> {
    const app = new Steplane<S>({ id, address: this.#address, logger: QUIET });
    this.#context.after(() => {
      app.close();
    });
    return app;
  }

  /** A connected worker, until the test ends or it is stopped. */
  async worker<S extends Schemas>(
    app: Steplane<S>,
    options: { functions?: DurableFunction[]; slots?: number; drainTimeout?: number } = {},
  ): Promise<{ worker: Worker; stop: () => Promise<void> }> {
    const worker = app.createWorker({ drainTimeout: 100, ...options });
    const running = worker.run({ signals: false });
    const stop = async (): Promise<void> => {
      worker.stop();
      await running;
    };
    this.#context.after(stop);
    await Promise.race([worker.connected(), running]);
    return { worker, stop };
  }

  /** The runs that an event started, as they are now; one at least. */
  async runsOf(eventId: string, functionId = ""): Promise<Run[]> {
    const request = create(ListRunsRequestSchema, { eventId, functionId });
    for (;;) {
      const { runs } = await callUnary(this.#open(), RunService.method.listRuns, request, TIME_MAX);
      if (runs.length > 0) return runs;
    }
  }

  /** The run that an event started, once it has ended. */
  async runOf(eventId: string, functionId = ""): Promise<Run> {
    const [run] = await this.runsOf(eventId, functionId);
    return this.watch(run?.id ?? "", () => false);
  }

  /** The run that an event started, once it waits for something. */
  async parked(eventId: string, functionId = ""): Promise<Run> {
    const [run] = await this.runsOf(eventId, functionId);
    return this.watch(run?.id ?? "", ({ state }) => state === RunState.WAITING);
  }

  /** A run, once it is so, or has ended. */
  async watch(runId: string, isSo: (run: Run) => boolean): Promise<Run> {
    const request = create(WatchRunRequestSchema, { runId });
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
    const request = create(CancelRunRequestSchema, { runId, reason: "a test" });
    await callUnary(this.#open(), RunService.method.cancelRun, request, TIME_MAX);
  }

  /** The recorded steps of a run, by their keys. */
  async journal(runId: string): Promise<Map<string, JournalEntry>> {
    const request = create(ListJournalRequestSchema, { runId });
    const { entries } = await callUnary(this.#open(), RunService.method.listJournal, request, TIME_MAX);
    return new Map(entries.map((each) => [each.stepKey, each]));
  }

  /** All that came of an event. */
  async lineage(eventId: string): Promise<GetLineageResponse> {
    const request: MessageInitShape<typeof GetLineageRequestSchema> = { eventId };
    const message = create(GetLineageRequestSchema, request);
    return callUnary(this.#open(), RunService.method.getLineage, message, TIME_MAX);
  }

  #open(): Client {
    return (this.#client ??= connect(targetOf(this.#address, false)));
  }

  async #close(): Promise<void> {
    this.#client?.close();
    await this.stop("SIGKILL");
    rmSync(this.folder, { recursive: true });
  }
}

/** What a run returned. */
export function outputOf(run: Run): unknown {
  const data = run.output?.data ?? new Uint8Array();
  return data.length === 0 ? undefined : JSON.parse(Buffer.from(data).toString());
}

/** Start a compiled program of `test/programs`, as users start theirs. */
export function program(context: TestContext, house: House, name: string, ...args: string[]): ChildProcess {
  const path = join(dirname(fileURLToPath(import.meta.url)), "programs", `${name}.js`);
  const child = spawn(process.execPath, [path, ...args], {
    env: { ...process.env, STEPLANE_ADDRESS: house.address },
    stdio: ["ignore", "pipe", "inherit"],
  });
  context.after(() => ended(child, "SIGKILL"));
  return child;
}

/** Give a process a signal, and wait for its end: its status. */
export async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, "exit");
  if (signal !== undefined) child.kill(signal);
  await exit;
  return child.exitCode;
}

/** Something to wait for that a function does. */
export function signpost<T = void>(): { reached: Promise<T>; reach: (value: T) => void } {
  let reach: (value: T) => void = nothing;
  const reached = new Promise<T>((resolve) => {
    reach = resolve;
  });
  return { reached, reach };
}

/** The text of a file, once a process has written it. */
async function written(path: string, writer: ChildProcess): Promise<string> {
  const controller = new AbortController();
  const { signal } = controller;
  const exit = once(writer, "exit", { signal }).then(() =>
    Promise.reject(new Error(`no ${path}: the writer has ended`)),
  );
  exit.catch(nothing);
  const watcher = watch(dirname(path), { signal });
  watcher.on("error", nothing);
  try {
    while (!existsSync(path)) await Promise.race([once(watcher, "change"), exit]);
  } finally {
    controller.abort();
  }
  return readFileSync(path, "utf8").split("\n")[0] ?? "";
}

function nothing(): void {
  return;
}
