/** A server that answers what a test wants it to: for what a real one can't be brought to do. */

import { create, fromBinary, toBinary, type DescMethodUnary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  Metadata,
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type MethodDefinition,
  type status,
  type StatusObject,
} from "@grpc/grpc-js";
import {
  EventService,
  SendEventsResponseSchema,
  SendSignalResponseSchema,
  type SendEventsRequest,
  type SendSignalRequest,
} from "../src/gen/steplane/v1/event_pb.js";
import { pathOf } from "../src/transport.js";

/** A status that a call ends with, and what it says beside it. */
export interface Trouble {
  readonly code: status;
  /** When to try again, in milliseconds. */
  readonly retryAfter?: number;
  /** What is wrong, field by field. */
  readonly violations?: readonly (readonly [string, string])[];
}

/** Takes events and signals, and answers with the troubles of a list before it succeeds. */
export class Peer {
  readonly sent: SendEventsRequest[] = [];
  readonly signalled: SendSignalRequest[] = [];
  troubles: Trouble[] = [];
  port = 0;
  readonly #server = new Server();

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Serve, on a port that is free if none is given. */
  async start(credentials = ServerCredentials.createInsecure(), port = 0): Promise<void> {
    const { sendEvents, sendSignal } = EventService.method;
    this.#server.addService(definitionOf(sendEvents, sendSignal), {
      SendEvents: this.#answering((request: SendEventsRequest) => {
        this.sent.push(request);
        return create(SendEventsResponseSchema, { ids: request.events.map(({ id }) => id) });
      }),
      SendSignal: this.#answering((request: SendSignalRequest) => {
        this.signalled.push(request);
        return create(SendSignalResponseSchema, { runId: "r1" });
      }),
    });
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #answering<I, O>(answer: (request: I) => O): handleUnaryCall<I, O> {
    return (call, callback) => {
      const response = answer(call.request);
      const trouble = this.troubles.shift();
      if (trouble === undefined) callback(null, response);
      else callback(statusOf(trouble));
    };
  }
}

function definitionOf(...methods: DescMethodUnary[]): Record<string, MethodDefinition<unknown, unknown>> {
  return Object.fromEntries(
    methods.map((method) => [
      method.name,
      {
        path: pathOf(method),
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: unknown) => Buffer.from(toBinary(method.input, message as never)),
        requestDeserialize: (data: Buffer) => fromBinary(method.input, data),
        responseSerialize: (message: unknown) => Buffer.from(toBinary(method.output, message as never)),
        responseDeserialize: (data: Buffer) => fromBinary(method.output, data),
      },
    ]),
  );
}

/** A rich status, as a server of any language sends it: a `google.rpc.Status` in the trailers. */
function statusOf({ code, retryAfter, violations = [] }: Trouble): StatusObject {
  const details = "as the test wants it";
  const rich = new BinaryWriter().tag(1, WireType.Varint).int32(code).tag(2, WireType.LengthDelimited).string(details);
  if (retryAfter !== undefined) {
    const delay = message(new BinaryWriter().tag(2, WireType.Varint).int32(retryAfter * 1e6));
    detail(rich, "google.rpc.RetryInfo", delay);
  }
  const found = new BinaryWriter();
  for (const [field, description] of violations) {
    found.tag(1, WireType.LengthDelimited).fork();
    found.tag(1, WireType.LengthDelimited).string(field).tag(2, WireType.LengthDelimited).string(description).join();
  }
  if (violations.length > 0) detail(rich, "google.rpc.BadRequest", found.finish());
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(rich.finish()));
  return { code, details, metadata };
}

function detail(status: BinaryWriter, type: string, value: Uint8Array): void {
  status.tag(3, WireType.LengthDelimited).fork();
  status.tag(1, WireType.LengthDelimited).string(`type.googleapis.com/${type}`);
  status.tag(2, WireType.LengthDelimited).bytes(value).join();
}

/** A message whose first field is another. */
function message(inner: BinaryWriter): Uint8Array {
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(inner.finish()).finish();
}
