/** Where the SDK and functions write what people should know. */

import { format } from "node:util";

/** What a logger has to have: `console` does, and so do most loggers. */
export interface Logger {
  debug(message: string, ...rest: unknown[]): void;
  info(message: string, ...rest: unknown[]): void;
  warn(message: string, ...rest: unknown[]): void;
  error(message: string, ...rest: unknown[]): void;
}

export type Level = keyof Logger;

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

function write(level: string, message: string, rest: unknown[]): void {
  process.stderr.write(`${new Date().toISOString()} ${level} ${format(message, ...rest)}\n`);
}
