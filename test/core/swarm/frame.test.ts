// Frames survive the way to bytes and back; bytes that are none give FrameError and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PIECE_BYTES_MAX, PIECES_MAX } from "../../../core/release/limits.ts";
import { decodeFrame } from "../../../core/swarm/decode-frame.ts";
import { encodeFrame } from "../../../core/swarm/encode-frame.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_TYPE,
  blockHead,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEAD_BYTES,
  type Frame,
  FrameError,
  frameHead,
} from "../../../core/swarm/frame.ts";
import { BLOCK_BYTES_MAX } from "../../../core/swarm/limits.ts";

const piece = fc.nat(PIECES_MAX - 1);
const bytes = fc.integer({ min: 1, max: BLOCK_BYTES_MAX });
const offset = fc.nat(PIECE_BYTES_MAX - BLOCK_BYTES_MAX);
const id = fc.stringMatching(/^[a-z0-9.-]{1,100}$/);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: fc.constant("hello" as const),
    swarm: id,
    peer: id,
    role: fc.constantFrom("agent" as const, "relay" as const),
  }),
  fc.record({
    kind: fc.constant("bitfield" as const),
    bits: fc.uint8Array({ maxLength: PIECES_MAX / 8 }),
  }),
  fc.record({
    kind: fc.constant("have" as const),
    pieces: fc.array(piece, { minLength: 1, maxLength: 50 }),
  }),
  fc.record({ kind: fc.constant("request" as const), piece, offset, bytes }),
  fc.record({ kind: fc.constant("block" as const), piece, offset, bytes }),
  fc.record({ kind: fc.constant("cancel" as const), piece }),
  fc.record({
    kind: fc.constant("refuse" as const),
    piece,
    reason: fc.constantFrom("absent" as const, "busy" as const),
  }),
  fc.record({ kind: fc.constant("bye" as const), reason: fc.stringMatching(/^[ -~]{0,200}$/) }),
  fc.constant({ kind: "alive" as const }),
  fc.record({ kind: fc.constant("note" as const), bytes: fc.uint8Array({ minLength: 1 }) }),
);

function decode(encoded: Uint8Array): Frame {
  const { type, bodyBytes } = frameHead(encoded.subarray(0, FRAME_HEAD_BYTES));
  if (type === BLOCK_TYPE) {
    return blockHead(encoded.subarray(FRAME_HEAD_BYTES, BLOCK_HEAD_BYTES), bodyBytes);
  }
  return decodeFrame(type, encoded.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + bodyBytes));
}

test("a frame comes back as it was", () => {
  fc.assert(
    fc.property(frame, (one) => {
      assert.deepEqual(decode(encodeFrame(one)), { ...one });
    }),
  );
});

test("random bytes give a frame or FrameError, and a body within its limit", () => {
  fc.assert(
    fc.property(
      fc.nat(12),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.uint8Array({ maxLength: 600 }),
      (type, length, body) => {
        const head = new Uint8Array(FRAME_HEAD_BYTES);
        const isHonest = length % 2 === 0;
        new DataView(head.buffer).setUint32(0, isHonest ? body.length + 1 : length, true);
        head[4] = type;
        try {
          const { bodyBytes } = frameHead(head);
          if (type !== BLOCK_TYPE) assert(bodyBytes <= FRAME_BODY_BYTES_MAX);
          else assert(bodyBytes <= BLOCK_BYTES_MAX + 8);
          if (isHonest) decode(new Uint8Array([...head, ...body]));
        } catch (error) {
          assert(error instanceof FrameError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

for (const [name, mangle] of [
  ["a piece beyond the table's limit", { kind: "have", pieces: [PIECES_MAX] }],
  ["a block of no bytes", { kind: "request", piece: 0, offset: 0, bytes: 0 }],
  [
    "a block beyond the limit",
    { kind: "request", piece: 0, offset: 0, bytes: BLOCK_BYTES_MAX + 1 },
  ],
  [
    "a block that ends beyond the largest piece",
    {
      kind: "request",
      piece: 0,
      offset: PIECE_BYTES_MAX,
      bytes: 1,
    },
  ],
  [
    "a payload beyond the limit",
    { kind: "block", piece: 0, offset: 0, bytes: BLOCK_BYTES_MAX + 1 },
  ],
  ["a bitfield beyond the limit", { kind: "bitfield", bits: new Uint8Array(PIECES_MAX / 8 + 1) }],
] satisfies [string, Frame][]) {
  test(`refuses ${name}`, () => {
    assert.throws(() => decode(encodeFrame(mangle)), FrameError);
  });
}
