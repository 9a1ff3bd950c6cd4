// Piece, layout and trailer rows: there and back, at each limit, and one beyond.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { placeFits, readLayoutRow, writeLayoutRow } from "../../../core/release/layout-row.ts";
import { packsToKeep } from "../../../core/release/pack-choice.ts";
import type { PieceRow } from "../../../core/release/piece-table.ts";
import { PieceTable, pieceBytesFor, writePieceRow } from "../../../core/release/piece-table.ts";
import { decodeTrailer, encodeTrailer } from "../../../core/release/segment-trailer.ts";
import { WireError } from "../../../core/release/wire-error.ts";

const MIB = 1024 * 1024;
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const row: fc.Arbitrary<PieceRow> = fc
  .record({
    digest,
    plainBytes: fc.integer({ min: 1, max: 16 * MIB }),
    share: fc.integer({ min: 1, max: 1000 }),
    kind: fc.constantFrom("data" as const, "manifest" as const, "layout" as const),
    codec: fc.constantFrom("stored" as const, "zstd" as const),
  })
  .map(({ share, ...rest }) => {
    const zstdBytes = Math.ceil((rest.plainBytes * share) / 1000);
    return { ...rest, encodedBytes: rest.codec === "zstd" ? zstdBytes : rest.plainBytes };
  });

describe("piece table", () => {
  it("reads back what was written", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 20 }), (rows) => {
        const table = new PieceTable(encoded(rows), "test");
        const read = rows.map((_, piece) => table.row(piece));
        assert.deepEqual(
          read.map((one) => ({ ...one, digest: Buffer.from(one.digest) })),
          rows.map((one) => ({ ...one, digest: Buffer.from(one.digest) })),
        );
        const total = rows.reduce((sum, { encodedBytes }) => sum + encodedBytes, 0);
        assert.equal(table.encodedTotalBytes, total);
      }),
    );
  });

  it("threat 18: accepts the limits and refuses what is one beyond", () => {
    const at = { digest: new Uint8Array(32), kind: "data", codec: "zstd" } as const;
    const check = (encodedBytes: number, plainBytes: number, codec: "zstd" | "stored") =>
      new PieceTable(encoded([{ ...at, encodedBytes, plainBytes, codec }]), "test");
    check(1, 1000, "zstd");
    check(16 * MIB, 16 * MIB, "stored");
    assert.throws(() => check(1, 1001, "zstd"), WireError);
    assert.throws(() => check(16 * MIB, 16 * MIB + 1, "zstd"), WireError);
    assert.throws(() => check(16 * MIB + 1, 16 * MIB, "zstd"), WireError);
    assert.throws(() => check(1, 2, "stored"), WireError);
    assert.throws(() => check(0, 1, "zstd"), WireError);
    assert.throws(() => check(1, 0, "zstd"), WireError);
    assert.throws(() => new PieceTable(new Uint8Array(43), "test"), WireError);
    const good = { ...at, encodedBytes: 1, plainBytes: 1 };
    new PieceTable(encoded(Array(4096).fill(good)), "test");
    assert.throws(() => new PieceTable(encoded(Array(4097).fill(good)), "test"), WireError);
    for (const [offset, value] of [
      [40, 3],
      [41, 2],
      [42, 1],
      [43, 1],
    ] as const) {
      const bytes = encoded([good]);
      bytes[offset] = value;
      assert.throws(() => new PieceTable(bytes, "test"), WireError, `byte ${offset}`);
    }
  });

  it("sizes pieces for 1,024 of them, within bounds", () => {
    const cases = [
      [0, 256 * 1024],
      [256 * MIB, 256 * 1024],
      [256 * MIB + 1, 256 * 1024 + 1],
      [10_000_000_000, 9_765_625],
      [1e12, 16 * MIB - 256 * 1024],
    ];
    for (const [bytes, size] of cases) assert.equal(pieceBytesFor(bytes as number), size);
  });
});

