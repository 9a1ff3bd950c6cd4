// The chunker against its definition, and against the cuts that earlier versions made.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chunkEnd } from "../../../core/release/chunker.ts";
import { GEAR } from "../../../core/release/gear-table.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  CHUNK_BYTES_NORMAL,
} from "../../../core/release/limits.ts";

const MIB = 1024 * 1024;

describe("chunker", () => {
  it("cuts where one byte at a time would", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(600_000), fc.nat(64), (seed, length, start) => {
        const bytes = noise(seed, length + start);
        assert.equal(chunkEnd(bytes, start, bytes.length), plainEnd(bytes, start, bytes.length));
      }),
      { numRuns: 60 },
    );
  });

  it("keeps the sizes within their bounds, about 75 KiB on average", () => {
    const bytes = noise(1, 16 * MIB);
    const sizes = cuts(bytes).map((end, i, ends) => end - (ends[i - 1] ?? 0));
    for (const size of sizes.slice(0, -1)) {
      assert.ok(size > CHUNK_BYTES_MIN && size <= CHUNK_BYTES_MAX, String(size));
    }
    const mean = bytes.length / sizes.length;
    assert.ok(mean > 60 * 1024 && mean < 90 * 1024, String(mean));
  });

  it("cuts the same bytes at the same places in every version of the format", () => {
    assert.deepEqual([GEAR[0], GEAR[1], GEAR[255]], GEAR_GOLDEN);
    assert.deepEqual(cuts(noise(7, MIB)), CUTS_GOLDEN);
  });

  it("finds its cuts again soon after an insertion", () => {
    const bytes = noise(3, 8 * MIB);
    const at = 3 * MIB + 17;
    const inserted = Buffer.concat([bytes.subarray(0, at), noise(4, 1000), bytes.subarray(at)]);
    const before = new Set(cuts(bytes).filter((end) => end > at));
    const after = new Set(cuts(inserted).map((end) => end - 1000));
    const lost = [...before].filter((end) => !after.has(end));
    assert.ok(lost.length <= 4, `${lost.length} of ${before.size} cuts moved`);
  });
});

function cuts(bytes: Uint8Array): number[] {
  const ends: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    at = chunkEnd(bytes, at, bytes.length);
    ends.push(at);
  }
  return ends;
}

/** The definition, without haste. */
function plainEnd(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start + CHUNK_BYTES_MIN; i < Math.min(end, start + CHUNK_BYTES_MAX); i += 1) {
    hash = ((hash << 1) + (GEAR[bytes[i] as number] as number)) | 0;
    const mask = i < start + CHUNK_BYTES_NORMAL ? 0x7fffe000 : 0x7ffe0000;
    if ((hash & mask) === 0) return i + 1;
  }
  return Math.min(end, start + CHUNK_BYTES_MAX);
}

function noise(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed | 1;
  for (let i = 0; i < length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 8;
  }
  return bytes;
}

const GEAR_GOLDEN = [-2061621664, 62034860, -1090698362];
const CUTS_GOLDEN = [
  78564, 187755, 270134, 304077, 334862, 428688, 512308, 598507, 675005, 754776, 852948, 921199,
  1048576,
];
