// What a power loss leaves of files that were not flushed: shorter, or with pages of zeros. Whatever is
// left, a piece is whole or absent, a permit is one that was written, and writing goes on.
import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { KeptPermit } from "../../core/rollout/permit-ledger.ts";
import { PermitJournal } from "../../relay/permit-journal.ts";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import { put } from "./piece-store-contract.ts";
import { samplePieces } from "./sample-pieces.ts";

const PAGE_BYTES = 4096;

const folder = mkdtempSync(join(tmpdir(), "millrace-torn-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const freshPath = (): string => {
  count += 1;
  return join(folder, `${count}`);
};

/** A loss of one file: of its end from `at` on, or of `pages` pages there; shares of its length. */
const loss = fc.record({
  file: fc.nat(7),
  kind: fc.constantFrom("cut", "zeros"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  pages: fc.integer({ min: 1, max: 30 }),
});

type Loss = typeof loss extends fc.Arbitrary<infer Value> ? Value : never;

function lose(path: string, { kind, at, pages }: Loss): void {
  const bytes = readFileSync(path);
  const from = Math.floor(at * bytes.length);
  if (kind === "cut") truncateSync(path, from);
  else {
    const page = Math.floor(from / PAGE_BYTES) * PAGE_BYTES;
    writeFileSync(path, bytes.fill(0, page, Math.min(bytes.length, page + pages * PAGE_BYTES)));
  }
}

test("fault 13: whatever a power loss leaves of a piece store, each piece is whole or absent", async () => {
  const { pieces, rows } = samplePieces([100_000, 200_000, 5_000, 300_000]);
  let lost = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(loss, { minLength: 1, maxLength: 3 }), async (losses) => {
      const path = freshPath();
      const store = await DiskPieceStore.open(path);
      store.extend(rows);
      for (const [piece, content] of pieces.entries()) await put(store, piece, content);
      await store.close();
      const files = readdirSync(path).sort();
      for (const one of losses) lose(join(path, files[one.file % files.length] as string), one);

      const again = await DiskPieceStore.open(path);
      again.extend(rows.subarray(again.pieceCount * 44));
      for (const [piece, content] of pieces.entries()) {
        if (!again.has(piece)) {
          lost += 1;
          assert.equal(await put(again, piece, content), "verified");
        }
        const read = Buffer.alloc(content.length);
        await again.read(piece, 0, read);
        assert.ok(read.equals(content), `piece ${piece}`);
      }
      await again.close();
    }),
    { numRuns: 60 },
  );
  assert.ok(lost > 20, `${lost} pieces were lost`);
});

test("fault 13: whatever a power loss leaves of a relay's permits, none is made up, and the next is kept", () => {
  const permitOf = (number: number): KeptPermit => ({
    ...{ id: `relay.1.0.${number}`, agentId: `agent-${number}`, epoch: 1, wave: 0 },
    ...{ ttlMs: 10_000, state: "sent" },
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), loss, (permits, one) => {
      const path = freshPath();
      const journal = new PermitJournal(path);
      const all = Array.from({ length: permits }, (_, number) => permitOf(number));
      for (const permit of all) journal.write("r-1", [permit], false);
      journal.close();
      const [file] = readdirSync(join(path, "permits"));
      lose(join(path, "permits", file as string), one);

      const again = new PermitJournal(path);
      const left = again.read().get("r-1") ?? [];
      for (const permit of left)
        assert.deepEqual(
          permit,
          all.find(({ id }) => id === permit.id),
        );
      const next = permitOf(permits);
      again.write("r-1", [next], true);
      again.close();
      const kept = new PermitJournal(path).read().get("r-1");
      assert.deepEqual(kept, [...left, next]);
    }),
    { numRuns: 100 },
  );
});
