/** Where the SDK and functions write what people should know. */

import { format } from "node:util";
import { State, type Machine } from "./replay/machine.js";

/** What a logger has to have: `console` does, and so do most loggers. */
export interface Logger {
  /** For who looks for a mistake. */
  debug(message: string, ...rest: unknown[]): void;
  /** For who wants to know what happens. */
  info(message: string, ...rest: unknown[]): void;
  /** For who wants to know what goes wrong. */
  warn(message: string, ...rest: unknown[]): void;
  /** For who has to do something. */
  error(message: string, ...rest: unknown[]): void;
  /** Makes a logger whose lines have more fields. One that can't begins the lines of a run with its id. */
  child?(fields: { functionId: string; runId: string }): Logger;
}

/** How much a line matters: the methods of a logger. */
export type Level = Exclude<keyof Logger, "child">;

/** Writes lines to the standard error output; nothing of level `debug`. */
export const STANDARD: Logger = {
  debug() {
    return;
  },
  info(message, ...rest) {
    write("INFO", message, rest);
  },
  warn(message, ...rest) {
    write("WARN", message, rest);
  },
  error(message, ...rest) {
    write("ERROR", message, rest);
  },
};

/** A logger for one run: silent while the code walks over what is recorded, and so was logged before. */
export function runLogger(parent: Logger, machine: Machine, functionId: string): Logger {
  const { runId } = machine;
  const child = parent.child?.({ functionId, runId });
  const log =
    (level: Level) =>
    (message: unknown, ...rest: unknown[]) => {
      if (machine.state === State.REPLAYING) return;
      // What comes first is a text by its type, but loggers that make children often take fields there.
      if (child !== undefined) child[level](message as string, ...rest);
      else if (typeof message === "string") parent[level](`[${runId}] ${message}`, ...rest);
      else parent[level](`[${runId}]`, message, ...rest);
    };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

function write(level: string, message: string, rest: unknown[]): void {
  process.stderr.write(`${new Date().toISOString()} ${level} ${format(message, ...rest)}\n`);
}
