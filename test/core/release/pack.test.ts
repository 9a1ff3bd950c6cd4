// The packer as a whole, with real files, threads and a file: origin: what comes out again, what a
// second release costs, which packs are kept, and that a cancelled pack leaves no seal.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PathOrder, pathFault, targetFault } from "../../../core/release/path-rules.ts";
import { readManifestTotals } from "../../../runtime/release/manifest-reader.ts";
import { packPrefix } from "../../../runtime/release/pack-keys.ts";
import { openPack, readSeal } from "../../../runtime/release/sealed-pack.ts";
import { packOutput } from "../../../worker/pack/pack-output.ts";
import type { TreeModel } from "./packed-tree.ts";
import { baseOf, inWorkshop, listTree, noise, pack, unpack, writeTree } from "./packed-tree.ts";

const MIB = 1024 * 1024;
const PACK = "b-0123456789abcdef.1";

const name = fc.constantFrom("a", "b", "a-b", "a.b", "é", "日", "a b", "😀", "-");
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const node = fc.oneof(
  fc.record({
    bytes: fc
      .tuple(fc.nat(5), fc.oneof(fc.nat(100), fc.nat(400_000)))
      .map(([seed, length]) => noise(seed, length)),
    mode: fc.constantFrom(0o644, 0o755, 0o600, 0o777, 0o444),
  }),
  fc.record({ target: fc.constantFrom(".", "a", "b/c", "../a", "dangling") }),
  fc.constant("empty" as const),
);
/** Trees that the rules allow: what breaks them is left out. */
const tree: fc.Arbitrary<TreeModel> = fc
  .dictionary(path, node, { minKeys: 1, maxKeys: 12, noNullPrototype: true })
  .map((all) => {
    const kept: TreeModel = {};
    const order = new PathOrder();
    const paths = Object.keys(all).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const one of paths) {
      const what = all[one] as TreeModel[string];
      const link = what !== "empty" && "target" in what ? what.target : undefined;
      if (pathFault(one) !== undefined) continue;
      if (link !== undefined && targetFault(one, link) !== undefined) continue;
      if (order.next(one) === undefined) kept[one] = what;
    }
    return kept;
  })
  .filter((kept) => Object.keys(kept).length > 0);

