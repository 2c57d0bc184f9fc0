/** Options are checked for what they have beside what is known: one that is misspelt would silently do nothing. */

import { ArgumentError } from "./errors.js";
import { quoted } from "./text.js";

/** What is left of options once all that are known were taken; `where` says of what. Throws `ArgumentError` if there is any. */
export function nothingElse(rest: object, where?: () => string): void {
  const [name] = Object.keys(rest);
  if (name === undefined) return;
  throw new ArgumentError(`${where === undefined ? "" : `${where()}: `}there is no option ${quoted(name)}`);
}
