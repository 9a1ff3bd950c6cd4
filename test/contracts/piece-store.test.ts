// The disk piece store: the contract, what bit rot and torn files do to it, and a full disk.
import assert from "node:assert/strict";
import { mkdtempSync, truncateSync } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import { PieceStoreFull } from "../../runtime/peer/piece-store.ts";
import { pieceStoreContract, put } from "./piece-store-contract.ts";
import { samplePieces } from "./sample-pieces.ts";
import { mountSmallDisk } from "./small-disk.ts";

pieceStoreContract("disk", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-pieces-"));
  return {
    open: () => DiskPieceStore.open(directory),
    remove: () => rm(directory, { recursive: true }),
  };
});

const { pieces, rows } = samplePieces([100_000, 200_000, 300_000]);

async function withDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-pieces-"));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function filled(directory: string): Promise<void> {
  const store = await DiskPieceStore.open(directory);
  store.extend(rows);
  for (const [piece, content] of pieces.entries()) await put(store, piece, content);
  await store.close();
}

test("fault 13: disk: a byte that rotted on disk costs its piece at open, no other", () =>
  withDirectory(async (directory) => {
    await filled(directory);
    const file = await open(join(directory, "pieces"), "r+");
    await file.write(Buffer.from([(pieces[1]?.[5] ?? 0) ^ 1]), 0, 1, 100_005);
    await file.close();
    const store = await DiskPieceStore.open(directory);
    assert.deepEqual(
      [0, 1, 2].map((piece) => store.has(piece)),
      [true, false, true],
    );
    assert.equal(await put(store, 1, pieces[1] as Buffer), "verified");
    await store.close();
    const again = await DiskPieceStore.open(directory);
    assert(again.has(1));
    await again.close();
  }));

test("threat 7: disk: of 10,000 pieces with one bit turned around none is taken", () =>
  withDirectory(async (directory) => {
    const store = await DiskPieceStore.open(directory);
    store.extend(rows);
    const content = Buffer.from(pieces[2] as Buffer);
    for (let turn = 0; turn < 10_000; turn += 1) {
      const bit = (turn * 7_919) % (8 * content.length);
      content[bit >> 3] = (content[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(await put(store, 2, content), "corrupt");
      assert.equal(store.has(2), false);
      content[bit >> 3] = (content[bit >> 3] as number) ^ (1 << (bit & 7));
    }
    assert.equal(await put(store, 2, content), "verified");
    await store.close();
  }));

test("faults 14 and 15: disk: what rotted, or lies elsewhere, is given to nobody once a peer complained", () =>
  withDirectory(async (directory) => {
    await filled(directory);
    const store = await DiskPieceStore.open(directory);
    const file = await open(join(directory, "pieces"), "r+");
    await file.write(Buffer.from([(pieces[1]?.[5] ?? 0) ^ 1]), 0, 1, 100_005);
    await file.write(pieces[2] as Buffer, 0, 100_000, 0);
    await file.close();
    const read = async (piece: number) => {
      const target = Buffer.alloc(1_000);
      await store.read(piece, 0, target);
      return target.equals((pieces[piece] as Buffer).subarray(0, 1_000));
    };
    assert.equal(await read(1), false, "nobody knows yet");
    store.doubt();
    await assert.rejects(read(1), /has rotted in piece 1/);
    await assert.rejects(read(1), /has rotted in piece 1/);
    await assert.rejects(read(0), /has rotted in piece 0/);
    assert.equal(await read(2), true);
    // Once it is forgotten it can be written anew, and is given out again.
    assert.equal(store.forget(1), true);
    assert.equal(store.has(1), false);
    assert.equal(await put(store, 1, pieces[1] as Buffer), "verified");
    assert.equal(await read(1), true);
    await assert.rejects(read(0), /has rotted in piece 0/);
    await store.close();
  }));

test("fault 14: disk: what is found to have rotted is given to nobody, though nobody complained", () =>
  withDirectory(async (directory) => {
    await filled(directory);
    const store = await DiskPieceStore.open(directory);
    const file = await open(join(directory, "pieces"), "r+");
    await file.write(Buffer.from([(pieces[1]?.[5] ?? 0) ^ 1]), 0, 1, 100_005);
    await file.close();
    assert.equal(await store.isSound(0), true);
    assert.equal(await store.isSound(1), false);
    const read = (piece: number) => store.read(piece, 0, Buffer.alloc(1_000));
    await assert.rejects(async () => read(1), /has rotted in piece 1/);
    await read(0);
    assert.equal(store.forget(1), true);
    assert.equal(await put(store, 1, pieces[1] as Buffer), "verified");
    assert.equal(await store.isSound(1), true);
    await read(1);
    await store.close();
  }));

test("fault 13: disk: pieces cut off by a crash are dropped at open", () =>
  withDirectory(async (directory) => {
    await filled(directory);
    truncateSync(join(directory, "pieces"), 350_000);
    const store = await DiskPieceStore.open(directory);
    assert.deepEqual(
      [0, 1, 2].map((piece) => store.has(piece)),
      [true, true, false],
    );
    await store.close();
  }));

test("fault 13: disk: a torn table or journal ends where it is torn", () =>
  withDirectory(async (directory) => {
    await filled(directory);
    const table = await readFile(join(directory, "table"));
    table[2 * 48 + 10] = (table[2 * 48 + 10] ?? 0) ^ 1;
    await writeFile(join(directory, "table"), table);
    const { size } = await stat(join(directory, "journal"));
    truncateSync(join(directory, "journal"), size - 1);
    const store = await DiskPieceStore.open(directory);
    assert.equal(store.pieceCount, 2);
    store.extend(rows.subarray(2 * 44));
    assert.deepEqual(
      [0, 1, 2].map((piece) => store.has(piece)),
      [true, true, false],
    );
    await put(store, 2, pieces[2] as Buffer);
    await store.close();
    const again = await DiskPieceStore.open(directory);
    assert.deepEqual(
      [0, 1, 2].map((piece) => again.has(piece)),
      [true, true, true],
    );
    await again.close();
  }));

test("fault 12: disk: a full disk is a typed error, and the block can be written once there is room", async () => {
  const disk = mountSmallDisk(700);
  try {
    const large = samplePieces([500_000, 500_000]);
    const store = await DiskPieceStore.open(join(disk.path, "store"));
    store.extend(large.rows);
    assert.equal(await put(store, 0, large.pieces[0] as Buffer), "verified");
    await assert.rejects(put(store, 1, large.pieces[1] as Buffer), PieceStoreFull);
    assert(store.has(0));
    const received = store.received(1);
    assert(received < 500_000);
    disk.resize(2048);
    const rest = large.pieces[1] as Buffer;
    for (let at = received; at < rest.length; at += 100_000) {
      await store.write(1, at, rest.subarray(at, at + 100_000));
    }
    assert.equal(await store.finish(1), "verified");
    await store.close();
  } finally {
    disk.remove();
  }
});
