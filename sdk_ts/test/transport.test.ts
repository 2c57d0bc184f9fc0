/** What a connection that does not work is told as, and how TLS is spoken. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ServerCredentials } from "@grpc/grpc-js";
import { EventService, SendEventsRequestSchema } from "../src/gen/steplane/v1/event_pb.js";
import { Steplane, type Tls } from "../src/index.js";
import { callUnary, connect, explain, isServiceError, targetOf } from "../src/transport.js";
import { Peer } from "./peer.js";
import { PROJECT } from "./server.js";

const FOLDER = join(PROJECT, "tests", "app", "tls");
const [CA, CERTIFICATE, KEY] = ["ca.pem", "server.pem", "server.key"].map((name) => join(FOLDER, name)) as [
  string,
  string,
  string,
];

/** What is said about a call to an address. */
async function problem(address: string, tls: boolean | Tls = false): Promise<string> {
  const target = targetOf(address, tls);
  const client = connect(target);
  try {
    await callUnary(client, EventService.method.sendEvents, create(SendEventsRequestSchema), 30_000);
    return "no problem";
  } catch (error) {
    assert(isServiceError(error));
    return explain(error, target);
  } finally {
    client.close();
  }
}

async function web(context: TestContext, server: Server): Promise<string> {
  server.on("request", (_, response) => response.end("<html>hello</html>")).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function peer(context: TestContext, credentials?: ServerCredentials): Promise<string> {
  const peer = new Peer();
  await peer.start(credentials);
  context.after(() => {
    peer.stop();
  });
  return peer.address;
}

function secure(mustShowCertificate = false): ServerCredentials {
  const pair = { private_key: readFileSync(KEY), cert_chain: readFileSync(CERTIFICATE) };
  return ServerCredentials.createSsl(readFileSync(CA), [pair], mustShowCertificate);
}

test("nobody is there", async () => {
  const taker = createServer().listen(0, "127.0.0.1");
  await once(taker, "listening");
  const address = `127.0.0.1:${(taker.address() as AddressInfo).port}`;
  taker.close();
  await once(taker, "close");
  const text = await problem(address);
  assert(text.includes(`nothing answers at ${address}. Is the server running, and is the address right?`), text);
});

test("an unknown host", async () => {
  const text = await problem("no-such-host.invalid:7100");
  assert(text.includes("the host name of no-such-host.invalid:7100 is not known"), text);
});

test("a web server", async (context) => {
  const text = await problem(await web(context, createServer()));
  assert(text.includes("answers like a web server, and not with gRPC. Is there a proxy or a web page"), text);
});

test("a web server behind TLS", async (context) => {
  const server = createSecureServer({ key: readFileSync(KEY), cert: readFileSync(CERTIFICATE) });
  const text = await problem(await web(context, server), { ca: CA });
  assert(text.includes("answers like a web server"), text);
});

test("a server with TLS, and a client without", async (context) => {
  const text = await problem(await peer(context, secure()));
  assert(text.includes("If it speaks TLS, use new Steplane({ tls: true })"), text);
});

test("a server without TLS, and a client with it", async (context) => {
  const text = await problem(await peer(context), { ca: CA });
  assert(text.includes("does not speak TLS, but this client does. Leave out tls"), text);
});

test("a certificate that nobody trusts", async (context) => {
  const text = await problem(await peer(context, secure()), true);
  assert(text.includes("can't be trusted. Give its authority by tls: { ca: 'ca.pem' }"), text);
});

test("the right certificate, by its path or as bytes", async (context) => {
  const address = await peer(context, secure());
  assert.equal(await problem(address, { ca: CA }), "no problem");
  assert.equal(await problem(address, { ca: readFileSync(CA), serverName: "localhost" }), "no problem");
});

test("a server that asks for a client's certificate", async (context) => {
  const address = await peer(context, secure(true));
  const text = await problem(address, { ca: CA });
  assert(text.includes("asks for a client certificate. Give one by tls: { certificate: 'client.pem'"), text);
  const own = { certificate: join(FOLDER, "client.pem"), key: join(FOLDER, "client.key") };
  assert.equal(await problem(address, { ca: CA, ...own }), "no problem");
});

test("a worker that can't connect says what is wrong, and goes on trying", async (context) => {
  const address = await web(context, createServer());
  let said: (text: string) => void;
  const logged = new Promise<string>((resolve) => (said = resolve));
  const error = (text: string): void => {
    said(text);
  };
  const logger = { ...console, info: () => undefined, warn: () => undefined, error };
  const client = new Steplane({ id: "app", address, logger });
  client.createFunction({ id: "f", triggers: [] }, () => null);
  const worker = client.createWorker();
  const running = worker.run({ signals: false });
  const text = await logged;
  assert(text.startsWith(`not connected to Steplane: ${address} answers like a web server`), text);
  assert.equal(worker.isConnected, false);
  worker.stop();
  await running;
});

test("STEPLANE_ADDRESS is the default, and what is written goes before it", async (context) => {
  const there = await peer(context);
  process.env["STEPLANE_ADDRESS"] = there;
  context.after(() => delete process.env["STEPLANE_ADDRESS"]);
  const client = new Steplane({ id: "app" });
  assert.equal((await client.send({ name: "a" })).length, 1);
  client.close();
  const other = new Steplane({ id: "app", address: "127.0.0.1:1" });
  await assert.rejects(other.send({ name: "a" }, { timeout: 2_000 }), /nothing answers at 127\.0\.0\.1:1\./);
  other.close();
});