describe("packOutput", () => {
  it("gives back any tree, file by file, and any change of it", async () => {
    await fc.assert(
      fc.asyncProperty(tree, tree, async (first, second) => {
        await inWorkshop(async (workshop) => {
          writeTree(workshop.output, first);
          const one = await pack(workshop, 1);
          const wanted = listTree(workshop.output);
          await unpack(workshop, one, join(workshop.folder, "one"));
          assert.deepEqual(listTree(join(workshop.folder, "one")), wanted);
          writeTree(workshop.output, second);
          const two = await pack(workshop, 2, [await baseOf(workshop, one)]);
          await unpack(workshop, two, join(workshop.folder, "two"));
          assert.deepEqual(listTree(join(workshop.folder, "two")), listTree(workshop.output));
        });
      }),
      { numRuns: 8 },
    );
  });

  it("packs of a changed output little more than what changed, of the same one nothing", () =>
    inWorkshop(async (workshop) => {
      const files = Object.fromEntries(
        Array.from({ length: 40 }, (_, i) => [`d${i % 3}/f${i}`, { bytes: noise(i, 200_000) }]),
      );
      const big = noise(99, 8 * MIB);
      writeTree(workshop.output, { ...files, big: { bytes: big } });
      const first = await pack(workshop, 1);
      assert.ok(first.release.packedBytes > 15 * MIB);
      const base = await baseOf(workshop, first);

      const inserted = Buffer.concat([big.subarray(0, MIB), noise(5, 3), big.subarray(MIB)]);
      const changed = { ...files, big: { bytes: inserted }, new: { bytes: noise(77, 1000) } };
      writeTree(workshop.output, changed);
      const second = await pack(workshop, 2, [base]);
      assert.ok(second.release.packedBytes < MIB, `${second.release.packedBytes} bytes`);
      assert.equal(second.release.layout?.packs.length, 2);
      await unpack(workshop, second, join(workshop.folder, "second"));
      assert.deepEqual(listTree(join(workshop.folder, "second")), listTree(workshop.output));

      const third = await pack(workshop, 3, [await baseOf(workshop, second), base]);
      assert.equal(third.release.release, second.release.release);
      const { table } = await openPack(workshop.origin, third.seal.pack);
      const kinds = Array.from({ length: table.count }, (_, piece) => table.kind(piece));
      assert.ok(!kinds.includes("data"), kinds.join(" "));
    }));

  it("packs again what it needs of a pack that is mostly of no use", () =>
    inWorkshop(async (workshop) => {
      const file = (seed: number) => ({ bytes: noise(seed, MIB) });
      writeTree(workshop.output, { a: file(1), b: file(2), c: file(3), d: file(4) });
      const first = await pack(workshop, 1);
      // A quarter of the first pack is used, twice: not enough to keep it.
      writeTree(workshop.output, { a: file(1), b: file(12), c: file(13), again: file(1) });
      const second = await pack(workshop, 2, [await baseOf(workshop, first)]);
      assert.deepEqual(
        second.release.layout?.packs.map(({ pack }) => pack),
        [second.seal.pack],
      );
      await unpack(workshop, second, join(workshop.folder, "second"));
      assert.deepEqual(listTree(join(workshop.folder, "second")), listTree(workshop.output));
      // Two thirds of the second are: it stays.
      writeTree(workshop.output, { a: file(1), b: file(12), e: file(15) });
      const third = await pack(workshop, 3, [await baseOf(workshop, second)]);
      const packs = third.release.layout?.packs.map((ref) => ref.pack);
      assert.deepEqual(packs, [second.seal.pack, third.seal.pack]);
    }));

  it("names at most eight packs however many releases there were", () =>
    inWorkshop(async (workshop) => {
      let base = [] as Awaited<ReturnType<typeof baseOf>>[];
      const files: TreeModel = {};
      for (let round = 1; round <= 10; round += 1) {
        files[`f${round}`] = { bytes: noise(round, 100_000) };
        writeTree(workshop.output, files);
        const result = await pack(workshop, round, base);
        assert.ok((result.release.layout?.packs.length ?? 0) <= 8);
        base = [await baseOf(workshop, result)];
        if (round < 10) continue;
        await unpack(workshop, result, join(workshop.folder, "last"));
        assert.deepEqual(listTree(join(workshop.folder, "last")), listTree(workshop.output));
      }
    }));

  it("makes the same release and the same pack with any number of threads", () =>
    inWorkshop(async (workshop) => {
      const files = Object.fromEntries(
        Array.from({ length: 300 }, (_, i) => [`f${i}`, { bytes: noise(i, 20_000 + i * 37) }]),
      );
      writeTree(workshop.output, { ...files, big: { bytes: noise(1000, 70 * MIB) } });
      const results = [];
      for (const threads of [1, 2, 3]) results.push(await pack(workshop, threads, [], threads));
      for (const { release, seal } of results) {
        assert.equal(release.release, results[0]?.release.release);
        assert.deepEqual(seal.tableDigest, results[0]?.seal.tableDigest);
        assert.deepEqual(seal.segments, results[0]?.seal.segments);
      }
      await unpack(workshop, results[2] as never, join(workshop.folder, "copy"));
      assert.deepEqual(listTree(join(workshop.folder, "copy")), listTree(workshop.output));
    }));

  it("packs a single file under its name", () =>
    inWorkshop(async (workshop) => {
      const bytes = noise(1, 300_000);
      writeFileSync(workshop.output, bytes, { mode: 0o755 });
      const result = await pack(workshop, 1);
      assert.ok(result.release.singleFile);
      assert.equal(result.release.entries, 1);
      const base = await baseOf(workshop, result);
      assert.ok((await readManifestTotals(base.manifestPath)).singleFile);
      await unpack(workshop, result, join(workshop.folder, "copy"));
      const [line] = listTree(join(workshop.folder, "copy"));
      assert.match(line as string, /^output 755 /);
    }));

  it("reports each segment in order once it is stored, while it packs", () =>
    inWorkshop(async (workshop) => {
      writeTree(workshop.output, { a: { bytes: noise(1, 14 * MIB) } });
      const rows: Uint8Array[] = [];
      const { seal } = await packOutput({
        ...workshop,
        pack: PACK,
        threads: 2,
        signal: new AbortController().signal,
        onSegment(segment, index) {
          assert.equal(index, rows.push(segment) - 1);
        },
      });
      assert.ok(rows.length >= 4, `${rows.length} segments`);
      const { table } = await openPack(workshop.origin, seal.pack);
      assert.deepEqual(Buffer.concat(rows), Buffer.from(table.rows));
    }));

  it("leaves no seal when it is cancelled, at any segment", () =>
    inWorkshop(async (workshop) => {
      writeTree(workshop.output, { a: { bytes: noise(1, 14 * MIB) } });
      for (const at of [0, 1, 2]) {
        const controller = new AbortController();
        const reason = new Error("cancelled by the user");
        const packing = packOutput({
          ...workshop,
          pack: `b-0123456789abcdef.${at}`,
          threads: 2,
          signal: controller.signal,
          onSegment: (_, index) => index === at && controller.abort(reason),
        });
        await assert.rejects(packing, reason);
        assert.equal(await readSeal(workshop.origin, `b-0123456789abcdef.${at}`), undefined);
        assert.deepEqual(readdirSync(workshop.scratch), []);
      }
      assert.ok((await pack(workshop, 7)).seal.pieces > 0);
    }));

  it("fails when the origin does, and says so", () =>
    inWorkshop(async (workshop) => {
      writeTree(workshop.output, { a: { bytes: noise(1, 14 * MIB) } });
      const failing = Object.create(workshop.origin) as typeof workshop.origin;
      let puts = 0;
      failing.put = (key, body) => {
        puts += 1;
        if (puts === 2) return Promise.reject(new Error("no space left at the origin"));
        return workshop.origin.put(key, body);
      };
      await assert.rejects(pack({ ...workshop, origin: failing }, 1), /no space left/);
      const { blobs } = await workshop.origin.list(packPrefix(PACK));
      assert.ok(blobs.every(({ key }) => !key.endsWith("seal")));
    }));

  it("packs ten thousand small files", () =>
    inWorkshop(async (workshop) => {
      for (let i = 0; i < 10_000; i += 1) {
        if (i % 100 === 0) mkdirSync(join(workshop.output, `d${i / 100}`), { recursive: true });
        writeFileSync(join(workshop.output, `d${Math.floor(i / 100)}`, `f${i}`), `file ${i}`);
      }
      const result = await pack(workshop, 1);
      assert.deepEqual([result.release.entries, result.release.chunks], [10_000, 10_000]);
      await unpack(workshop, result, join(workshop.folder, "copy"));
      assert.deepEqual(listTree(join(workshop.folder, "copy")), listTree(workshop.output));
    }));
});
