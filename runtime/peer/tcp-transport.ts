// Peers over TCP: dials their addresses, and listens on one of its own where others can reach it.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { parsePeerAddress } from "./peer-address.ts";
import type { PeerTransport } from "./peer-transport.ts";
import type { Introduction, SwarmLog } from "./swarm.ts";

/** For a connection to stand: three tries of the kernel's, after which another way is better. */
const CONNECT_MS_MAX = 5_000;

export interface TcpListening {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Address told to others, host:port; left out: the address listened on. */
  readonly advertise?: string;
  /** Connections at one time; further ones are refused. */
  readonly connectionsMax: number;
  readonly log: SwarmLog;
}

/** Dials by TCP; reached by TCP where it listens. */
export class TcpTransport implements PeerTransport {
  /** What others are told to dial, host:port; empty: nothing. */
  readonly address: string;
  readonly #server: Server | undefined;

  /** Rejects when the address cannot be listened on; without one it only dials. */
  static async open(listening?: TcpListening): Promise<TcpTransport> {
    if (listening === undefined) return new TcpTransport(undefined, "");
    const { host, port, advertise, connectionsMax, log } = listening;
    const server = createServer({ noDelay: true });
    server.maxConnections = connectionsMax;
    server.listen({ host, port });
    await once(server, "listening");
    server.on("error", (error) => log.warn({ err: error }, "peer listener failed"));
    return new TcpTransport(server, advertise ?? addressOf(server));
  }

  private constructor(server: Server | undefined, address: string) {
    this.#server = server;
    this.address = address;
  }

  reaches(peer: Introduction): boolean {
    return peer.address !== "";
  }

  dial(_: string, { address }: Introduction, signal: AbortSignal): Promise<Socket> {
    return connectTo(address, signal);
  }

  accept(taken: (socket: Socket) => void): void {
    this.#server?.on("connection", (socket) => taken(socket));
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const closed = once(server, "close");
    server.close();
    await closed;
  }
}

/** Connects to host:port; rejects when that fails, takes too long, or on abort. */
async function connectTo(address: string, signal: AbortSignal): Promise<Socket> {
  const target = parsePeerAddress(address);
  if (target === undefined) throw new Error(`${address} is no address`);
  const socket = connect({ ...target, noDelay: true });
  try {
    const late = AbortSignal.timeout(CONNECT_MS_MAX);
    await once(socket, "connect", { signal: AbortSignal.any([signal, late]) });
    return socket;
  } catch (error) {
    socket.on("error", () => {});
    socket.destroy();
    const isLate = (error as Error).name === "AbortError" && !signal.aborted;
    throw isLate ? new Error(`no connection in ${CONNECT_MS_MAX} ms`) : error;
  }
}

function addressOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
