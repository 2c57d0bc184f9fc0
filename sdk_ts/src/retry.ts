/** How often and when something that failed is tried again. */

import { create } from "@bufbuild/protobuf";
import { ArgumentError } from "./errors.js";
import { RetryPolicySchema, type RetryPolicy } from "./gen/steplane/v1/function_pb.js";
import { nothingElse } from "./options.js";
import { shown } from "./text.js";
import { DAY, encodeDuration, milliseconds, type Duration } from "./time.js";

const ATTEMPTS_MAX = 21;

/**
 * How often and when a step, or a function, is tried again once it has failed.
 *
 * The waits grow from `firstDelay` on: `{ attempts: 5, firstDelay: "1s" }` waits 1, 2, 4 and 8 seconds. What can't be is
 * refused with an `ArgumentError`.
 */
export interface Retry {
  /** How many tries there are, the first included: 1 to 21. 1 means that nothing is tried again. */
  attempts: number;
  /** How long to wait before the second try: up to 24 hours. */
  firstDelay: Duration;
  /** How many times as long each further wait is: 1 or more, 2 if not given. 1 makes all of them the same. */
  factor?: number;
  /** No wait is longer: up to 24 hours, which is the default. */
  maxDelay?: Duration;
  /**
   * Up to so much is added to each wait, by chance, so that what failed together is not tried again together: up to 24
   * hours. Nothing if not given: whoever says when gets it then.
   */
  jitter?: Duration;
}

/** The same for the wire, where each wait is written down. Throws `ArgumentError`. */
export function policyOf(retry: Retry): RetryPolicy {
  const { attempts, firstDelay, factor = 2, maxDelay = DAY, jitter = 0, ...rest } = retry;
  nothingElse(rest, () => "retry");
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > ATTEMPTS_MAX) {
    throw new ArgumentError(`retry: attempts is ${shown(attempts)}: 1 to ${ATTEMPTS_MAX}, the first one included`);
  }
  if (typeof factor !== "number" || !(factor >= 1 && factor < Infinity)) {
    throw new ArgumentError(`retry: factor is ${shown(factor)}: 1 or more; 1 makes all waits the same`);
  }
  const first = checked("firstDelay", firstDelay);
  const most = checked("jitter", jitter);
  const longest = checked("maxDelay", maxDelay);
  if (longest < first) {
    throw new ArgumentError(
      `retry: maxDelay is ${shown(maxDelay)}: it is less than firstDelay, which is ${shown(firstDelay)}`,
    );
  }
  const delays = [];
  for (let tries = 1, delay = first; tries < attempts; tries += 1, delay = Math.min(delay * factor, longest)) {
    delays.push(encodeDuration(delay));
  }
  return create(RetryPolicySchema, { retries: attempts - 1, delays, jitter: encodeDuration(most) });
}

function checked(name: string, delay: Duration): number {
  let length: number;
  try {
    length = milliseconds(delay);
  } catch (error) {
    throw new ArgumentError(`retry: ${name} is ${shown(delay)}: ${(error as Error).message}`, { cause: error });
  }
  if (!(length >= 0 && length <= DAY)) {
    throw new ArgumentError(`retry: ${name} is ${shown(delay)}: it has to be from 0 to 24 hours`);
  }
  return length;
}
