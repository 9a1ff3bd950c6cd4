// The file of pieces as the file of a release: it runs while the store serves from it, and what its other
// owner writes to it is not served.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_ROW_BYTES, writePieceRow } from "../../core/release/piece-table.ts";
import { DiskPieceStore, PiecesChangedError } from "../../runtime/peer/disk-piece-store.ts";
import { put } from "./piece-store-contract.ts";

const PIECES = ["#!/bin/sh\n", "exit 7\n"].map((text) => Buffer.from(text));

function rowsOf(pieces: readonly Buffer[]): Uint8Array {
  const rows = new Uint8Array(pieces.length * PIECE_ROW_BYTES);
  for (const [piece, content] of pieces.entries()) {
    const bytes = { encodedBytes: content.length, plainBytes: content.length };
    const row = { digest: blake3(content), ...bytes, kind: "data", codec: "stored" } as const;
    writePieceRow(row, rows, piece * PIECE_ROW_BYTES);
  }
  return rows;
}

async function checkServes(store: DiskPieceStore): Promise<void> {
  for (const [piece, content] of PIECES.entries()) {
    const target = Buffer.alloc(content.length);
    await store.read(piece, 0, target);
    assert.deepEqual(target, content);
  }
}

test("a lent file runs and is served, also by a store that was opened again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-lent-"));
  const program = join(folder, "program");
  let store = await DiskPieceStore.open(join(folder, "store"));
  try {
    store.extend(rowsOf(PIECES));
    for (const [piece, content] of PIECES.entries()) await put(store, piece, content);
    await store.lend(program);
    chmodSync(program, 0o755);
    assert.equal(spawnSync(program).status, 7);
    await checkServes(store);
    await store.close();
    store = await DiskPieceStore.open(join(folder, "store"));
    assert.equal(spawnSync(program).status, 7);
    await checkServes(store);
    appendFileSync(program, "# changed\n");
    await assert.rejects(async () => store.read(0, 0, Buffer.alloc(1)), PiecesChangedError);
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
});
