// One process's place in its region's swarms: one TCP listener, one swarm per pack. It routes each
// connection to the swarm that its hello names, and ends those that say none; what is said on them
// is the business of `joined-swarm.ts`.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Instant } from "../../core/machine.ts";
import type { Frame, Hello } from "../../core/swarm/frame.ts";
import type { PeerId, PeerRole } from "../../core/swarm/message.ts";
import { monotonicNow } from "../driver.ts";
import { BufferPool } from "./buffer-pool.ts";
import { Connection } from "./connection.ts";
import { JoinedSwarm } from "./joined-swarm.ts";
import { parsePeerAddress } from "./peer-address.ts";
import type { PieceStore } from "./piece-store.ts";
import type { Swarm, SwarmBytes, SwarmLog } from "./swarm.ts";

/** Connections of a process: 8 packs of a relay with 128 neighbours each. */
const CONNECTIONS_MAX = 1024;
/** Of these, such that have not said hello. */
const STRANGERS_MAX = 128;
/** How often connections are looked at for being late. */
const TICK_MS = 1_000;

export interface SwarmNodeOptions {
  readonly peerId: string;
  readonly role: PeerRole;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Address told to others, host:port; left out: the address listened on. */
  readonly advertise?: string;
  readonly log?: SwarmLog;
  readonly now?: () => Instant;
}

const SILENT: SwarmLog = { debug: () => {}, info: () => {}, warn: () => {} };

/** Listens on one TCP port for all packs. */
export class SwarmNode {
  /** What others are told to dial, host:port. */
  readonly address: string;
  readonly #options: SwarmNodeOptions;
  readonly #log: SwarmLog;
  readonly #now: () => Instant;
  readonly #server: Server;
  readonly #pool = new BufferPool();
  readonly #swarms = new Map<string, JoinedSwarm>();
  readonly #connections = new Set<Connection>();
  readonly #ticker: NodeJS.Timeout;
  /** Of swarms that were left. */
  #leftBytes: SwarmBytes = { fromRelay: 0, fromPeers: 0, sent: 0 };
  #closing: Promise<void> | undefined;

  /** Rejects when the address cannot be listened on. */
  static async listen(options: SwarmNodeOptions): Promise<SwarmNode> {
    const server = createServer({ noDelay: true });
    server.maxConnections = CONNECTIONS_MAX;
    server.listen({ host: options.host, port: options.port });
    await once(server, "listening");
    return new SwarmNode(options, server);
  }

  private constructor(options: SwarmNodeOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#log = options.log ?? SILENT;
    this.#now = options.now ?? monotonicNow;
    const { address, family, port } = server.address() as AddressInfo;
    const host = family === "IPv6" ? `[${address}]` : address;
    this.address = options.advertise ?? `${host}:${port}`;
    server.on("connection", (socket) => this.#accept(socket));
    server.on("error", (error) => this.#log.warn({ err: error }, "peer listener failed"));
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Buffers of 256 KiB in use, of all swarms. */
  get buffersTaken(): number {
    return this.#pool.taken;
  }

  /** Payload bytes of all swarms since the start. */
  get bytes(): SwarmBytes {
    return sum([this.#leftBytes, ...[...this.#swarms.values()].map(({ bytes }) => bytes)]);
  }

  /** Packs whose swarms are joined. */
  get packs(): number {
    return this.#swarms.size;
  }

  /** Connections that are open, whoever opened them. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Enters a pack's swarm; the store stays the caller's. Throws when the pack is joined already. */
  join(pack: string, store: PieceStore, wanted: "all" | readonly number[]): Swarm {
    if (this.#swarms.has(pack)) throw new Error(`the swarm of pack ${pack} is joined already`);
    const swarm = new JoinedSwarm({
      pack,
      peerId: this.#options.peerId,
      role: this.#options.role,
      store,
      log: this.#log,
      now: this.#now,
      dial: (from, peer, address) => this.#dial(from, peer, address),
      left: ({ bytes }) => {
        this.#swarms.delete(pack);
        this.#leftBytes = sum([this.#leftBytes, bytes]);
      },
    });
    this.#swarms.set(pack, swarm);
    swarm.want(wanted);
    return swarm;
  }

  /** Leaves all swarms and stops listening. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticker);
    const closed = once(this.#server, "close");
    this.#server.close();
    await Promise.all([...this.#swarms.values()].map((swarm) => swarm.leave()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    const connection = this.#open(socket, false, {
      hello: (hello) => {
        const swarm = this.#swarms.get(hello.swarm);
        if (swarm === undefined) {
          connection.close("unknown swarm");
          return;
        }
        connection.send(this.#hello(hello.swarm));
        swarm.admit(connection, hello);
      },
      failed: () => {},
    });
    if (this.#strangers() > STRANGERS_MAX) connection.destroy();
  }

  #dial(swarm: JoinedSwarm, peer: PeerId, address: string): void {
    const target = parsePeerAddress(address);
    if (target === undefined || this.#connections.size >= CONNECTIONS_MAX) {
      const reason = target === undefined ? `${address} is no address` : "too many connections";
      swarm.dialFailed(peer, reason);
      return;
    }
    const connection = this.#open(connect(target), true, {
      hello: (hello) => {
        if (hello.peer === peer && hello.swarm === swarm.pack) {
          swarm.admit(connection, hello);
          return;
        }
        connection.close("you are not whom I dialled");
        swarm.dialFailed(peer, `${hello.peer} answered`);
      },
      failed: (reason) => swarm.dialFailed(peer, reason),
    });
    connection.send(this.#hello(swarm.pack));
  }

  /** A connection whose other side has yet to say hello. */
  #open(
    socket: Socket,
    isOutgoing: boolean,
    next: { hello: (hello: Hello) => void; failed: (reason: string) => void },
  ): Connection {
    let said = "";
    const connection: Connection = new Connection(
      socket,
      {
        pool: this.#pool,
        now: this.#now,
        isOutgoing,
        ended: () => this.#connections.delete(connection),
      },
      {
        frame: (frame: Frame) => {
          if (frame.kind === "hello") next.hello(frame);
          else if (frame.kind === "bye") said = `peer said: ${frame.reason}`;
          else connection.destroy();
        },
        block: (_, buffer) => {
          connection.release(buffer);
          connection.destroy();
        },
        closed: (reason) => next.failed(said === "" ? reason : said),
      },
    );
    this.#connections.add(connection);
    return connection;
  }

  #hello(swarm: string): Hello {
    return { kind: "hello", swarm, peer: this.#options.peerId, role: this.#options.role };
  }

  #strangers(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.isStranger) count += 1;
    return count;
  }

  #tick(): void {
    const now = this.#now();
    for (const connection of this.#connections) connection.tick(now);
  }
}

function sum(parts: readonly SwarmBytes[]): SwarmBytes {
  const of = (field: keyof SwarmBytes): number => parts.reduce((all, part) => all + part[field], 0);
  return { fromRelay: of("fromRelay"), fromPeers: of("fromPeers"), sent: of("sent") };
}
