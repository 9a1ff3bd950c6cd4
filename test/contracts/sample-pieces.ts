// Pieces made from a seed, with their rows, for tests of stores and swarms.
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_ROW_BYTES, writePieceRow } from "../../core/release/piece-table.ts";
import { seededRandom } from "../../core/swarm/random.ts";

export interface SamplePieces {
  readonly pieces: readonly Buffer[];
  readonly rows: Uint8Array;
}

/** Incompressible pieces of the given sizes. */
export function samplePieces(sizes: readonly number[], seed = 1): SamplePieces {
  const random = seededRandom(seed);
  const rows = new Uint8Array(sizes.length * PIECE_ROW_BYTES);
  const pieces = sizes.map((bytes, piece) => {
    const content = Buffer.alloc(bytes);
    for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(random() * 2 ** 32, at);
    for (let at = bytes & ~3; at < bytes; at += 1) content[at] = random() * 256;
    const row = {
      digest: blake3(content),
      encodedBytes: bytes,
      plainBytes: bytes,
      kind: "data",
      codec: "stored",
    } as const;
    writePieceRow(row, rows, piece * PIECE_ROW_BYTES);
    return content;
  });
  return { pieces, rows };
}
