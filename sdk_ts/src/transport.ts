/** The way to a server: connection, TLS, and what an error of gRPC means in words that help. */

import { readFileSync } from "node:fs";
import { fromBinary, toBinary, type DescMethodUnary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { shown } from "./text.js";

export const DEFAULT_PORT = 7100;
const OPTIONS = {
  "grpc.max_receive_message_length": -1, // the server tells what it sends at the most
  "grpc.max_send_message_length": -1,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // A new connection has to try at once, and not to wait until an older one of the process would.
  "grpc.use_local_subchannel_pool": 1,
};
const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[^\s/:[\]]+):([0-9]{1,5})$/;

/** How to speak TLS, where `tls: true` is not enough. Each of the first three is PEM: bytes, or a path. */
export interface Tls {
  /** The certificates to trust; those of the system if not given. */
  ca?: Uint8Array | string;
  /** The worker's own certificate chain, if the server asks for one. */
  certificate?: Uint8Array | string;
  /** The private key of that certificate. */
  key?: Uint8Array | string;
  /** The name that the server's certificate has, if it is not that of the address. */
  serverName?: string;
}

/** A server's address, and how to speak to it: plain values, since it is sent to the stream's thread. */
export interface Target {
  readonly address: string;
  readonly tls:
    | {
        readonly ca: Uint8Array | undefined;
        readonly certificate: Uint8Array | undefined;
        readonly key: Uint8Array | undefined;
        readonly serverName: string;
      }
    | undefined;
}

/** The way to an address. Throws a `TypeError` if it is none. */
export function targetOf(address: string, tls: boolean | Tls): Target {
  const match = ADDRESS.exec(address);
  if (!address.startsWith("unix:") && (match === null || Number(match[2]) > 65535)) {
    throw new TypeError(
      `the server's address has to be host:port, for example 127.0.0.1:${DEFAULT_PORT}, not ${shown(address)}`,
    );
  }
  if (tls === false) return { address, tls: undefined };
  const { ca, certificate, key, serverName = "" } = tls === true ? {} : tls;
  return { address, tls: { ca: pem(ca), certificate: pem(certificate), key: pem(key), serverName } };
}

/** A new connection. It is made with its first call. */
export function connect(target: Target): Client {
  const { address, tls } = target;
  if (tls === undefined) return new Client(address, credentials.createInsecure(), OPTIONS);
  const secure = credentials.createSsl(bufferOf(tls.ca), bufferOf(tls.key), bufferOf(tls.certificate));
  const name = tls.serverName === "" ? {} : { "grpc.ssl_target_name_override": tls.serverName };
  return new Client(address, secure, { ...OPTIONS, ...name });
}

/** The path of a method. */
export function pathOf(method: { name: string; parent: { typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Call a method of the server once. Throws a `ServiceError`. */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  timeout: number,
): Promise<MessageShape<O>> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      pathOf(method),
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (data) => fromBinary(method.output, data),
      request,
      new Metadata(),
      { deadline: Date.now() + timeout },
      (error, response) => {
        if (error !== null) reject(error);
        else if (response === undefined) reject(new Error(`${pathOf(method)} answered nothing`));
        else resolve(response);
      },
    );
  });
}

/** Whether something that was thrown is an error of gRPC. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

/** The name of an error's status: `UNAVAILABLE`, … */
export function codeOf(error: ServiceError): string {
  return status[error.code];
}

/** What an error means, as far as a program can tell, and what to do about it. */
export function explain(error: ServiceError, { address, tls }: Target): string {
  const text = error.details;
  for (const [pattern, cause, remedy] of EXPLANATIONS) {
    if (pattern.test(text)) return `${cause.replace("{address}", address)}. ${remedy}`;
  }
  if (tls === undefined && /Failed to connect|connection (reset|dropped)|ECONNRESET|socket hang up/i.test(text)) {
    return (
      `${address} closes the connection as soon as it is made. ` +
      "If it speaks TLS, use new Steplane({ tls: true }); if it is not a Steplane server, correct the address"
    );
  }
  switch (error.code) {
    case status.UNIMPLEMENTED:
      return `${address} speaks gRPC, but does not know this call (${text}). Is it a Steplane server, and not older than this SDK?`;
    case status.DEADLINE_EXCEEDED:
      return `${address} does not answer in time. Is it the right address, and is the server overloaded?`;
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return `${address} refuses access (${codeOf(error)}: ${text}). Check the credentials of this worker`;
    default:
      return `${address} answers ${codeOf(error)}: ${text}`;
  }
}

const EXPLANATIONS: readonly (readonly [RegExp, string, string])[] = [
  [
    /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|connection refused|Waiting for LB pick/i,
    "nothing answers at {address}",
    "Is the server running, and is the address right? It is set by new Steplane({ address }) or STEPLANE_ADDRESS",
  ],
  [
    /ENOTFOUND|EAI_AGAIN|Name resolution failed/i,
    "the host name of {address} is not known",
    "Correct the address: host:port, without http://",
  ],
  [
    /WRONG_VERSION_NUMBER|wrong version number|packet length too long|before secure TLS connection/i,
    "{address} does not speak TLS, but this client does",
    "Leave out tls, or give the server a certificate",
  ],
  [
    /certificate required|ALERT_BAD_CERTIFICATE|alert number 116/i,
    "{address} asks for a client certificate",
    "Give one by tls: { certificate: 'client.pem', key: 'client.key' }",
  ],
  [
    /self.signed certificate|unable to (verify|get)|CERT_|altnames|certificate/i,
    "the certificate of {address} can't be trusted",
    "Give its authority by tls: { ca: 'ca.pem' }, and check that the certificate has the host's name",
  ],
  [
    /Protocol error|no application protocol|HTTP\/1|Received HTTP status|content-type|Parse Error/i,
    "{address} answers like a web server, and not with gRPC",
    "Is there a proxy or a web page at this address? It has to let HTTP/2 and gRPC through to the Steplane server",
  ],
];

function pem(source: Uint8Array | string | undefined): Uint8Array | undefined {
  return typeof source === "string" ? readFileSync(source) : source;
}

function bufferOf(data: Uint8Array | undefined): Buffer | null {
  return data === undefined ? null : Buffer.from(data);
}
