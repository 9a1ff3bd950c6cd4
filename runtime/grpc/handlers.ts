// Turns async functions into grpc-js handlers: a result, or a status. No handler can leave a call open
// by throwing, and a stream's writer waits where its reader is slow.
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerWritableStream,
} from "@grpc/grpc-js";
import type { Log } from "../log.ts";
import { asServiceError } from "./rpc-error.ts";

export interface CallContext {
  /** Aborted when the caller has gone or its deadline has passed. */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  readonly peer: string;
}

/** A unary handler from an async function. */
export function unary<Request, Response>(
  log: Log,
  handle: (request: Request, context: CallContext) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    const context = { signal: gone.signal, metadata: call.metadata, peer: call.getPeer() };
    handle(call.request, context).then(
      (response) => callback(null, response),
      (error: unknown) => callback(asServiceError(error, log)),
    );
  };
}

/** A server-streaming handler from an async generator. */
export function serverStream<Request, Response>(
  log: Log,
  handle: (request: Request, context: CallContext) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    call.on("error", () => gone.abort());
    const context = { signal: gone.signal, metadata: call.metadata, peer: call.getPeer() };
    pump(call, handle(call.request, context), gone.signal).then(
      () => call.end(),
      (error: unknown) => {
        if (!gone.signal.aborted) call.emit("error", asServiceError(error, log));
      },
    );
  };
}

async function pump<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  messages: AsyncIterable<Response>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) return;
    if (!call.write(message)) await drained(call, signal);
  }
}

function drained(call: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.on("drain", done);
    signal.addEventListener("abort", done);
  });
}
