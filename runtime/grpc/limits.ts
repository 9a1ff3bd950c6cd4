// Limits of every gRPC channel and server. grpc-js itself has none on streams, age or memory.

/** One message; manifests and logs are streamed or ride in the swarm. */
export const MESSAGE_BYTES_MAX = 256 * 1024;

/** Streams of one connection: a CLI needs 3, a build system a few dozen watches. */
const STREAMS_MAX = 256;

/**
 * Options of every server. Who is silent for 20 s is gone: a machine that lost its power is to be known within 30 s, and
 * one that is busy is not to lose its relay for 5 s of that.
 */
export const SERVER_OPTIONS = {
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_concurrent_streams": STREAMS_MAX,
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 10_000,
} as const;

/** Options of every channel. Its retry buffer leaks on long streams, so retries are ours. */
export const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
  "grpc.enable_retries": 0,
  // Programs of one fleet reach each other, loopback above all; http_proxy is for the world outside.
  "grpc.enable_http_proxy": 0,
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
} as const;

/**
 * Where there are several replicas to go to, one that says nothing for 4 s is left: less than the 10 s after which
 * a worker counts as lost, and than the 10 s that a call has.
 */
export const REPLICAS_CHANNEL_OPTIONS = {
  ...CHANNEL_OPTIONS,
  "grpc.keepalive_time_ms": 2_000,
  "grpc.keepalive_timeout_ms": 2_000,
} as const;
