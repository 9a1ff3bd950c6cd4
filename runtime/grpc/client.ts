// Channels to other programs and the two ways to call them: unary with a deadline, and streams.
import {
  type CallOptions,
  type ChannelCredentials,
  type ClientOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { formatAddress, parseAddress } from "../listen-address.ts";
import { CHANNEL_OPTIONS, REPLICAS_CHANNEL_OPTIONS } from "./limits.ts";
import { REPLICAS_SCHEME, registerReplicaResolver } from "./replica-resolver.ts";

/** A unary call that says nothing about its deadline gets this one. */
const UNARY_MS_DEFAULT = 10_000;

registerReplicaResolver();

/**
 * What a channel is opened to: "host:port", or several with commas between, of which calls go to the first that
 * answers, and to another when it is lost. Throws AddressError.
 */
export function callTarget(addresses: string): string {
  const parsed = addresses.split(",").map(parseAddress);
  if (parsed.length === 1) return addresses;
  return `${REPLICAS_SCHEME}:${parsed.map(formatAddress).join(",")}`;
}

/** A client class as `ts-proto` generates it. */
export type ClientClass<Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => Client;

/** Opens a client of a generated class to a `callTarget`; it connects on first use. */
export function connect<Client>(
  Constructor: ClientClass<Client>,
  address: string,
  more: Partial<ClientOptions> = {},
): Client {
  const options = address.includes(",") ? REPLICAS_CHANNEL_OPTIONS : CHANNEL_OPTIONS;
  const credential = credentials.createInsecure();
  return new Constructor(callTarget(address), credential, { ...options, ...more });
}

export interface UnaryOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
  /** Wait for the server to be there instead of failing at once. */
  readonly waitForReady?: boolean;
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/**
 * Calls a unary method: `await call(client, client.getBuild, { id })`. Rejects with the ServiceError,
 * whose `code` is the gRPC status and `details` the server's sentence.
 */
export function call<Request, Response>(
  client: object,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: UnaryOptions = {},
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const metadata = options.metadata ?? new Metadata();
    if (options.waitForReady === true) metadata.setOptions({ waitForReady: true });
    const deadline = Date.now() + (options.deadlineMs ?? UNARY_MS_DEFAULT);
    const running = method.call(client, request, metadata, { deadline }, (error, response) => {
      options.signal?.removeEventListener("abort", cancel);
      if (error === null) resolve(response);
      else reject(error);
    });
    const cancel = (): void => running.cancel();
    if (options.signal?.aborted === true) cancel();
    else options.signal?.addEventListener("abort", cancel, { once: true });
  });
}
