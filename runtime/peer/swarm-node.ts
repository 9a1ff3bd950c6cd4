// One process's place in its region's swarms: its transports, one swarm per pack. It routes each
// connection to the swarm that its hello names, and ends those that say none; what is said on them
// is the business of `joined-swarm.ts`. A peer is dialled by TCP, and in another way where that fails.
import type { Socket } from "node:net";
import type { Instant } from "../../core/machine.ts";
import type { Frame, Hello } from "../../core/swarm/frame.ts";
import { Lane, type Share } from "../../core/swarm/lane.ts";
import type { PeerId, PeerRole } from "../../core/swarm/message.ts";
import { ScrubRound } from "../../core/swarm/scrub-round.ts";
import { monotonicNow } from "../driver.ts";
import { BufferPool } from "./buffer-pool.ts";
import { Connection } from "./connection.ts";
import { JoinedSwarm } from "./joined-swarm.ts";
import type { PeerTransport } from "./peer-transport.ts";
import type { PieceStore } from "./piece-store.ts";
import type { Introduction, Swarm, SwarmBytes, SwarmLog } from "./swarm.ts";
import { TcpTransport } from "./tcp-transport.ts";

/** Connections of a process: 8 packs of a relay with 128 neighbours each. */
const CONNECTIONS_MAX = 1024;
/** Of these, such that have not said hello. */
const STRANGERS_MAX = 128;
/** A way led to a peer that does not want us: no other way is tried. */
const SAID = "peer said: ";
/** How often connections are looked at for being late. */
const TICK_MS = 1_000;

/** What a node says to a hello that names no swarm or desk of its. */
export const UNKNOWN_SWARM = "unknown swarm";

/** What becomes of a call to a desk: it answers, or it does not. */
export interface DeskCall {
  answered(connection: Connection, hello: Hello): void;
  failed(reason: string): void;
}

export interface SwarmNodeOptions {
  readonly peerId: string;
  readonly role: PeerRole;
  /** Where it listens for TCP; left out: nowhere. */
  readonly host?: string;
  /** 0, as if left out: any free port. */
  readonly port?: number;
  /** Address told to others, host:port; left out: the address listened on. */
  readonly advertise?: string;
  /** Further ways to peers, tried in order where TCP leads nowhere. */
  readonly transports?: readonly PeerTransport[];
  /** Payload bytes a second that leave and come at most, of all swarms; left out: no limit. */
  readonly upLimit?: number | undefined;
  readonly downLimit?: number | undefined;
  readonly log?: SwarmLog;
  readonly now?: () => Instant;
}

/** A connection to be opened, and who takes it once the other side has said a hello that is right. */
interface Call {
  readonly swarm: string;
  readonly to: Introduction;
  readonly isRight: (hello: Hello) => boolean;
  readonly taken: (connection: Connection, hello: Hello) => void;
}

const SILENT: SwarmLog = { debug: () => {}, info: () => {}, warn: () => {} };

/** Exchanges the pieces of all packs. */
export class SwarmNode {
  /** What others are told to dial, host:port; empty where it does not listen. */
  readonly address: string;
  readonly #options: SwarmNodeOptions;
  readonly #log: SwarmLog;
  readonly #now: () => Instant;
  readonly #tcp: TcpTransport;
  readonly #transports: readonly PeerTransport[];
  readonly #share: Share;
  readonly #pool = new BufferPool();
  readonly #swarms = new Map<string, JoinedSwarm>();
  readonly #desks = new Map<string, DeskCall["answered"]>();
  readonly #connections = new Set<Connection>();
  readonly #ticker: NodeJS.Timeout;
  readonly #scrub: ScrubRound;
  #isScrubbing = false;
  readonly #stopping = new AbortController();
  #dialling = 0;
  /** Of swarms that were left. */
  #leftBytes: SwarmBytes = { fromRelay: 0, fromPeers: 0, sent: 0 };
  #closing: Promise<void> | undefined;

  /** Rejects when the address cannot be listened on. */
  static async listen(options: SwarmNodeOptions): Promise<SwarmNode> {
    const { host, port = 0, advertise, log = SILENT } = options;
    const connectionsMax = CONNECTIONS_MAX;
    const listening =
      host === undefined ? undefined : { host, port, advertise, connectionsMax, log };
    return new SwarmNode(options, await TcpTransport.open(listening));
  }

