// A few real peers on loopback in this process, each with a disk store of its own, for tests of the
// swarm over TCP.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerRole } from "../../core/swarm/message.ts";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import type { PieceStore } from "../../runtime/peer/piece-store.ts";
import type { Introduction, Swarm } from "../../runtime/peer/swarm.ts";
import { SwarmNode } from "../../runtime/peer/swarm-node.ts";
import { BadWire } from "./bad-wire.ts";
import { put } from "./piece-store-contract.ts";
import type { SamplePieces } from "./sample-pieces.ts";

export const PACK = "b-0123456789abcdef.1";

export interface FleetPeer {
  readonly introduction: Introduction;
  readonly node: SwarmNode;
  readonly swarm: Swarm;
  readonly store: PieceStore;
}

/** Peers that know the same pack; `close` ends and removes everything. */
export class PeerFleet {
  readonly #sample: SamplePieces;
  readonly #directory = mkdtempSync(join(tmpdir(), "millrace-peers-"));
  readonly #peers: FleetPeer[] = [];
  readonly #wires: BadWire[] = [];

  constructor(sample: SamplePieces) {
    this.#sample = sample;
  }

  /** Starts a peer that has the rows, and when it `seeds` all pieces. */
  async start(
    peerId: string,
    options: { role?: PeerRole; seeds?: boolean; directory?: string; now?: () => number } = {},
  ): Promise<FleetPeer> {
    const role = options.role ?? "agent";
    const directory = join(options.directory ?? this.#directory, peerId);
    const store = await DiskPieceStore.open(directory);
    if (store.pieceCount === 0) store.extend(this.#sample.rows);
    if (options.seeds) {
      for (const [piece, content] of this.#sample.pieces.entries())
        await put(store, piece, content);
    }
    const { now } = options;
    const node = await SwarmNode.listen({ peerId, role, host: "127.0.0.1", port: 0, now });
    const swarm = node.join(PACK, store, "all");
    const introduction = { peerId, address: node.address, role };
    const peer = { introduction, node, swarm, store };
    this.#peers.push(peer);
    return peer;
  }

  /** A wire in front of a peer, which flips a bit of one byte, so far into what the peer sends. */
  async flip(peer: FleetPeer, atByte: number): Promise<Introduction> {
    const wire = await BadWire.listen(peer.node.address, atByte);
    this.#wires.push(wire);
    return { ...peer.introduction, address: wire.address };
  }

  /** Bytes that were flipped so far. */
  get flips(): number {
    return this.#wires.filter((wire) => wire.hasFlipped).length;
  }

  /** Resolves when a peer has every piece, and they are what they should be. */
  async whole(peer: FleetPeer): Promise<void> {
    const { pieces } = this.#sample;
    await peer.swarm.whenHas([...pieces.keys()]);
    for (const [piece, content] of pieces.entries()) {
      const target = Buffer.alloc(content.length);
      await peer.store.read(piece, 0, target);
      assert(target.equals(content), `piece ${piece} of ${peer.introduction.peerId}`);
    }
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) {
      await peer.node.close();
      await peer.store.close();
      assert.equal(peer.node.buffersTaken, 0, `buffers of ${peer.introduction.peerId} are missing`);
    }
    for (const wire of this.#wires) await wire.close();
    rmSync(this.#directory, { recursive: true });
  }
}
