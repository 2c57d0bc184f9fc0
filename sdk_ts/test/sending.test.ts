/** Sending events and signals from outside of runs: what is asked again, what is not, and what an error says. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import { NotSerializableError, SendError, Steplane } from "../src/index.js";
import { textOf } from "../src/codec.js";
import { Peer, type Trouble } from "./peer.js";

/** A server, and a client of it. */
async function peered(context: TestContext, ...troubles: Trouble[]): Promise<{ peer: Peer; client: Steplane }> {
  const peer = new Peer();
  await peer.start();
  peer.troubles = troubles;
  const client = new Steplane({ id: "app", address: peer.address });
  context.after(() => {
    client.close();
    peer.stop();
  });
  return { peer, client };
}

test("events are sent as a batch; ids come back in order, and are made where there are none", async (context) => {
  const { peer, client } = await peered(context);
  const ids = await client.send([{ name: "a/b", data: { x: 1 }, id: "mine", ts: new Date(1500) }, { name: "a/c" }]);
  const [request] = peer.sent;
  assert.equal(request?.namespace, "default");
  assert.deepEqual(
    request.events.map(({ id, name, data }) => [id, name, textOf(data?.data)]),
    [
      ["mine", "a/b", '{"x":1}'],
      [ids[1], "a/c", "{}"],
    ],
  );
  assert.deepEqual(request.events[0]?.ts?.seconds, 1n);
  assert.match(ids[1] ?? "", /^[0-9A-HJKMNP-TV-Z]{26}$/);
});

test("whom an event is about belongs to its data", async (context) => {
  const { peer, client } = await peered(context);
  await client.send([
    { name: "a", data: { n: 1 }, user: { id: 7 } },
    { name: "a", data: { user: 8 }, user: 7 },
  ]);
  assert.deepEqual(
    peer.sent[0]?.events.map(({ data }) => textOf(data?.data)),
    ['{"user":{"id":7},"n":1}', '{"user":8}'],
  );
});

test("nothing is sent for nothing, and a client that was closed opens again", async (context) => {
  const { peer, client } = await peered(context);
  assert.deepEqual(await client.send([]), []);
  assert.equal(peer.sent.length, 0);
  await client.send({ name: "a/b" });
  client.close();
  client.close();
  await client.send({ name: "a/c" });
  assert.equal(peer.sent.length, 2);
});

const PASSING: Trouble[] = [
  { code: status.UNAVAILABLE },
  { code: status.UNAVAILABLE, retryAfter: 10 },
  { code: status.RESOURCE_EXHAUSTED, retryAfter: 10 },
  { code: status.DEADLINE_EXCEEDED },
  { code: status.CANCELLED },
];

for (const trouble of PASSING) {
  test(`a server that can't just now is asked again: ${JSON.stringify(trouble)}`, async (context) => {
    const { peer, client } = await peered(context, trouble, trouble);
    const [id] = await client.send({ name: "a/b" });
    assert.deepEqual(
      peer.sent.map(({ events }) => events[0]?.id),
      [id, id, id],
    );
  });
}

const LASTING: [Trouble, RegExp][] = [
  [{ code: status.RESOURCE_EXHAUSTED }, /^the server refused the events: as the test wants it$/],
  [{ code: status.PERMISSION_DENIED }, /refuses access \(PERMISSION_DENIED/],
  [{ code: status.UNIMPLEMENTED }, /does not know this call/],
  [{ code: status.INTERNAL }, /answers INTERNAL: as the test wants it/],
  [
    { code: status.INVALID_ARGUMENT, violations: [["events[1].name", "is required"]] },
    /^the server refused the events\n {2}events\[1\]\.name: is required$/,
  ],
];

for (const [trouble, text] of LASTING) {
  test(`what will not change is told at once: ${status[trouble.code]}`, async (context) => {
    const { peer, client } = await peered(context, trouble);
    await assert.rejects(client.send({ name: "a/b" }), (error: unknown) => {
      assert(error instanceof SendError);
      assert.match(error.message, text);
      assert.equal(error.code, status[trouble.code]);
      const found = error.violations.map(({ field, description }) => [field, description]);
      assert.deepEqual(found, trouble.violations ?? []);
      return true;
    });
    assert.equal(peer.sent.length, 1);
  });
}

test("a server that never can is given up when the time is over", async (context) => {
  const trouble = { code: status.UNAVAILABLE, retryAfter: 50 };
  const { peer, client } = await peered(context, ...new Array<Trouble>(100).fill(trouble));
  await assert.rejects(client.send({ name: "a/b" }, { timeout: 500 }), SendError);
  assert(peer.sent.length <= 10, `${peer.sent.length} tries of 50 ms or more`);
});

test("what can't be sent is named, and none of the batch is sent", async (context) => {
  const { peer, client } = await peered(context);
  const refused: [object, string][] = [
    [{ name: "a/c", data: { x: new Map() } }, "the data of event 1, 'a/c' is not JSON: its 'x' is a Map. Use objects"],
    [{ name: "a/c", data: [1] }, "the data of event 1, 'a/c' is an array; it has to be an object"],
    [{ name: "a/c", ts: "tomorrow" }, "the ts of event 1 ('a/c') is 'tomorrow'; use a Date, or Date.now()"],
    [{ name: "a/c", date: {} }, "event 1 ('a/c'): there is no option 'date'"],
    [{ data: {} }, "event 1 has no name, but undefined"],
  ];
  for (const [event, text] of refused) {
    await assert.rejects(client.send([{ name: "a/b" }, event as never]), (error: Error) => {
      assert(error.message.startsWith(text), error.message);
      return true;
    });
  }
  assert.equal(peer.sent.length, 0);
});

test("a signal tells who got it", async (context) => {
  const { peer, client } = await peered(context);
  assert.equal(await client.sendSignal("approve/1", { by: "me" }), "r1");
  assert.equal(await client.sendSignal("approve/2"), "r1");
  assert.deepEqual(
    peer.signalled.map(({ namespace, signal, data }) => [namespace, signal, textOf(data?.data)]),
    [
      ["default", "approve/1", '{"by":"me"}'],
      ["default", "approve/2", "null"],
    ],
  );
  await assert.rejects(client.sendSignal("approve/1", new Set()), NotSerializableError);
});

test("a signal that was not taken is sent again: a server that says when to come again has not", async (context) => {
  const trouble = { code: status.UNAVAILABLE, retryAfter: 10 };
  const { peer, client } = await peered(context, trouble, { ...trouble, code: status.RESOURCE_EXHAUSTED });
  assert.equal(await client.sendSignal("approve/1"), "r1");
  assert.equal(peer.signalled.length, 3);
});

for (const code of [status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED, status.INTERNAL]) {
  test(`a signal that may have been taken is not sent again: ${status[code]}`, async (context) => {
    const { peer, client } = await peered(context, { code });
    await assert.rejects(client.sendSignal("approve/1"), { name: "SendError", code: status[code] });
    assert.equal(peer.signalled.length, 1);
  });
}

test("a signal finds a server that begins later, and is told if none does", async () => {
  const first = new Peer();
  await first.start();
  first.stop();
  const client = new Steplane({ id: "app", address: first.address });
  await assert.rejects(client.sendSignal("approve/1", null, { timeout: 2_000 }), {
    code: "UNAVAILABLE",
    message: new RegExp(`could not be sent: nothing answers at ${first.address}. Is the server running`),
  });
  const sending = client.sendSignal("approve/1");
  const second = new Peer();
  await second.start(undefined, first.port);
  assert.equal(await sending, "r1");
  client.close();
  second.stop();
});