  private constructor(options: SwarmNodeOptions, tcp: TcpTransport) {
    this.#options = options;
    this.#log = options.log ?? SILENT;
    this.#now = options.now ?? monotonicNow;
    this.#scrub = new ScrubRound(this.#now());
    this.#share = { up: laneOf(options.upLimit), down: laneOf(options.downLimit) };
    this.#tcp = tcp;
    this.#transports = [tcp, ...(options.transports ?? [])];
    this.address = tcp.address;
    for (const transport of this.#transports) {
      transport.accept((socket, caller) => this.#accept(socket, caller));
    }
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Buffers of a block in use, of all swarms. */
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

  /**
   * Enters a pack's swarm; the store stays the caller's. An urgent one goes before the others of this process,
   * as it should at all its peers. Throws when the pack is joined already.
   */
  join(
    pack: string,
    store: PieceStore,
    wanted: "all" | readonly number[],
    isUrgent = false,
  ): Swarm {
    if (this.#swarms.has(pack)) throw new Error(`the swarm of pack ${pack} is joined already`);
    const leaveRoom = () => {
      for (const one of this.#swarms.values()) if (one !== swarm) one.roomLeft();
    };
    const swarm: JoinedSwarm = new JoinedSwarm({
      pack,
      peerId: this.#options.peerId,
      role: this.#options.role,
      store,
      log: this.#log,
      now: this.#now,
      share: this.#share,
      isUrgent,
      leaveRoom,
      dial: (from, peer) => void this.#dial(from, peer),
      left: ({ bytes }) => {
        this.#swarms.delete(pack);
        leaveRoom();
        this.#leftBytes = sum([this.#leftBytes, bytes]);
      },
    });
    this.#swarms.set(pack, swarm);
    swarm.want(wanted);
    return swarm;
  }

  /**
   * Takes connections whose hello names a desk, on which notes are exchanged and no pieces; whose they
   * are from then on must say what happens on them (`greeted`). The name may not be that of a pack.
   */
  openDesk(name: string, taken: DeskCall["answered"]): void {
    this.#desks.set(name, taken);
  }

  /** Opens a connection to the desk of that name at another node. */
  async callDesk(name: string, address: string, { answered, failed }: DeskCall): Promise<void> {
    const reason = await this.#try(this.#tcp, {
      swarm: name,
      to: { peerId: "", address, role: "relay" },
      isRight: () => true,
      taken: answered,
    });
    if (reason !== undefined) failed(reason);
  }

  /** Leaves all swarms and stops listening. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#stopping.abort();
    const closed = Promise.all(this.#transports.map((transport) => transport.close()));
    await Promise.all([...this.#swarms.values()].map((swarm) => swarm.leave()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  #accept(socket: Socket, caller?: PeerId): void {
    if (this.#stopping.signal.aborted) {
      socket.destroy();
      return;
    }
    const connection = this.#open(socket, false, {
      hello: (hello) => {
        if (caller !== undefined && hello.peer !== caller) {
          connection.close("you are not who called");
          return;
        }
        const swarm = this.#swarms.get(hello.swarm);
        const desk = this.#desks.get(hello.swarm);
        if (swarm === undefined && desk === undefined) {
          connection.close(UNKNOWN_SWARM);
          return;
        }
        connection.send(this.#hello(hello.swarm));
        swarm?.admit(connection, hello);
        desk?.(connection, hello);
      },
      failed: () => {},
    });
    this.#limitStrangers();
  }

  async #dial(swarm: JoinedSwarm, peer: Introduction): Promise<void> {
    this.#dialling += 1;
    const reason = await this.#tryAll(swarm, peer);
    this.#dialling -= 1;
    if (reason !== undefined) swarm.dialFailed(peer.peerId, reason);
  }

  /** Tries the ways to a peer, until one leads there. */
  async #tryAll(swarm: JoinedSwarm, peer: Introduction): Promise<string | undefined> {
    const reasons: string[] = [];
    for (const transport of this.#transports) {
      if (!transport.reaches(peer)) continue;
      const reason = await this.#try(transport, {
        swarm: swarm.pack,
        to: peer,
        isRight: (hello) => hello.peer === peer.peerId,
        taken: (connection, hello) => swarm.admit(connection, hello),
      });
      if (reason === undefined) return undefined;
      reasons.push(reason);
      if (reason.startsWith(SAID)) break;
    }
    return reasons.join("; ") || "no way leads to it";
  }

  /** Resolves once the connection is taken, or with the reason why there is none. */
  async #try(transport: PeerTransport, call: Call): Promise<string | undefined> {
    const { signal } = this.#stopping;
    if (this.#connections.size + this.#dialling > CONNECTIONS_MAX) return "too many connections";
    let socket: Socket;
    try {
      socket = await transport.dial(call.swarm, call.to, signal);
    } catch (error) {
      return (error as Error).message;
    }
    return new Promise((resolve) => {
      const connection = this.#open(socket, true, {
        hello: (hello) => {
          if (hello.swarm === call.swarm && call.isRight(hello)) {
            call.taken(connection, hello);
            resolve(undefined);
            return;
          }
          connection.close("you are not whom I dialled");
          resolve(`${hello.peer} answered`);
        },
        failed: resolve,
      });
      if (signal.aborted) connection.destroy();
      else connection.send(this.#hello(call.swarm));
    });
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
          else if (frame.kind === "bye") said = `${SAID}${frame.reason}`;
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

  /** The one that has said nothing for longest has to go: an honest one says hello at once. */
  #limitStrangers(): void {
    let oldest: Connection | undefined;
    let count = 0;
    for (const connection of this.#connections) {
      if (!connection.isStranger || connection.isOutgoing) continue;
      oldest ??= connection;
      count += 1;
    }
    if (count > STRANGERS_MAX) oldest?.destroy();
  }

  #tick(): void {
    const now = this.#now();
    for (const connection of this.#connections) connection.tick(now);
    if (!this.#isScrubbing) this.#compareNext(now);
  }

  /** Looks whether a piece is still what it was. */
  #compareNext(now: Instant): void {
    const kept = new Map([...this.#swarms].map(([pack, swarm]) => [pack, swarm.kept]));
    const next = this.#scrub.next(now, kept);
    if (next === undefined) return;
    this.#isScrubbing = true;
    void this.#swarms
      .get(next.pack)
      ?.scrub(next.piece)
      .finally(() => {
        this.#isScrubbing = false;
      });
  }
}

function sum(parts: readonly SwarmBytes[]): SwarmBytes {
  const of = (field: keyof SwarmBytes): number => parts.reduce((all, part) => all + part[field], 0);
  return { fromRelay: of("fromRelay"), fromPeers: of("fromPeers"), sent: of("sent") };
}

function laneOf(bytesPerSecond: number | undefined): Lane {
  return new Lane(bytesPerSecond === undefined ? undefined : bytesPerSecond / 1_000);
}
