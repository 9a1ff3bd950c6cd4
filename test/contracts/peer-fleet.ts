// A few real peers in this process, each with a disk store of its own, for tests of the swarm.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerRole } from "../../core/swarm/message.ts";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import type { PieceStore } from "../../runtime/peer/piece-store.ts";
import type { Introduction, Swarm } from "../../runtime/peer/swarm.ts";
import { SwarmNode, type SwarmNodeOptions } from "../../runtime/peer/swarm-node.ts";
import type { PeerWay } from "./peer-way.ts";
import { put } from "./piece-store-contract.ts";
import type { SamplePieces } from "./sample-pieces.ts";

export const PACK = "b-0123456789abcdef.1";

interface StartOptions extends Pick<SwarmNodeOptions, "now" | "upLimit" | "downLimit"> {
  readonly role?: PeerRole;
  readonly seeds?: boolean;
  readonly directory?: string;
}

export interface FleetPeer {
  readonly introduction: Introduction;
  readonly node: SwarmNode;
  readonly swarm: Swarm;
  readonly store: PieceStore;
}

/** Tells each of the peers of all. */
export function introduceAll(peers: readonly FleetPeer[]): void {
  for (const peer of peers) peer.swarm.introduce(peers.map((one) => one.introduction));
}

/** Runs with a fleet that is closed in the end, whatever happens. */
export async function withFleet(
  sample: SamplePieces,
  way: PeerWay,
  run: (fleet: PeerFleet) => Promise<void>,
): Promise<void> {
  const fleet = new PeerFleet(sample, way);
  try {
    await run(fleet);
  } finally {
    await fleet.close();
  }
}

/** Peers that know the same pack; `close` ends and removes everything. */
export class PeerFleet {
  readonly #sample: SamplePieces;
  readonly #directory = mkdtempSync(join(tmpdir(), "millrace-peers-"));
  readonly #peers: FleetPeer[] = [];
  /** How they reach each other. */
  readonly way: PeerWay;

  constructor(sample: SamplePieces, way: PeerWay) {
    this.#sample = sample;
    this.way = way;
  }

  /** Starts a peer that has the rows, and when it `seeds` all pieces. */
  async start(name: string, options: StartOptions = {}): Promise<FleetPeer> {
    const { role = "agent", seeds, directory: parent = this.#directory, ...own } = options;
    const directory = join(parent, name);
    const store = await DiskPieceStore.open(directory);
    if (store.pieceCount === 0) store.extend(this.#sample.rows);
    if (seeds) {
      for (const [piece, content] of this.#sample.pieces.entries())
        await put(store, piece, content);
    }
    const peerId = this.way.id(name);
    const node = await SwarmNode.listen({ peerId, role, ...this.way.options(name), ...own });
    const swarm = node.join(PACK, store, "all");
    const introduction = this.way.introduction(peerId, node, role);
    const peer = { introduction, node, swarm, store };
    this.#peers.push(peer);
    return peer;
  }

  /** A wire in front of a peer, which flips a bit of one byte, so far into what the peer sends. */
  flip(peer: FleetPeer, atByte: number): Promise<Introduction> {
    return this.way.flip(peer.introduction, atByte);
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
    await this.way.close();
    rmSync(this.#directory, { recursive: true });
  }
}
