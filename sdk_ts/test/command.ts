/** Commands that a test needs done. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { PROJECT } from "./server.js";

/** The folder of the SDK. */
export const SDK = join(PROJECT, "sdk_ts");

/** A command that failed, with all that it wrote. */
export class CommandError extends Error {}

/** Do a command in a folder: what it wrote to its standard output. Throws `CommandError`. */
export function done(folder: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new CommandError(`${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

/** Compile programs in a folder, as strict users do, with more options if need be. Throws `CommandError`. */
export function compile(folder: string, ...args: string[]): void {
  const compiler = join(SDK, "node_modules", "typescript", "bin", "tsc");
  const strict = ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"];
  done(
    folder,
    process.execPath,
    compiler,
    ...strict,
    "--target",
    "es2022",
    "--lib",
    "es2022",
    "--module",
    "nodenext",
    ...args,
  );
}
