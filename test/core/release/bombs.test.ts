// Manifests, layouts and pieces made by someone with bad intentions: each at its limit is read, and
// one beyond is refused with WireError, having taken no more memory than the limit.
import assert from "node:assert/strict";
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { constants, zstdCompressSync } from "node:zlib";
import type { PieceRow } from "../../../core/release/piece-table.ts";
import { WireError } from "../../../core/release/wire-error.ts";
import type { ManifestEntry, PackSeal } from "../../../proto/gen/millrace/v1/release_format.ts";
import { ManifestSegment } from "../../../proto/gen/millrace/v1/release_format.ts";
import { LayoutReader } from "../../../runtime/release/layout-file.ts";
import { readManifest, readManifestTotals } from "../../../runtime/release/manifest-reader.ts";
import { decodePiece, digestOf, encodePiece } from "../../../runtime/release/piece-codec.ts";
import { checkSeal } from "../../../runtime/release/seal.ts";
import { noise } from "./packed-tree.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-bombs-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "file");

type Segment = Parameters<typeof ManifestSegment.fromPartial>[0];
const FRAME_BYTES_MAX = 256 * 1024;

const file = (name: string, size: number, chunkCount: number) => ({
  path: name,
  kind: 1 as const,
  mode: 0o644,
  size,
  chunkCount,
});
const rows = (...sizes: number[]) => ({
  chunkDigests: Buffer.alloc(32 * sizes.length, 1),
  chunkSizes: sizes,
});
const header = (entries: number, bytes: number, chunks: number) => ({
  header: { format: 1, entries, bytes, chunks },
});

