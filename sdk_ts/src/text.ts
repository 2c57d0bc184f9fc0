/** Texts inside of messages: quoted as every SDK quotes them, so that an error reads the same in all languages. */

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
// eslint-disable-next-line no-control-regex -- these are what is to be shown
const UNPRINTABLE = /[\\\u0000-\u001f\u007f-\u00a0\u00ad\u2028\u2029\ud800-\udfff]/gu;

/** A text in quotes, with escapes for what can't be seen. */
export function quoted(text: string): string {
  const escaped = text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0);
    const short = SHORT[character];
    return short ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
  return escaped.includes("'") && !escaped.includes('"') ? `"${escaped}"` : `'${escaped.replaceAll("'", "\\'")}'`;
}

/** Any value, short, for a message that says what is wrong with it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  try {
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  } catch {
    return typeof value;
  }
}

/** What a value is, in two words: "an array", "a Map". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  // One that was made without a prototype has no constructor.
  const { constructor } = value as { constructor?: { name: string } };
  const kind = typeof value === "object" ? (constructor?.name ?? "") : typeof value;
  return kind === "" || kind === "Object" ? "an object" : `a ${kind}`;
}

/** The bytes of a text at its ends, with a note of what was cut between. */
export function cut(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const data = Buffer.from(text);
  if (data.length <= bytesMax) return text;
  const half = Math.floor(bytesMax / 2);
  const head = data
    .subarray(0, half)
    .toString()
    .replace(/\ufffd+$/, "");
  const tail = data
    .subarray(-half)
    .toString()
    .replace(/^\ufffd+/, "");
  return `${head}\n… ${data.length - 2 * half} bytes cut …\n${tail}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
