/** A real server in a process of its own. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, watch } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The folder of the whole project: three above the compiled test. */
export const PROJECT = join(import.meta.dirname, "..", "..", "..");

const FLAGS = ["--synchronous", "normal", "--session-grace", "1s", "--log-format", "json"];

/** A server with a database of its own. */
export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), "steplane-test-"));
  readonly #flags: readonly string[];
  #process: ChildProcess | undefined;
  /** Ends the server if this process is killed: its input ends then. */
  #guard: ChildProcess | undefined;
  #address = "127.0.0.1:0";

  constructor(flags: readonly string[] = []) {
    this.#flags = flags;
  }

  get address(): string {
    return this.#address;
  }

  /** Choose a port that is free, before the start. */
  async choosePort(): Promise<void> {
    const taker = createServer().listen(0, "127.0.0.1");
    await once(taker, "listening");
    this.#address = `127.0.0.1:${(taker.address() as AddressInfo).port}`;
    taker.close();
    await once(taker, "close");
  }

  /** Start it; again, it takes the same database and the same port. */
  async start(): Promise<void> {
    const ready = join(this.#folder, "ready");
    const python = process.env["STEPLANE_PYTHON"] ?? join(PROJECT, ".venv", "bin", "python");
    const place = ["--db", join(this.#folder, "steplane.db"), "--listen", this.#address, "--ready-file", ready];
    const log = openSync(join(this.#folder, "log"), "a");
    this.#process = spawn(
      existsSync(python) ? python : "python3",
      ["-m", "controlplane", "serve", ...place, ...FLAGS, ...this.#flags],
      { cwd: PROJECT, stdio: ["ignore", log, log] },
    );
    closeSync(log);
    this.#guard = spawn("sh", ["-c", `cat; kill -9 ${this.#process.pid}`], { stdio: ["pipe", "ignore", "ignore"] });
    try {
      this.#address = await written(ready, this.#process);
    } catch (error) {
      throw new Error(`the server does not start:\n${readFileSync(join(this.#folder, "log"), "utf8")}`, {
        cause: error,
      });
    }
  }

  /** End it: politely, or as a power cut would. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.#guard?.kill("SIGKILL");
    if (child !== undefined) await ended(child, signal);
    rmSync(join(this.#folder, "ready"), { force: true });
  }

  /** End it for good. */
  async close(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.#folder, { recursive: true });
  }
}

/** Give a process a signal, and wait for its end: its status, `null` if the signal ended it. */
export async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, "exit");
  if (signal !== undefined) child.kill(signal);
  await exit;
  return child.exitCode;
}

/** The first line of a file, once a process has written it. */
async function written(path: string, writer: ChildProcess): Promise<string> {
  const controller = new AbortController();
  const { signal } = controller;
  const exit = once(writer, "exit", { signal }).then(() => Promise.reject(new Error("it has ended")));
  exit.catch(() => undefined);
  const watcher = watch(dirname(path), { signal });
  watcher.on("error", () => undefined);
  try {
    while (!existsSync(path)) await Promise.race([once(watcher, "change"), exit]);
  } finally {
    controller.abort();
  }
  return readFileSync(path, "utf8").split("\n")[0] ?? "";
}
