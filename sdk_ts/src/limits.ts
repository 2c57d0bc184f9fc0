/** What the server refuses for good, as its welcome told. */

import type { Limits as LimitsMessage } from "./gen/steplane/v1/work_pb.js";

/** What a frame holds beside one output: ids, keys, tags. */
const FRAME_REST_BYTES = 1024;

/** 0 where the server did not say. */
export interface Limits {
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly runStepsMax: number;
  readonly frameBytesMax: number;
  /** What the output of a step or of a run can have. */
  readonly outputBytesMax: number;
}

/** Before a server told any. */
export const UNLIMITED: Limits = {
  eventBytesMax: 0,
  batchEventsMax: 0,
  batchBytesMax: 0,
  runStepsMax: 0,
  frameBytesMax: 0,
  outputBytesMax: 0,
};

/** The limits that a server told. */
export function limitsOf(told: LimitsMessage | undefined): Limits {
  if (told === undefined) return UNLIMITED;
  const outputs = [Number(told.stepOutputBytesMax), Number(told.frameBytesMax) - FRAME_REST_BYTES];
  const known = outputs.filter((each) => each > 0);
  return {
    eventBytesMax: Number(told.eventBytesMax),
    batchEventsMax: told.batchEventsMax,
    batchBytesMax: Number(told.batchBytesMax),
    runStepsMax: told.runStepsMax,
    frameBytesMax: Number(told.frameBytesMax),
    outputBytesMax: known.length > 0 ? Math.min(...known) : 0,
  };
}
