// What every piece store must do, whatever it keeps its pieces in: run by the tests of each driver.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_BYTES_MAX } from "../../core/swarm/limits.ts";
import type { PieceStore } from "../../runtime/peer/piece-store.ts";
import { samplePieces } from "./sample-pieces.ts";

/** A place for one store, which can be opened again and again, one at a time. */
export interface StorePlace {
  open(): Promise<PieceStore>;
  /** Removes what it left. */
  remove(): Promise<void>;
}

/** Registers the tests; `make` gives a fresh place. Opened again, a store knows its rows by itself. */
export function pieceStoreContract(name: string, make: () => Promise<StorePlace>): void {
  const sizes = [300_000, 1, 262_144, 700_001];
  const { pieces, rows } = samplePieces(sizes);
  const cases: Record<string, (store: PieceStore, place: StorePlace) => Promise<PieceStore>> = {
    "grows its table": async (store) => {
      assert.equal(store.pieceCount, 0);
      store.extend(rows.subarray(0, 44));
      store.extend(rows.subarray(44));
      assert.equal(store.pieceCount, sizes.length);
      assert.deepEqual(
        [0, 1, 2, 3].map((piece) => store.pieceBytes(piece)),
        sizes,
      );
      assert.equal(store.has(0), false);
      assert.equal(store.received(0), 0);
      return store;
    },
    "gives back what was written, from any offset": async (store) => {
      store.extend(rows);
      for (const piece of [2, 0, 3, 1]) await put(store, piece, pieces[piece] as Buffer);
      for (const [piece, content] of pieces.entries()) {
        assert(store.has(piece));
        for (const offset of [0, 1, content.length >> 1].filter((at) => at < content.length)) {
          const target = Buffer.alloc(Math.min(BLOCK_BYTES_MAX, content.length - offset));
          await store.read(piece, offset, target);
          assert(target.equals(content.subarray(offset, offset + target.length)));
        }
      }
      return store;
    },
    "writes pieces side by side": async (store) => {
      store.extend(rows);
      await Promise.all(pieces.map((content, piece) => put(store, piece, content)));
      assert(pieces.every((_, piece) => store.has(piece)));
      return store;
    },
    "forgets a corrupt piece, and takes it again": async (store) => {
      store.extend(rows);
      const bad = Buffer.from(pieces[0] as Buffer);
      bad[299_999] = (bad[299_999] ?? 0) ^ 1;
      assert.equal(await put(store, 0, bad), "corrupt");
      assert.equal(store.has(0), false);
      assert.equal(store.received(0), 0);
      await assert.rejects(async () => store.read(0, 0, Buffer.alloc(1)));
      assert.equal(await put(store, 0, pieces[0] as Buffer), "verified");
      return store;
    },
    "refuses blocks out of order or beyond the piece, and keeps what it has": async (store) => {
      store.extend(rows);
      const content = pieces[0] as Buffer;
      await store.write(0, 0, content.subarray(0, 1000));
      await assert.rejects(async () => store.write(0, 5000, content.subarray(5000, 6000)));
      await assert.rejects(async () => store.write(1, 0, Buffer.alloc(2)));
      assert.equal(store.received(0), 1000);
      await store.write(0, 1000, content.subarray(1000));
      assert.equal(await store.finish(0), "verified");
      return store;
    },
    "starts a discarded piece over": async (store) => {
      store.extend(rows);
      await store.write(0, 0, Buffer.alloc(1000));
      store.discard(0);
      assert.equal(store.received(0), 0);
      assert.equal(await put(store, 0, pieces[0] as Buffer), "verified");
      store.discard(0);
      assert(store.has(0));
      return store;
    },
    "does nothing for blocks of a piece that it has": async (store) => {
      store.extend(rows);
      await put(store, 0, pieces[0] as Buffer);
      await store.write(0, 0, Buffer.alloc(1000));
      assert.equal(await store.finish(0), "verified");
      const target = Buffer.alloc(1000);
      await store.read(0, 0, target);
      assert(target.equals((pieces[0] as Buffer).subarray(0, 1000)));
      return store;
    },
    "lets the buffer of a write be used again": async (store) => {
      store.extend(rows);
      const buffer = Buffer.alloc(BLOCK_BYTES_MAX);
      const content = pieces[3] as Buffer;
      for (let at = 0; at < content.length; at += buffer.length) {
        const count = content.copy(buffer, 0, at, at + buffer.length);
        await store.write(3, at, buffer.subarray(0, count));
        buffer.fill(7);
      }
      assert.equal(await store.finish(3), "verified");
      return store;
    },
    "has its finished pieces after a restart or drops them, and starts the others over": async (
      store,
      place,
    ) => {
      store.extend(rows);
      await put(store, 3, pieces[3] as Buffer);
      await store.write(0, 0, (pieces[0] as Buffer).subarray(0, 1000));
      await store.close();
      const again = await place.open();
      if (again.pieceCount === 0) again.extend(rows);
      assert.equal(again.pieceCount, sizes.length);
      if (!again.has(3)) await put(again, 3, pieces[3] as Buffer);
      assert.equal(again.has(0), false);
      assert.equal(again.received(0), 0);
      await put(again, 0, pieces[0] as Buffer);
      const target = Buffer.alloc(1000);
      await again.read(3, 699_001, target);
      assert(target.equals((pieces[3] as Buffer).subarray(699_001)));
      return again;
    },
  };
  for (const [what, run] of Object.entries(cases)) {
    test(`${name}: ${what}`, async () => {
      const place = await make();
      try {
        const store = await run(await place.open(), place);
        await store.close();
      } finally {
        await place.remove();
      }
    });
  }
}

/** Writes a whole piece and compares it. */
export async function put(
  store: PieceStore,
  piece: number,
  content: Uint8Array,
): Promise<"verified" | "corrupt"> {
  for (let at = 0; at < content.length; at += BLOCK_BYTES_MAX) {
    await store.write(piece, at, content.subarray(at, at + BLOCK_BYTES_MAX));
  }
  return await store.finish(piece);
}
