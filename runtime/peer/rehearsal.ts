// A swarm of this process alone, over loopback. V8 takes the first thousands of blocks slowly, and where many
// machines begin at the same instant those are the ones that everybody waits for: who has to wait for a start
// anyhow runs what is to come once before it.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_ROW_BYTES, writePieceRow } from "../../core/release/piece-table.ts";
import { DiskPieceStore } from "./disk-piece-store.ts";
import type { Introduction } from "./swarm.ts";
import { SwarmNode } from "./swarm-node.ts";

const LOOPBACK = "127.0.0.1";
const SWARM = "rehearsal";
/** One gives to five, who give to each other: 1,280 pieces a round. */
const PEERS = 6;
const PIECES = 256;
/** Small, as it is their number that counts: 24 MiB of disk in all. */
const PIECE_BYTES = 16 * 1024;
/** They take 220, 125 and 110 ms of a core; a fourth is no faster. */
const ROUNDS = 3;

interface Player {
  readonly node: SwarmNode;
  readonly store: DiskPieceStore;
  readonly introduction: Introduction;
}

/**
 * Runs it. Its pieces lie in `directory` meanwhile, which it makes and removes. Rejects where that cannot be
 * written to, or loopback does not work; there is nothing to undo then.
 */
export async function rehearse(directory: string): Promise<void> {
  const table = pieceTable();
  for (let round = 0; round < ROUNDS; round += 1) await runRound(directory, table);
}

async function runRound(directory: string, table: Uint8Array): Promise<void> {
  const players: Player[] = [];
  try {
    for (let index = 0; index < PEERS; index += 1)
      players.push(await enter(directory, index, table));
    fill((players[0] as Player).store);
    const introductions = players.map(({ introduction }) => introduction);
    const swarms = players.map(({ node, store }) => {
      const swarm = node.join(SWARM, store, "all");
      swarm.introduce(introductions);
      return swarm;
    });
    await Promise.all(swarms.map((swarm) => swarm.whenHas([...Array(PIECES).keys()])));
  } finally {
    for (const { node } of players) await node.close();
    for (const { store } of players) await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function enter(directory: string, index: number, table: Uint8Array): Promise<Player> {
  const peerId = `${SWARM}-${index}`;
  const role = index === 0 ? "relay" : "agent";
  const node = await SwarmNode.listen({ peerId, role, host: LOOPBACK });
  const store = await DiskPieceStore.open(join(directory, `${index}`));
  store.extend(table);
  return { node, store, introduction: { peerId, role, address: node.address } };
}

function fill(store: DiskPieceStore): void {
  for (let piece = 0; piece < PIECES; piece += 1) {
    store.write(piece, 0, contentOf(piece));
    store.finish(piece);
  }
}

function pieceTable(): Uint8Array {
  const rows = new Uint8Array(PIECES * PIECE_ROW_BYTES);
  const size = { encodedBytes: PIECE_BYTES, plainBytes: PIECE_BYTES };
  for (let piece = 0; piece < PIECES; piece += 1) {
    const row = {
      digest: blake3(contentOf(piece)),
      ...size,
      kind: "data",
      codec: "stored",
    } as const;
    writePieceRow(row, rows, piece * PIECE_ROW_BYTES);
  }
  return rows;
}

function contentOf(piece: number): Buffer {
  return Buffer.alloc(PIECE_BYTES, `piece ${piece}`);
}
