// The piece store of relays: the contract, with each extension of the table as one segment, and what
// becomes of a segment whose pieces all came from peers.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PieceTable } from "../../core/release/piece-table.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openFileBlobs } from "../../runtime/blobs/file-blobs.ts";
import type { PieceStore } from "../../runtime/peer/piece-store.ts";
import { SegmentPieceStore } from "../../runtime/peer/segment-piece-store.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";
import { readSegmentFooter } from "../../runtime/release/segment-reader.ts";
import { pieceStoreContract, put } from "./piece-store-contract.ts";
import { samplePieces } from "./sample-pieces.ts";

const PACK = "b-1.1";

interface Opened {
  readonly store: SegmentPieceStore;
  readonly whole: number[];
  /** Segments said to have rotted. */
  readonly rotten: number[];
  /** Makes rows known as the next segment. */
  extend(rows: Uint8Array): void;
}

function opened(blobs: BlobStore, directory: string): Opened {
  const whole: number[] = [];
  const rotten: number[] = [];
  const store = new SegmentPieceStore({
    onSegmentRotten: (segment) => rotten.push(segment),
    store: blobs,
    pack: PACK,
    spool: join(directory, "spool"),
    onSegmentWhole: (segment) => whole.push(segment),
  });
  let segments = 0;
  return {
    store,
    whole,
    rotten,
    extend: (rows) => {
      const table = new PieceTable(rows, PACK);
      const footerDigest = digestOf(rows);
      const trailer = { firstPiece: store.knownPieces, pieceCount: table.count, footerDigest };
      store.addSegment({ table, trailer: { ...trailer, index: segments } });
      segments += 1;
      store.extend(rows);
    },
  };
}

/** The store as the swarm sees it, which extends the table without knowing of segments. */
function asPieceStore({ store, extend }: Opened): PieceStore {
  return new Proxy<PieceStore>(store, {
    get: (target, name) => {
      if (name === "extend") return extend;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

pieceStoreContract("segments", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-segments-"));
  const blobs = await openFileBlobs(join(directory, "blobs"));
  return {
    open: async () => asPieceStore(opened(blobs, directory)),
    remove: async () => {
      await blobs.close();
      await rm(directory, { recursive: true });
    },
  };
});

test("segments: one that came from peers is put as the blob that it is at the origin", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-segments-"));
  const blobs = await openFileBlobs(join(directory, "blobs"));
  try {
    const { pieces, rows } = samplePieces([70_000, 300_000, 5]);
    const { store, whole, rotten, extend } = opened(blobs, directory);
    extend(rows.subarray(0, 88));
    extend(rows.subarray(88));
    for (const piece of [2, 1]) await put(store, piece, pieces[piece] as Buffer);
    assert.deepEqual(whole, [1]);
    await put(store, 0, pieces[0] as Buffer);
    assert.deepEqual(whole, [1, 0]);
    const blob = store.spooledBlob(0);
    assert.ok(blob !== undefined);
    assert.equal(await blobs.put(store.keyOf(0), blob), "stored");
    const bytes = (await blobs.head(store.keyOf(0)))?.bytes ?? 0;
    const footer = await readSegmentFooter(blobs, PACK, 0, bytes);
    assert.deepEqual([...footer.table.rows], [...rows.subarray(0, 88)]);
    assert.deepEqual(store.segmentStored(0), [], "no piece is new");
    const target = Buffer.alloc(1_000);
    await store.read(1, 299_000, target);
    assert.ok(target.equals((pieces[1] as Buffer).subarray(299_000)));
    await store.close();
    assert.deepEqual(rotten, [], "nothing rots");
    assert.deepEqual(await readdir(join(directory, "spool", PACK)), []);
  } finally {
    await blobs.close();
    await rm(directory, { recursive: true });
  }
});

/** What a disk does to bytes that it was given: a bit turns around, or those of elsewhere are there. */
const ROTS: Record<string, (blob: Buffer, at: number) => void> = {
  "a bit turned around": (blob, at) => {
    blob[at] = (blob[at] as number) ^ 1;
  },
  "bytes of another piece are there": (blob, at) => {
    blob.copyWithin(at, at + 100_000, at + 101_000);
  },
};

for (const [name, rot] of Object.entries(ROTS)) {
  test(`faults 14 and 15: segments: ${name}: once a peer complained the piece is given to nobody before its segment is put anew`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-segments-"));
    const blobs = await openFileBlobs(join(directory, "blobs"));
    try {
      const { pieces, rows } = samplePieces([70_000, 300_000, 5]);
      const { store, rotten, extend } = opened(blobs, directory);
      extend(rows);
      for (const [piece, content] of pieces.entries()) await put(store, piece, content);
      const blob = store.spooledBlob(0);
      assert.ok(blob !== undefined);
      await blobs.put(store.keyOf(0), blob);
      store.segmentStored(0);
      const isRight = async (piece: number) => {
        const target = Buffer.alloc((pieces[piece] as Buffer).length);
        await store.read(piece, 0, target);
        return target.equals(pieces[piece] as Buffer);
      };
      const { path, good, at } = blobWith(join(directory, "blobs"), pieces[1] as Buffer);
      const bad = Buffer.from(good);
      rot(bad, at + 1_000);
      writeFileSync(path, bad);
      assert.equal(await isRight(1), false, "nobody knows yet");
      assert.deepEqual(rotten, []);
      store.doubt();
      await assert.rejects(isRight(1), /has rotted in piece 1/);
      assert.deepEqual(rotten, [0]);
      assert.deepEqual([await isRight(0), await isRight(2)], [true, true]);
      writeFileSync(path, good);
      await assert.rejects(isRight(1), /has rotted in piece 1/, "nobody said that it was put anew");
      store.segmentRenewed(0);
      assert.equal(await isRight(1), true);
      // Found without a complaint.
      writeFileSync(path, bad);
      assert.deepEqual([await store.isSound(0), await store.isSound(1)], [true, false]);
      assert.equal(rotten.length, 3);
      await assert.rejects(isRight(1), /has rotted in piece 1/);
      await store.close();
    } finally {
      await blobs.close();
      await rm(directory, { recursive: true });
    }
  });
}

/** The file in which a piece lies as it is, and where. */
function blobWith(folder: string, piece: Buffer): { path: string; good: Buffer; at: number } {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const good = readFileSync(path);
    const at = good.indexOf(piece);
    if (at >= 0) return { path, good, at };
  }
  throw new Error(`no file below ${folder} has the piece`);
}
