// Connections that the agents of a load run share: a machine has not ports and memory for 100,000 of its own. Each
// takes so many streams, then the next one is opened; real agents have one each.
import type { KnownRelay } from "../../core/fleet/agent-relay-choice.ts";
import {
  agentBytes,
  CONNECT_PATH,
  commandBytes,
  LOCATE_PATH,
  locateBytes,
  readRelays,
  readResponse,
} from "../../runtime/agent/relay-bytes.ts";
import {
  hand,
  type RelayCommand,
  type RelayStream,
  type StreamListener,
  type Ways,
} from "../../runtime/agent/relay-ways.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import { GrpcConnection, type GrpcListener, type GrpcStream } from "./grpc-connection.ts";

/** A connection without a stream is closed after so long: those who ask for relays come one after the other. */
const IDLE_MS = 1_000;

/** The ways of all agents of a driver. */
export class SharedConnections implements Ways {
  readonly #asking: ConnectionPool;
  readonly #sessions: ConnectionPool;
  readonly #heard = new LastHeard();

  constructor(streamsMax: number) {
    this.#asking = new ConnectionPool(streamsMax);
    this.#sessions = new ConnectionPool(streamsMax);
  }

  /** Connections to relays that are open or opening. */
  get size(): number {
    return this.#sessions.size;
  }

  locate(
    address: string,
    region: string,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<readonly KnownRelay[]> {
    return new Promise((resolve, reject) => {
      let relays: readonly KnownRelay[] | undefined;
      const stream = this.#asking.open(address, LOCATE_PATH, {
        message: (bytes) => {
          relays = readRelays(bytes);
        },
        ended: (reason) => {
          clearTimeout(timer);
          signal.removeEventListener("abort", stream.cancel);
          if (relays === undefined) reject(unavailable(reason));
          else resolve(relays);
        },
      });
      const timer = setTimeout(stream.cancel, deadlineMs);
      signal.addEventListener("abort", stream.cancel, { once: true });
      stream.send(locateBytes(region));
      stream.end();
    });
  }

  open(address: string, listener: StreamListener): RelayStream {
    const stream = this.#sessions.open(address, CONNECT_PATH, {
      message: (bytes) => hand(this.#heard.read(bytes), listener),
      ended: listener.ended,
    });
    return {
      ...stream,
      send: (message) => stream.send(agentBytes(message)),
    };
  }
}

/** Connections by address, each with so many streams at most. */
class ConnectionPool {
  readonly #streamsMax: number;
  readonly #byAddress = new Map<string, Set<GrpcConnection>>();

  constructor(streamsMax: number) {
    this.#streamsMax = streamsMax;
  }

  get size(): number {
    let size = 0;
    for (const connections of this.#byAddress.values()) size += connections.size;
    return size;
  }

  open(address: string, path: string, { message, ended }: GrpcListener): GrpcStream {
    const connections = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, connections);
    const free = connections.values().find(({ size }) => size < this.#streamsMax);
    const connection: GrpcConnection =
      free ?? new GrpcConnection(address, () => connections.delete(connection));
    connections.add(connection);
    return connection.open(path, {
      message,
      ended: (reason) => {
        if (connection.size === 0) setTimeout(() => closeIdle(connection), IDLE_MS);
        ended(reason);
      },
    });
  }
}

function closeIdle(connection: GrpcConnection): void {
  if (connection.size === 0) connection.close();
}

/** What all agents are told is read once: the same bytes are the same command, which nobody changes. */
class LastHeard {
  #bytes = Buffer.alloc(0);
  #command: RelayCommand | undefined;

  read(bytes: Buffer): ReturnType<typeof readResponse> {
    const { length } = this.#bytes;
    if (length > 0 && this.#bytes.equals(bytes.subarray(0, length))) {
      // What follows is a permit, each agent's own.
      const { permitBeside } = readResponse(bytes.subarray(length));
      return { command: this.#command, permitBeside };
    }
    const response = readResponse(bytes);
    const { command } = response;
    if (command?.$case !== "assignments") return response;
    this.#bytes = Buffer.from(commandBytes(command));
    this.#command = command;
    return response;
  }
}
