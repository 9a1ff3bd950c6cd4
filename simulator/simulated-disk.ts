// What the disks of simulated peers hold of pieces that are not whole, and what they take for it: how far
// pieces are written, who gave what, and whether any of it is wrong. They throw where a machine commands
// what a store could not do.
import type { SwarmInput } from "../core/swarm/facts.ts";
import type { Block, PeerId } from "../core/swarm/message.ts";
import type { SimulatedPeer } from "./simulated-peer.ts";

export interface DisksOptions {
  /** Encoded bytes of each piece. */
  readonly pieceBytes: readonly number[];
  /** How long a write or a comparison takes; 0: neither takes any time. */
  readonly diskMs: number;
  readonly after: (ms: number, call: () => void) => void;
  /** Tells a peer what came of a command. */
  readonly tell: (peer: SimulatedPeer, fact: SwarmInput) => void;
  /** Lets nothing more arrive of a peer until what is returned is called. */
  readonly holdBack: (peer: SimulatedPeer, from: PeerId) => () => void;
  /** A piece is whole. */
  readonly whole: (peer: SimulatedPeer, piece: number) => void;
}

/** The disks of all peers of a world. */
export class Disks {
  readonly #options: DisksOptions;

  constructor(options: DisksOptions) {
    this.#options = options;
  }

  /** Writes the block that has just arrived. */
  store(peer: SimulatedPeer, from: PeerId, block: Block): void {
    this.#write(peer, from, block);
    const { tell, holdBack, diskMs } = this.#options;
    const { piece, offset, bytes } = block;
    const stored = { kind: "block-stored", from, piece, offset, bytes } as const;
    if (diskMs === 0) {
      tell(peer, stored);
      return;
    }
    const goOn = holdBack(peer, from);
    this.#later(peer, () => {
      tell(peer, stored);
      goOn();
    });
  }

  /** Compares a piece with its digest. */
  finish(peer: SimulatedPeer, piece: number): void {
    if (this.#options.diskMs === 0) this.#judge(peer, piece);
    else this.#later(peer, () => this.#judge(peer, piece));
  }

  #judge(peer: SimulatedPeer, piece: number): void {
    const isBad = this.#compare(peer, piece);
    if (!isBad) this.#options.whole(peer, piece);
    this.#options.tell(peer, { kind: isBad ? "piece-corrupt" : "piece-verified", piece });
  }

  /** Does it when the disk is done, unless the peer has died by then. */
  #later(peer: SimulatedPeer, call: () => void): void {
    const { after, diskMs } = this.#options;
    const { machine } = peer;
    after(diskMs, () => {
      if (peer.isUp && peer.machine === machine) call();
    });
  }

  #write(peer: SimulatedPeer, from: PeerId, { piece, offset, bytes }: Block): void {
    if (peer.held.has(piece)) throw new Error(`piece ${piece} is whole and written again`);
    const isBad = peer.isArrivingBad;
    // Of a piece that comes in one block nothing has to be kept.
    if (!isBad && offset === 0 && bytes === this.#options.pieceBytes[piece]) return;
    peer.parts ??= new Map();
    const part = peer.parts.get(piece) ?? { bytes: 0, givers: new Set(), isBad: false };
    if (part.bytes !== offset) throw new Error(`piece ${piece} is written out of order`);
    peer.parts.set(piece, part);
    part.bytes += bytes;
    part.givers.add(from);
    part.isBad ||= isBad;
  }

  /** True when a piece is wrong. Forgets its parts. */
  #compare(peer: SimulatedPeer, piece: number): boolean {
    const part = peer.parts?.get(piece);
    if (part !== undefined) peer.parts?.delete(piece);
    // It may have come by another way meanwhile.
    if (part === undefined || peer.held.has(piece)) return false;
    if (part.bytes !== this.#options.pieceBytes[piece]) {
      throw new Error(`piece ${piece} is compared when ${part.bytes} bytes of it are stored`);
    }
    const [giver, ...others] = part.givers;
    if (part.isBad && giver !== undefined && others.length === 0) {
      peer.corrupt.set(giver, (peer.corrupt.get(giver) ?? 0) + 1);
    }
    return part.isBad;
  }
}