describe("layout rows and trailers", () => {
  it("read back what was written", () => {
    const place = fc.record(
      {
        pack: fc.nat(7),
        piece: fc.nat(4095),
        offset: fc.nat(16 * MIB - 1),
      },
      { noNullPrototype: true },
    );
    const view = new DataView(new ArrayBuffer(12));
    fc.assert(
      fc.property(place, (one) => {
        writeLayoutRow(one, view, 0);
        assert.deepEqual(readLayoutRow(view, 0, "test"), one);
      }),
    );
    const trailer = fc.record(
      {
        firstPiece: fc.nat(2000),
        pieceCount: fc.integer({ min: 1, max: 2000 }),
        index: fc.nat(511),
        footerDigest: digest,
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(trailer, (one) => assert.deepEqual(decodeTrailer(encodeTrailer(one), "t"), one)),
    );
  });

  it("refuse what no pack can have", () => {
    const view = new DataView(new ArrayBuffer(12));
    const refused = (write: () => void) => {
      for (let at = 0; at < 12; at += 1) view.setUint8(at, 0);
      write();
      assert.throws(() => readLayoutRow(view, 0, "test"), WireError);
    };
    refused(() => view.setUint8(0, 8));
    refused(() => view.setUint32(0, 4096 << 8, true));
    refused(() => view.setUint32(4, 16 * MIB, true));
    refused(() => view.setUint8(11, 1));
    const trailer = { firstPiece: 1, pieceCount: 1, index: 0, footerDigest: new Uint8Array(32) };
    assert.throws(() => decodeTrailer(new Uint8Array(47), "t"), WireError);
    assert.throws(
      () => decodeTrailer(encodeTrailer({ ...trailer, pieceCount: 0 }), "t"),
      WireError,
    );
    assert.throws(
      () => decodeTrailer(encodeTrailer({ ...trailer, pieceCount: 4096 }), "t"),
      WireError,
    );
    const other = encodeTrailer(trailer);
    other[12] = 2;
    assert.throws(() => decodeTrailer(other, "t"), WireError);
  });

  it("fit their piece or not", () => {
    const rows = (["data", "layout"] as const).map((kind) => ({
      digest: new Uint8Array(32),
      kind,
      codec: "stored" as const,
      encodedBytes: 100,
      plainBytes: 100,
    }));
    const table = new PieceTable(encoded(rows), "test");
    assert.ok(placeFits({ pack: 0, piece: 0, offset: 40 }, 60, table));
    assert.ok(!placeFits({ pack: 0, piece: 0, offset: 41 }, 60, table));
    assert.ok(!placeFits({ pack: 0, piece: 1, offset: 0 }, 60, table));
    assert.ok(!placeFits({ pack: 0, piece: 2, offset: 0 }, 60, table));
  });
});

describe("packs to keep", () => {
  const cases: [string, [number, number][], number[]][] = [
    ["none", [], []],
    ["half used", [[50, 100]], [0]],
    ["less than half used", [[49, 100]], []],
    ["of no use at all", [[0, 0]], []],
    [
      "the most used first",
      [
        [5, 8],
        [9, 9],
        [5, 5],
      ],
      [1, 0, 2],
    ],
    [
      "seven at most",
      Array.from({ length: 9 }, (_, i) => [i + 1, 10 - (10 - i - 1)]),
      [8, 7, 6, 5, 4, 3, 2],
    ],
  ];
  for (const [name, uses, kept] of cases) {
    it(name, () => {
      const asked = uses.map(([usedBytes, totalBytes]) => ({ usedBytes, totalBytes }));
      assert.deepEqual(packsToKeep(asked), kept);
    });
  }
});

function encoded(rows: readonly PieceRow[]): Uint8Array {
  const bytes = new Uint8Array(rows.length * 44);
  rows.forEach((one, i) => {
    writePieceRow(one, bytes, i * 44);
  });
  return bytes;
}