describe("threat 18: a manifest", () => {
  const GOOD: [string, Segment[]][] = [
    ["of one file", [{ ...header(1, 5, 1), entries: [file("a", 5, 1)], ...rows(5) }]],
    ["of an empty file", [{ ...header(1, 0, 0), entries: [file("a", 0, 0)] }]],
    [
      "with rows that run over",
      [
        { ...header(2, 12, 4), entries: [file("a", 10, 3)], ...rows(3) },
        { ...rows(3, 4), entries: [file("b", 2, 1)], chunkSizes: [3, 4] } as Segment,
        { ...rows(2) },
      ],
    ],
    [
      "with a chunk of 256 KiB",
      [{ ...header(1, 262_144, 1), entries: [file("a", 262_144, 1)], ...rows(262_144) }],
    ],
  ];
  for (const [name, segments] of GOOD) {
    it(`${name} is read`, async () => {
      await read(segments);
    });
  }

  const good = { ...header(1, 5, 1), entries: [file("a", 5, 1)], ...rows(5) };
  const entry = (change: Partial<ManifestEntry>) => [
    { ...good, entries: [{ ...file("a", 5, 1), ...change }] },
  ];
  const BAD: [string, RegExp, Segment[]][] = [
    ["empty", /is empty/, []],
    ["without a header", /no header/, [{ ...good, header: undefined }]],
    ["with two headers", /second header/, [good, good]],
    ["of another format", /format 2/, [{ ...good, header: { ...good.header, format: 2 } }]],
    ["of no entries", /no entry/, [header(0, 0, 0)]],
    ["of 1M entries and one", /1000001 entries/, [{ ...good, ...header(1_000_001, 5, 1) }]],
    ["of 10 GB and one", /10000000001 bytes/, [{ ...good, ...header(1, 10_000_000_001, 1) }]],
    ["of 2M chunks and one", /2000001 chunks/, [{ ...good, ...header(1, 5, 2_000_001) }]],
    ["of 2^60 bytes", /ManifestSegment|bytes/, [{ ...good, ...header(1, 2 ** 60, 1) }]],
    ["with fewer entries than it says", /holds 1 entries/, [{ ...good, ...header(2, 5, 1) }]],
    [
      "with more entries than it says",
      /more than 1/,
      [{ ...good, entries: [file("a", 5, 1), file("b", 0, 0)] }],
    ],
    [
      "with fewer bytes than it says",
      /holds 1 entries, 5 bytes/,
      [{ ...good, ...header(1, 6, 1) }],
    ],
    ["with more rows than it says", /too many rows/, [{ ...good, ...header(1, 5, 0) }]],
    ["with a row too few", /ends before 1 rows/, [{ ...good, ...rows() }]],
    ["with a row too many", /belong to no entry/, [{ ...good, ...rows(5, 5) }]],
    ["with rows that hold less", /has 5 bytes, its chunks 4/, [{ ...good, ...rows(4) }]],
    ["with rows that hold more", /has 5 bytes, its chunks 6/, [{ ...good, ...rows(6) }]],
    ["with an empty chunk", /chunk of 0/, [{ ...good, ...rows(0) }]],
    [
      "with a chunk of 256 KiB and one",
      /chunk of 262145/,
      [{ ...header(1, 262_145, 1), entries: [file("a", 262_145, 1)], ...rows(262_145) }],
    ],
    ["with half a digest", /bytes of digests/, [{ ...good, chunkDigests: Buffer.alloc(31) }]],
    ["with an empty frame", /is empty/, [good, {}]],
    [
      "with entries while rows are missing",
      /lacks 1 rows/,
      [{ ...header(2, 10, 2), entries: [file("a", 5, 1), file("b", 5, 1)] }, rows(5, 5)],
    ],
    ["with a path of 65 parts", /has 65 parts/, entry({ path: `${"a/".repeat(64)}b` })],
    ["with a path out of the tree", /has a part "\.\."/, entry({ path: "../a" })],
    ["with an absolute path", /starts with a slash/, entry({ path: "/a" })],
    ["with setuid", /0o4755/, entry({ mode: 0o4755 })],
    ["of an unknown kind", /kind 9/, entry({ kind: 9 as never })],
    ["with a file that links", /file with a target/, entry({ target: "x" })],
    [
      "with a link out of the tree",
      /outside of the tree/,
      [{ ...header(1, 0, 0), entries: [{ path: "a", kind: 2, mode: 0o777, target: "../x" }] }],
    ],
    [
      "with a path under a link",
      /not a directory/,
      [
        {
          ...header(2, 0, 0),
          entries: [{ path: "a", kind: 2, mode: 0o777, target: "b" }, file("a/b", 0, 0)],
        },
      ],
    ],
    [
      "with a path twice",
      /against the order/,
      [{ ...header(2, 0, 0), entries: [file("a", 0, 0), file("a", 0, 0)] }],
    ],
  ];
  for (const [name, message, segments] of BAD) {
    it(`${name} is refused`, async () => {
      await assert.rejects(read(segments), (error) => {
        assert.ok(error instanceof WireError, String(error));
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it("with a frame of 256 KiB is read, with one of a byte more refused", async () => {
    for (const [extra, refused] of [
      [0, false],
      [1, true],
    ] as const) {
      const base = frame(good).length - 4;
      const padding = FRAME_BYTES_MAX - base - 4 + extra;
      const padded = { ...good, signature: Buffer.alloc(padding) };
      const bytes = frame(padded);
      assert.equal(bytes.length - 4, FRAME_BYTES_MAX + extra);
      writeFileSync(path, bytes);
      if (refused) await assert.rejects(drain(), /262145 bytes .*limit 262144/);
      else await drain();
    }
  });

  it("that ends in the middle, or is no protobuf, is refused", async () => {
    const bytes = frame(good);
    for (let length = 1; length < bytes.length; length += 1) {
      writeFileSync(path, bytes.subarray(0, length));
      await assert.rejects(drain(), WireError, `${length} bytes`);
    }
    for (let seed = 0; seed < 300; seed += 1) {
      const body = noise(seed, 1 + (seed % 90));
      const head = Buffer.alloc(4);
      head.writeUInt32LE(body.length);
      writeFileSync(path, Buffer.concat([head, body]));
      await assert.rejects(drain(), WireError, `seed ${seed}`);
    }
  });

  it("at every limit at once is read: 1M entries, 2M chunks, 10 GB, 256 MiB", async () => {
    const [entries, frames, bytesMax] = [1_000_000, 1_250, 256 * 1024 * 1024];
    const each = entries / frames;
    const digests = Buffer.alloc(32 * 2 * each, 1);
    const chunkSizes = new Array<number>(2 * each).fill(5_000);
    const fd = openSync(path, "w");
    let written = 0;
    for (let number = 0; number < frames; number += 1) {
      const segment: Segment = {
        ...(number === 0 && header(entries, 10_000_000_000, 2_000_000)),
        entries: Array.from({ length: each }, (_, i) =>
          file(`f${String(number * each + i).padStart(7, "0")}`, 10_000, 2),
        ),
        chunkDigests: digests,
        chunkSizes,
      };
      const bytes = Math.round((bytesMax * (number + 1)) / frames) - written;
      written += writeSync(fd, padded(segment, bytes));
    }
    closeSync(fd);
    assert.equal(written, bytesMax);
    let [read, rows] = [0, 0];
    for await (const parts of readManifest(path)) {
      read += parts.filter(({ first }) => first).length;
      for (const { sizes } of parts) rows += sizes.length;
    }
    assert.deepEqual([read, rows], [1_000_000, 2_000_000]);
    assert.deepEqual(await readManifestTotals(path), {
      ...{ entries, bytes: 10_000_000_000, chunks: 2_000_000, singleFile: false },
    });
  });

  it("of more than 256 MiB is refused unread", async () => {
    writeFileSync(path, frame(good));
    truncateSync(path, 256 * 1024 * 1024 + 1);
    await assert.rejects(drain(), /limit 268435456/);
  });
});

describe("threat 18: a layout file", () => {
  it("of 2M rows is opened, of one more refused, as is one of half a row", async () => {
    writeFileSync(path, "");
    truncateSync(path, 12 * 2_000_000);
    await (await LayoutReader.open(path)).close();
    for (const bytes of [12 * 2_000_001, 12 * 5 + 1]) {
      truncateSync(path, bytes);
      await assert.rejects(LayoutReader.open(path), WireError);
    }
  });

  it("with too few or too many rows is refused", async () => {
    writeFileSync(path, Buffer.alloc(36));
    const reader = await LayoutReader.open(path);
    assert.equal((await reader.next(2)).length, 2);
    assert.throws(() => reader.end(), WireError);
    await reader.next(1);
    reader.end();
    await assert.rejects(reader.next(1), WireError);
    await reader.close();
  });
});

describe("threat 18: a piece", () => {
  const row = (encoded: Uint8Array, plainBytes: number): PieceRow => ({
    digest: digestOf(encoded),
    encodedBytes: encoded.length,
    plainBytes,
    kind: "data",
    codec: "zstd",
  });

  it("comes back as it was, whatever its codec", async () => {
    const text = Buffer.from("all work and no play ".repeat(500));
    for (const plain of [noise(1, 300_000), text, Buffer.from("x"), Buffer.alloc(500_000)]) {
      const original = Buffer.from(plain);
      const { encoded, codec } = encodePiece(plain, 1);
      const read = await decodePiece(encoded, { ...row(encoded, original.length), codec }, "test");
      assert.deepEqual(Buffer.from(read), original);
      assert.ok(original.length <= encoded.length * 1000);
    }
  });

  it("unpacks to as many bytes as its row says, and is refused when it holds one more", async () => {
    for (const pledged of [true, false]) {
      const plain = Buffer.alloc(16 * 1024 * 1024 + 1);
      const bomb = zstdCompressSync(plain, {
        ...(pledged ? { pledgedSrcSize: plain.length } : {}),
        params: { [constants.ZSTD_c_compressionLevel]: 3 },
      });
      assert.equal((await decodePiece(bomb, row(bomb, plain.length), "t")).length, plain.length);
      for (const says of [plain.length - 1, 1, plain.length + 1]) {
        await assert.rejects(decodePiece(bomb, row(bomb, says), "t"), WireError, String(says));
      }
    }
  });

  it("that is no zstd frame is refused", async () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const bytes = noise(seed, 50);
      await assert.rejects(decodePiece(bytes, row(bytes, 100), "t"), WireError);
    }
  });
});

describe("threat 18: a seal", () => {
  const seal = (pieces: number, segments: PackSeal["segments"], bytes = 1): PackSeal => ({
    format: 1,
    pack: "p",
    segments,
    pieces,
    bytes,
    tableDigest: Buffer.alloc(32),
  });
  const run = (count: number, pieceCount: number) =>
    Array.from({ length: count }, (_, i) => ({ bytes: 1, firstPiece: i * pieceCount, pieceCount }));

  it("at the limits is read, beyond them refused", () => {
    checkSeal(seal(0, []), "t");
    checkSeal(seal(4096, run(512, 8)), "t");
    checkSeal(seal(1, [{ bytes: 65 * 1024 * 1024, firstPiece: 0, pieceCount: 1 }]), "t");
    const bad: PackSeal[] = [
      seal(4097, run(1, 4097)),
      seal(513, run(513, 1)),
      seal(2, run(1, 1)),
      seal(1, [{ bytes: 65 * 1024 * 1024 + 1, firstPiece: 0, pieceCount: 1 }]),
      seal(1, [{ bytes: 1, firstPiece: 1, pieceCount: 1 }]),
      seal(0, [{ bytes: 1, firstPiece: 0, pieceCount: 0 }]),
      seal(1, run(1, 1), 10_600_000_000),
      { ...seal(1, run(1, 1)), format: 2 },
      { ...seal(1, run(1, 1)), tableDigest: Buffer.alloc(31) },
    ];
    for (const one of bad) assert.throws(() => checkSeal(one, "t"), WireError);
  });
});

function frame(segment: Segment): Buffer {
  const message = ManifestSegment.encode(ManifestSegment.fromPartial(segment)).finish();
  const head = Buffer.alloc(4);
  head.writeUInt32LE(message.length);
  return Buffer.concat([head, message]);
}

/** A frame of so many bytes in all. */
function padded(segment: Segment, bytes: number): Buffer {
  const fill = (length: number): Buffer => frame({ ...segment, signature: Buffer.alloc(length) });
  const least = 20_000;
  return fill(least + bytes - fill(least).length);
}

async function read(segments: readonly Segment[]): Promise<void> {
  writeFileSync(path, Buffer.concat(segments.map(frame)));
  await drain();
}

async function drain(): Promise<void> {
  for await (const parts of readManifest(path)) void parts;
}
