/** The reports that are written field by field, against the same ones made as messages. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { ReportSchema, StreamWorkRequestSchema } from "../src/gen/steplane/v1/work_pb.js";
import { StepKind } from "../src/replay/journal.js";
import { Machine } from "../src/replay/machine.js";
import * as reports from "../src/reports.js";
import { encodeMoment } from "../src/time.js";
import * as frames from "../src/worker/frames.js";

const NOW = 1_796_050_785_400;
const machine = new Machine({ runId: "01M8PH9Q2Z8P1G1BCS02XD3JBX", epoch: 300 });
const call = machine.begin("schön", StepKind.RUN);
const HEAD = { runId: machine.runId, epoch: 300, startTime: encodeMoment(NOW) };
const output = { data: new TextEncoder().encode('"é"') };

test("frequent reports are, byte for byte, what their messages are", () => {
  const body = { case: "stepCompleted", value: { output, attempt: 1 } } as const;
  assert.deepEqual(reports.stepCompleted(call, '"é"', NOW), bytesOf({ ...HEAD, stepKey: "schön#0", body }));
  const ended = bytesOf({ ...HEAD, body: { case: "runCompleted", value: { output } } });
  assert.deepEqual(reports.runCompleted(machine, '"é"', NOW), ended);
  const blockedBy = ["a#0", "b#0"];
  const parked = bytesOf({ runId: machine.runId, epoch: 300, body: { case: "runParked", value: { blockedBy } } });
  assert.deepEqual(reports.runParked(machine, blockedBy), parked);
});

function bytesOf(init: MessageInitShape<typeof ReportSchema>): Uint8Array {
  return toBinary(ReportSchema, create(ReportSchema, init));
}

test("kept reports go out in as few frames as hold them, and a large one alone", () => {
  const sizes = [10, 100, 20_000, 10, 10];
  const items = sizes.map((size) => reports.stepCompleted(call, `"${"x".repeat(size)}"`, NOW));
  const made = [...frames.reports(items, 1_000)];
  const found = made.map((frame) => {
    const { case: kind, value } = fromBinary(StreamWorkRequestSchema, frame).frame;
    assert(kind === "reports");
    return value.reports.map((report) => toBinary(ReportSchema, report));
  });
  assert.deepEqual(found, [items.slice(0, 2), items.slice(2, 3), items.slice(3)]);
  assert.deepEqual([...frames.reports([], 1_000)], []);
});
