// Channels to other programs and the two ways to call them: unary with a deadline, and streams.
import { isIP } from "node:net";
import {
  type CallOptions,
  type ChannelCredentials,
  type ClientOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { AddressError, formatAddress, parseAddress } from "../listen-address.ts";
import { CHANNEL_OPTIONS } from "./limits.ts";

/** A unary call that says nothing about its deadline gets this one. */
const UNARY_MS_DEFAULT = 10_000;

/**
 * What a channel is opened to: "host:port", or several "ip:port" with commas between, of which calls go to the
 * first that can be reached, and to the next when it is lost. Throws AddressError.
 */
export function callTarget(addresses: string): string {
  const parsed = addresses.split(",").map(parseAddress);
  const [first] = parsed;
  if (first === undefined || parsed.length === 1) return addresses;
  const version = isIP(first.host);
  const other = parsed.find(({ host }) => isIP(host) === 0 || isIP(host) !== version);
  if (other !== undefined) {
    throw new AddressError(
      `"${formatAddress(other)}" in "${addresses}": of several addresses all are IPv4, or all IPv6; ` +
        "or give one name that stands for all",
    );
  }
  return `ipv${version}:${parsed.map(formatAddress).join(",")}`;
}

/** Opens a client of a generated class to a `callTarget`; it connects on first use. */
export function connect<Client>(
  Constructor: new (
    address: string,
    credentials: ChannelCredentials,
    options?: Partial<ClientOptions>,
  ) => Client,
  address: string,
): Client {
  return new Constructor(callTarget(address), credentials.createInsecure(), CHANNEL_OPTIONS);
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
