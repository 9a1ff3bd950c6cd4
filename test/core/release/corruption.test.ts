// One wrong byte anywhere in a pack is found before it becomes a file: in the seal, in a footer, in a
// trailer, in a data or a meta piece, in the record that names it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { WireError } from "../../../core/release/wire-error.ts";
import type { Layout } from "../../../proto/gen/millrace/v1/release_format.ts";
import { Release } from "../../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../../../runtime/blobs/blob-store.ts";
import { sealKey, segmentKey } from "../../../runtime/release/pack-keys.ts";
import { openPack } from "../../../runtime/release/sealed-pack.ts";
import { readSegmentFooter } from "../../../runtime/release/segment-reader.ts";
import { loadBase } from "../../../worker/pack/base-release.ts";
import type { PackResult } from "../../../worker/pack/pack-output.ts";
import type { Workshop } from "./packed-tree.ts";
import { inWorkshop, noise, pack, unpack, writeTree } from "./packed-tree.ts";

const PACK = "b-0123456789abcdef.1";

/** A store that gives one byte of one blob wrong. */
function flipped(store: BlobStore, key: string, position: number): BlobStore {
  const wrong = Object.create(store) as BlobStore;
  wrong.head = (asked) => store.head(asked);
  wrong.read = async (asked, offset, target) => {
    const got = await store.read(asked, offset, target);
    const at = position - offset;
    if (asked === key && at >= 0 && at < got) target[at] = (target[at] as number) ^ 0x10;
    return got;
  };
  return wrong;
}

/** Opens the pack as its release names it and reads every piece. */
async function readAll(origin: BlobStore, result: PackResult): Promise<void> {
  const ref = result.release.layout?.packs.find((one) => one.pack === PACK);
  const opened = await openPack(origin, PACK, ref);
  for (let piece = 0; piece < opened.table.count; piece += 1) await opened.piece(piece);
}

async function smallPack(workshop: Workshop): Promise<PackResult> {
  writeTree(workshop.output, { a: { bytes: noise(1, 3000) }, b: { target: "a" }, c: "empty" });
  return pack(workshop, 1);
}

describe("fault 9: a wrong byte", () => {
  it("in any place of a segment is found", () =>
    inWorkshop(async (workshop) => {
      const result = await smallPack(workshop);
      const key = segmentKey(PACK, 0);
      const bytes = (await workshop.origin.head(key))?.bytes ?? 0;
      await readAll(workshop.origin, result);
      for (let at = 0; at < bytes; at += at < bytes - 250 ? 7 : 1) {
        const wrong = flipped(workshop.origin, key, at);
        await assert.rejects(readAll(wrong, result), WireError, `byte ${at} of ${bytes}`);
      }
    }));

  it("in any place of a seal is found", () =>
    inWorkshop(async (workshop) => {
      const result = await smallPack(workshop);
      const bytes = (await workshop.origin.head(sealKey(PACK)))?.bytes ?? 0;
      assert.ok(bytes > 60);
      for (let at = 0; at < bytes; at += 1) {
        const wrong = flipped(workshop.origin, sealKey(PACK), at);
        await assert.rejects(readAll(wrong, result), WireError, `byte ${at} of ${bytes}`);
      }
    }));

  it("in a segment's end is found before the pack is sealed", () =>
    inWorkshop(async (workshop) => {
      await smallPack(workshop);
      const key = segmentKey(PACK, 0);
      const bytes = (await workshop.origin.head(key))?.bytes ?? 0;
      const footer = await readSegmentFooter(workshop.origin, PACK, 0, bytes);
      for (let at = bytes - 48 - footer.table.count * 44; at < bytes; at += 1) {
        const wrong = flipped(workshop.origin, key, at);
        const reading = readSegmentFooter(wrong, PACK, 0, bytes);
        // The first piece's number is the pack's matter, not the segment's.
        if (at >= bytes - 48 && at < bytes - 44) await reading.catch(() => {});
        else await assert.rejects(reading, WireError, `byte ${at} of ${bytes}`);
      }
      await assert.rejects(readSegmentFooter(workshop.origin, PACK, 1, bytes));
      await assert.rejects(readSegmentFooter(workshop.origin, PACK, 0, bytes - 1), WireError);
      await assert.rejects(readSegmentFooter(workshop.origin, PACK, 0, 10), WireError);
    }));

  it("in the release's record is found", () =>
    inWorkshop(async (workshop) => {
      const { release } = await smallPack(workshop);
      const spoilt: ((record: Release, layout: Layout) => void)[] = [
        (record) => Object.assign(record, { release: "0".repeat(64) }),
        (record) => Object.assign(record, { release: "../../../../etc" }),
        (record) => Object.assign(record, { layout: undefined }),
        (_, layout) => flip(layout.packs[0]?.tableDigest),
        (_, layout) => flip(layout.table?.digest),
        (_, { manifest }) => Object.assign(manifest ?? {}, { bytes: 1 }),
        (_, { manifest }) => Object.assign(manifest ?? {}, { pieces: 900 }),
        (_, { manifest }) => Object.assign(manifest ?? {}, { firstPiece: 0 }),
        (_, { manifest }) => Object.assign(manifest ?? {}, { pack: 1 }),
        (_, { table }) => Object.assign(table ?? {}, { firstPiece: 0 }),
      ];
      for (const [i, spoil] of spoilt.entries()) {
        const record = Release.decode(Release.encode(Release.fromPartial(release)).finish());
        spoil(record, record.layout as Layout);
        const scratch = join(workshop.folder, `scratch-${i}`);
        await assert.rejects(loadBase(workshop.origin, record, scratch), WireError, `case ${i}`);
      }
    }));

  it("in what was kept in scratch space is fetched again", () =>
    inWorkshop(async (workshop) => {
      const result = await smallPack(workshop);
      const record = Release.fromPartial(result.release);
      const base = await loadBase(workshop.origin, record, workshop.scratch);
      const { writeFile, readFile } = await import("node:fs/promises");
      const good = await readFile(base.manifestPath);
      for (const bad of [noise(1, good.length), good.subarray(1)]) {
        await writeFile(base.manifestPath, bad);
        const again = await loadBase(workshop.origin, record, workshop.scratch);
        assert.deepEqual(await readFile(again.manifestPath), good);
      }
      await unpack(workshop, result, join(workshop.folder, "copy"));
    }));
});

function flip(bytes: Uint8Array | undefined): void {
  if (bytes !== undefined) bytes[3] = (bytes[3] as number) ^ 1;
}
