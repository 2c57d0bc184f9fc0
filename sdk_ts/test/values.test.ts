/** Values, durations and errors, as they go to the server and as they come back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { NonRetriableError, NotSerializableError, RetryAfterError, StepError, TooLargeError } from "../src/index.js";
import { afterJson, decode, encode } from "../src/codec.js";
import { directiveOf, failureOf } from "../src/failures.js";
import { FailureSchema } from "../src/gen/steplane/v1/payload_pb.js";
import { create } from "@bufbuild/protobuf";
import { milliseconds, moment } from "../src/time.js";

test("what a step returns at first is what every replay of it returns", () => {
  class Point {
    constructor(readonly x: number) {}
  }
  for (const value of [
    undefined,
    null,
    1,
    "ä\ud83d\ude00",
    [undefined, 1],
    { a: undefined, b: new Date(0) },
    new Point(1),
  ]) {
    const text = encode(value, "the result of step", "a#0");
    assert.deepEqual(afterJson(value, text), decode(text));
    assert.equal(Object.getPrototypeOf(afterJson(value, text) ?? {}), Object.getPrototypeOf(decode(text) ?? {}));
  }
});

test("what JSON can't carry is refused, at any depth, with the step, the problem and a remedy", () => {
  const loop: unknown[] = [];
  loop.push(loop);
  const refused: [unknown, string][] = [
    [new Map(), "it is a Map"],
    [{ users: [new Set([1])] }, "its '0' is a Set"],
    [{ user: Promise.resolve(1) }, "its 'user' is a Promise"],
    [NaN, "it is NaN"],
    [{ a: { share: 1 / 0 } }, "its 'share' is Infinity"],
    [10n, "Do not know how to serialize a BigInt"],
    [() => 1, "it is a function"],
    [loop, "Converting circular structure to JSON"],
  ];
  for (const [value, problem] of refused) {
    assert.throws(
      () => encode(value, "the result of step", "a#0"),
      (error: unknown) => {
        assert(error instanceof NotSerializableError);
        assert(error.message.startsWith(`the result of step 'a#0' is not JSON: ${problem}`), error.message);
        assert.match(error.message, /Use objects, arrays, .*Object\.fromEntries\(map\)/);
        return true;
      },
    );
  }
});

test("nothing at all is null, and an encoding of a newer SDK is an error that names it", () => {
  assert.equal(decode(""), null);
  assert.equal(decode("1", "json"), 1);
  assert.throws(() => decode("1", "zstd"), /'zstd'/);
});

test("a duration is a number of milliseconds or a text with units", () => {
  const durations: [number | string, number][] = [
    [1.5, 1.5],
    ["500ms", 500],
    ["30s", 30_000],
    ["1h30m", 5_400_000],
    ["2.5 days", 216_000_000],
    ["1 minute", 60_000],
    ["2 weeks 1 day", 1_296_000_000],
  ];
  for (const [duration, expected] of durations) assert.equal(milliseconds(duration), expected);
  for (const duration of ["", "30", "soon", "1 month", "s", "1s!", NaN, Infinity, null, {}]) {
    assert.throws(() => milliseconds(duration as never), /a duration is a number of milliseconds, or a text/);
  }
});

test("a moment has a time zone", () => {
  assert.equal(moment("2030-01-01T01:00:00+01:00")?.getTime(), Date.UTC(2030, 0, 1));
  assert.equal(moment(new Date(5))?.getTime(), 5);
  for (const other of ["2030-01-01T00:00:00", "2030-01-01", "tomorrow", new Date(NaN), 5]) {
    assert.equal(moment(other), undefined);
  }
});

const STEP_ERROR = new StepError({
  name: "CardDeclined",
  message: "no",
  stack: "a stack",
  stepId: "pay",
  stepKey: "pay#1",
  reason: "",
});

test("errors say whether to try again", () => {
  const directives: [unknown, string | undefined][] = [
    [new Error("x"), undefined],
    ["a text that was thrown", undefined],
    [new NonRetriableError("x"), "never"],
    [new TooLargeError("x"), "never"],
    [STEP_ERROR, "never"],
    [new RetryAfterError("x", "2m"), "after"],
    [new AggregateError([new Error("x"), STEP_ERROR]), "never"],
    [new AggregateError([new Error("x")]), undefined],
  ];
  for (const [error, expected] of directives) assert.equal(directiveOf(error, 0)?.directive.case, expected);
});

test("when to try again may be a time or a moment; one that is past means now", () => {
  const now = Date.UTC(2030, 0, 1);
  const waits: [number | string | Date, number][] = [
    [1500, 1.5],
    ["2m", 120],
    [new Date(now + 3_600_000), 3600],
    [new Date(now - 3_600_000), 0],
    [-5, 0],
  ];
  for (const [after, seconds] of waits) {
    const found = directiveOf(new RetryAfterError("x", after), now)?.directive;
    assert(found?.case === "after");
    const { value } = found;
    assert.equal(Number(value.seconds) + value.nanos / 1e9, seconds);
  }
});

test("a failure has the error's name, message and stack, and what caused it", () => {
  class CardDeclined extends NonRetriableError {}
  const error = new CardDeclined("no", { cause: new TypeError("inner") });
  const failure = failureOf(error, "pay#0");
  assert.deepEqual([failure.name, failure.message, failure.stepKey], ["CardDeclined", "no", "pay#0"]);
  assert.match(failure.stack, /^CardDeclined: no\n.*values\.test/);
  assert.match(failure.stack, /caused by TypeError: inner/);
});

test("a failed step fails its run with its own words", () => {
  assert.deepEqual(failureOf(STEP_ERROR), { name: "CardDeclined", message: "no", stack: "a stack", stepKey: "pay#1" });
});

test("no error is too odd to be told", () => {
  const nameless = new Error("x");
  nameless.name = "";
  const silent = Object.assign(new Error(), { message: undefined, stack: undefined });
  for (const error of [nameless, silent, new Error("\ud800 \0"), new Error("ä".repeat(100_000)), null, 5, { a: 1n }]) {
    const failure = failureOf(error);
    assert.equal(failure.name, "Error");
    assert(toBinary(FailureSchema, create(FailureSchema, failure)).length < 40_000);
  }
});
