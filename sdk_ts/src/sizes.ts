/** What is larger than the server takes: refused here, with what to do about it. */

import { toBinary } from "@bufbuild/protobuf";
import { TooLargeError } from "./errors.js";
import { EventSchema, type Event } from "./gen/steplane/v1/event_pb.js";
import type { Limits } from "./limits.js";
import { quoted } from "./text.js";

/** The result of a step, or of a function: `what` says of which. */
export function checkOutput(text: string, what: string, name: string, limits: Limits): void {
  const most = limits.outputBytesMax;
  // No character of a text has more than three bytes for its length.
  if (most === 0 || text.length * 3 <= most) return;
  const size = Buffer.byteLength(text);
  if (size > most) {
    throw new TooLargeError(
      `${what} ${quoted(name)} has ${size} bytes; ${most} are the most. Store it elsewhere and return where`,
    );
  }
}

/** The events of a step. */
export function checkBatch(messages: readonly Event[], stepId: string, limits: Limits): void {
  const step = quoted(stepId);
  if (limits.batchEventsMax > 0 && messages.length > limits.batchEventsMax) {
    throw new TooLargeError(
      `step ${step} sends ${messages.length} events; ${limits.batchEventsMax} are the most. Send them in several steps`,
    );
  }
  let total = 0;
  for (const [index, message] of messages.entries()) {
    const size = message.data?.data.length ?? 0;
    if (limits.eventBytesMax > 0 && size > limits.eventBytesMax) {
      throw new TooLargeError(
        `step ${step}: the data of event ${index} has ${size} bytes; ${limits.eventBytesMax} are the most. ` +
          "Store it elsewhere and send where",
      );
    }
    total += size;
  }
  if (limits.batchBytesMax === 0 || total + messages.length * 2048 <= limits.batchBytesMax) return;
  total = messages.reduce((sum, each) => sum + toBinary(EventSchema, each).length, 0);
  if (total > limits.batchBytesMax) {
    throw new TooLargeError(
      `the events of step ${step} have ${total} bytes; ${limits.batchBytesMax} are the most. Send them in several steps`,
    );
  }
}

/** What a step gives to another run. */
export function checkData(text: string, stepId: string, limits: Limits): void {
  const most = limits.eventBytesMax;
  const size = most > 0 ? Buffer.byteLength(text) : 0;
  if (most > 0 && size > most) {
    throw new TooLargeError(
      `the data of step ${quoted(stepId)} has ${size} bytes; ${most} are the most. Store it elsewhere and say where`,
    );
  }
}
