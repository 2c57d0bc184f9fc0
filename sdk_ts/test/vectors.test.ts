/** The vectors that all SDKs share: keys, spans, and histories of the replay machine. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Status, type StepCall } from "../src/replay/call.js";
import { AckStatus, StepKind, StepState, type Entry } from "../src/replay/journal.js";
import { childTraceparent, runSpanId, stepKey, stepSpanId } from "../src/replay/key.js";
import { Machine, State } from "../src/replay/machine.js";

interface EntryVector {
  step_key: string;
  kind: keyof typeof StepKind;
  state: keyof typeof StepState;
  attempts: number;
  is_due_later: boolean;
  ended_at: number;
}

interface Told {
  do: string;
  id: string;
  kind: keyof typeof StepKind;
  key: string;
  is_certain: boolean;
  status: keyof typeof AckStatus;
  entry?: EntryVector;
  expect: Record<string, unknown>;
}

interface History {
  in_order: boolean;
  steps_max: number;
  journal: EntryVector[];
  script: Told[];
}

function vectors<T>(name: string): T {
  const url = new URL(`../../../conformance/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as T;
}

test("step keys are those of every other SDK", () => {
  interface Keys {
    accepted: { ids: string[]; keys: string[] }[];
    refused: { id: string; message: string }[];
  }
  const { accepted, refused } = vectors<Keys>("step_keys");
  for (const { ids, keys } of accepted) {
    const machine = new Machine({ runId: "r", epoch: 1 });
    assert.deepEqual(
      ids.map((id) => machine.begin(id, StepKind.RUN).key),
      keys,
    );
  }
  for (const { id, message } of refused) assert.throws(() => stepKey(id, 0), { name: "StepIdError", message });
});

test("span ids and trace contexts are those of every other SDK", () => {
  for (const each of vectors<Record<string, string>[]>("spans")) {
    const { run_id = "", step_key = "", run_traceparent = "" } = each;
    const span = stepSpanId(run_id, step_key);
    assert.equal(runSpanId(run_id), each["run_span_id"]);
    assert.equal(span, each["step_span_id"]);
    assert.equal(childTraceparent(run_traceparent, span), each["step_traceparent"]);
  }
});

test("the replay machine answers each history as that of every other SDK does", () => {
  const histories = vectors<History[]>("replay");
  assert.ok(histories.length > 100);
  for (const [index, history] of histories.entries()) {
    const player = new Player(history);
    for (const [line, told] of history.script.entries()) {
      assert.deepEqual(player.tell(told), told.expect, `history ${index}, line ${line}: ${JSON.stringify(told)}`);
    }
  }
});

class Player {
  readonly #machine: Machine;
  readonly #calls = new Map<string, StepCall>();

  constructor(history: History) {
    this.#machine = new Machine({
      runId: "r",
      epoch: 1,
      journal: history.journal.map(entryOf),
      stepsMax: history.steps_max,
      inOrder: history.in_order,
    });
  }

  tell(told: Told): Record<string, unknown> {
    const machine = this.#machine;
    const answer = this.#tell(told);
    const state = Object.entries(State).find(([, value]) => value === machine.state)?.[0];
    return { ...answer, state, is_blocked: machine.isBlocked, has_held: machine.hasHeld };
  }

  #tell(told: Told): Record<string, unknown> {
    const machine = this.#machine;
    switch (told.do) {
      case "begin":
        return this.#begin(told);
      case "reported":
        machine.reported(this.#call(told.key), told.is_certain);
        return standing(this.#call(told.key));
      case "acked": {
        const entry = told.entry === undefined ? undefined : entryOf(told.entry);
        const goesOn = machine.acked(told.key, AckStatus[told.status], entry, "no");
        return { goes_on: goesOn !== undefined, ...standing(this.#call(told.key)) };
      }
      case "resolved": {
        assert.ok(told.entry);
        const goesOn = machine.resolved(entryOf(told.entry));
        return { goes_on: goesOn !== undefined, ...standing(this.#call(told.entry.step_key)) };
      }
      case "abandon":
        machine.abandon(this.#call(told.key));
        return {};
      case "deliver":
        return standing(machine.deliver());
      case "proceed":
        return { keys: machine.proceed().map((call) => call.key) };
      case "park":
        return { blocked_by: machine.park() };
      default:
        throw new Error(`unknown: ${told.do}`);
    }
  }

  #begin(told: Told): Record<string, unknown> {
    try {
      const call = this.#machine.begin(told.id, StepKind[told.kind]);
      this.#calls.set(call.key, call);
      return standing(call);
    } catch (error) {
      assert.ok(error instanceof Error);
      return { error: error.name, message: error.message };
    }
  }

  #call(key: string): StepCall {
    const call = this.#calls.get(key);
    assert.ok(call, key);
    return call;
  }
}

function standing(call: StepCall): Record<string, unknown> {
  const status = Object.entries(Status).find(([, value]) => value === call.status)?.[0];
  return { key: call.key, status, attempts: call.attempts, is_held: call.isHeld };
}

function entryOf(each: EntryVector): Entry {
  return {
    stepKey: each.step_key,
    kind: StepKind[each.kind],
    state: StepState[each.state],
    output: "",
    encoding: "",
    failure: undefined,
    attempts: each.attempts,
    isDueLater: each.is_due_later,
    eventIds: [],
    endedAt: each.ended_at,
  };
}
