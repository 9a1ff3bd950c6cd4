// The ways that peers have to each other, for the contract that each of them must keep: what a node is
// started with, how its peer is introduced, and how a test speaks to it by hand.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { PeerId, PeerRole } from "../../core/swarm/message.ts";
import type { PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import { newIdentity, type PeerIdentity } from "../../runtime/peer/peer-identity.ts";
import type { PeerTransport } from "../../runtime/peer/peer-transport.ts";
import type { Introduction } from "../../runtime/peer/swarm.ts";
import type { SwarmNode, SwarmNodeOptions } from "../../runtime/peer/swarm-node.ts";
import { TcpTransport } from "../../runtime/peer/tcp-transport.ts";
import { WebRtcTransport } from "../../runtime/webrtc/web-rtc-transport.ts";
import { BadWire } from "./bad-wire.ts";

export interface PeerWay {
  /** Peers beside the relay that a test of many may start. */
  readonly crowd: number;
  /** Of all their bytes, what such a crowd gets from each other at least. */
  readonly ownShareMin: number;
  /** The id of the peer that the test calls so. */
  id(name: string): PeerId;
  /** What a node is started with. */
  options(name: string): Pick<SwarmNodeOptions, "host" | "transports">;
  introduction(peerId: PeerId, node: SwarmNode, role: PeerRole): Introduction;
  /** The same peer behind a wire that turns one bit around, so far into what the peer sends. */
  flip(peer: Introduction, atByte: number): Promise<Introduction>;
  /** Bytes that were flipped so far. */
  readonly flips: number;
  /** A stream to a peer for the one of that name, on which nothing has been said. */
  socket(to: Introduction, name: string): Promise<Socket>;
  /** After all nodes were closed. */
  close(): Promise<void>;
}

const PACK_ASKED_FOR = "b-0123456789abcdef.1";
const NEVER = new AbortController().signal;

/** Peers that listen on loopback. */
export class TcpWay implements PeerWay {
  readonly crowd = 6;
  readonly ownShareMin = 0.5;
  readonly #wires: BadWire[] = [];

  id(name: string): PeerId {
    return name;
  }

  options(): Pick<SwarmNodeOptions, "host"> {
    return { host: "127.0.0.1" };
  }

  introduction(peerId: PeerId, node: SwarmNode, role: PeerRole): Introduction {
    return { peerId, address: node.address, role };
  }

  async flip(peer: Introduction, atByte: number): Promise<Introduction> {
    const wire = await BadWire.listen(peer.address, atByte);
    this.#wires.push(wire);
    return { ...peer, address: wire.address };
  }

  get flips(): number {
    return this.#wires.filter((wire) => wire.hasFlipped).length;
  }

  async socket(to: Introduction): Promise<Socket> {
    return (await TcpTransport.open()).dial(PACK_ASKED_FOR, to, NEVER);
  }

  async close(): Promise<void> {
    for (const wire of this.#wires) await wire.close();
  }
}

/** Peers that listen nowhere, and a relay between them that is a function. */
export class CallWay implements PeerWay {
  readonly crowd = 3;
  /** Three could have two thirds, but they meet the relay a while before each other. */
  readonly ownShareMin = 0.2;
  readonly #identities = new Map<string, Required<PeerIdentity>>();
  /** Of nodes, the last that was started under an id. */
  readonly #transports = new Map<PeerId, WebRtcTransport>();
  /** Of streams by hand, which no node closes. */
  readonly #own: WebRtcTransport[] = [];
  readonly #flips = new WeakMap<Introduction, number>();
  readonly #wires: BadWire[] = [];
  /** What ends of calls have warned of. */
  readonly warnings: object[] = [];
  /** What the relay makes of a step; undefined: it is lost. */
  tamper: (signal: PeerSignal) => PeerSignal | undefined = (signal) => signal;

  id(name: string): PeerId {
    return this.identity(name).id;
  }

  /** Who the peer of that name is, whenever it is started. */
  identity(name: string): Required<PeerIdentity> {
    const identity = this.#identities.get(name) ?? newIdentity(name);
    this.#identities.set(name, identity);
    return identity;
  }

  options(name: string): Pick<SwarmNodeOptions, "transports"> {
    const transport = this.transport(name);
    this.#transports.set(transport.peerId, transport);
    return { transports: [this.#flipping(transport)] };
  }

  introduction(peerId: PeerId, _: SwarmNode, role: PeerRole): Introduction {
    return { peerId, address: "", role, isCallable: true };
  }

  async flip(peer: Introduction, atByte: number): Promise<Introduction> {
    const introduction = { ...peer };
    this.#flips.set(introduction, atByte);
    return introduction;
  }

  get flips(): number {
    return this.#wires.filter((wire) => wire.hasFlipped).length;
  }

  async socket(to: Introduction, name: string): Promise<Socket> {
    return await this.listening(name).dial(PACK_ASKED_FOR, to, NEVER);
  }

  async close(): Promise<void> {
    await Promise.all(this.#own.map((transport) => transport.close()));
    for (const wire of this.#wires) await wire.close();
  }

  /** One end of calls without a node, which the relay knows by its id. */
  listening(name: string): WebRtcTransport {
    const transport = this.transport(name);
    this.#own.push(transport);
    return transport;
  }

  /** One end of calls. */
  transport(name: string): WebRtcTransport {
    const identity = this.identity(name);
    const transport = WebRtcTransport.create({
      identity,
      isLoopbackOnly: true,
      log: { debug: () => {}, info: () => {}, warn: (fields) => this.warnings.push(fields) },
      send: (said) => {
        const signal = this.tamper({ ...said, from: identity.id });
        if (signal !== undefined) setImmediate(() => this.deliver(signal));
      },
    });
    if (transport === undefined) throw new Error("@roamhq/wrtc is not installed");
    return transport;
  }

  /** Brings a step to whom it is for. */
  deliver(signal: PeerSignal): void {
    for (const transport of [this.#transports.get(signal.to), ...this.#own]) {
      if (transport?.peerId === signal.to) transport.heard(signal);
    }
  }

  /** Dials as the transport does, but through a bad wire where the introduction was made so. */
  #flipping(transport: WebRtcTransport): PeerTransport {
    return {
      reaches: (peer) => transport.reaches(peer),
      accept: (taken) => transport.accept(taken),
      close: () => transport.close(),
      dial: async (pack, peer, signal) => {
        const far = await transport.dial(pack, peer, signal);
        const atByte = this.#flips.get(peer);
        this.#flips.delete(peer);
        return atByte === undefined ? far : await this.#through(far, atByte);
      },
    };
  }

  async #through(far: Socket, atByte: number): Promise<Socket> {
    const server = createServer((near) => {
      near.pipe(far).pipe(near);
      near.on("error", () => far.destroy());
      far.on("error", () => near.destroy());
      far.on("close", () => near.destroy());
      near.on("close", () => far.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const wire = await BadWire.listen(`127.0.0.1:${port}`, atByte);
    this.#wires.push(wire);
    server.once("connection", () => server.close());
    const socket = connect(Number(wire.address.split(":")[1]), "127.0.0.1");
    await once(socket, "connect");
    return socket;
  }
}
