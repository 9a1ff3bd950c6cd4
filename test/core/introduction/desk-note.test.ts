// Notes survive the way to bytes and back; bytes that are none give FrameError and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type DeskNote,
  decodeNote,
  encodeNote,
  ROWS_TOLD_MAX,
  SIGNATURE_BYTES,
} from "../../../core/introduction/desk-note.ts";
import { PIECES_MAX } from "../../../core/release/limits.ts";
import { PIECE_ROW_BYTES } from "../../../core/release/piece-table.ts";
import { FrameError, NOTE_BYTES_MAX } from "../../../core/swarm/frame.ts";
import { NEIGHBOURS_MIN } from "../../../core/swarm/limits.ts";

const address = fc.stringMatching(/^([a-z0-9.-]{1,200}:[0-9]{1,5})?$/);
const rows = fc
  .nat(3)
  .chain((count) =>
    fc.uint8Array({ minLength: count * PIECE_ROW_BYTES, maxLength: count * PIECE_ROW_BYTES }),
  );
const signature = fc.oneof(
  fc.constant(new Uint8Array()),
  fc.uint8Array({ minLength: SIGNATURE_BYTES, maxLength: SIGNATURE_BYTES }),
);
const note: fc.Arbitrary<DeskNote> = fc.oneof(
  fc.record({ kind: fc.constant("join" as const), address }),
  fc.record({ kind: fc.constant("ask" as const), first: fc.nat(PIECES_MAX) }),
  fc.record({
    kind: fc.constant("rows" as const),
    first: fc.nat(PIECES_MAX),
    rows,
    proof: fc.option(fc.record({ isSealed: fc.boolean(), signature }), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("members" as const),
    members: fc.array(fc.record({ peer: fc.stringMatching(/^[a-z0-9-]{1,128}$/), address }), {
      maxLength: 12,
    }),
  }),
);

test("a note comes back as it was", () => {
  fc.assert(
    fc.property(note, (told) =>
      assert.deepEqual(decodeNote(encodeNote(told)), structuredClone(told)),
    ),
  );
});

test("any bytes are a note or give FrameError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      try {
        decodeNote(bytes);
      } catch (error) {
        assert.ok(error instanceof FrameError, `${error}`);
      }
    }),
  );
});

test("a note cut short or with more behind it gives FrameError", () => {
  fc.assert(
    fc.property(note, fc.nat(), (told, at) => {
      const bytes = encodeNote(told);
      if (told.kind === "join" || told.kind === "ask") {
        assert.throws(
          () => decodeNote(bytes.subarray(0, 1 + (at % (bytes.length - 1)))),
          FrameError,
        );
        assert.throws(() => decodeNote(Uint8Array.of(...bytes, 0)), FrameError);
      }
    }),
  );
  assert.throws(() => decodeNote(Uint8Array.of(3, 0, 0, 0, 0, 0, 1)), /cut off/);
  assert.throws(() => decodeNote(Uint8Array.of(2, 255, 255, 255, 255)), /limit/);
  assert.throws(() => decodeNote(Uint8Array.of(9)), /unknown/);
});

test("the longest notes fit into a frame", () => {
  const told = encodeNote({
    kind: "rows",
    first: PIECES_MAX,
    rows: new Uint8Array(ROWS_TOLD_MAX * PIECE_ROW_BYTES),
    proof: { isSealed: true, signature: new Uint8Array(SIGNATURE_BYTES) },
  });
  assert.ok(told.length <= NOTE_BYTES_MAX && told.length > NOTE_BYTES_MAX - PIECE_ROW_BYTES);
  const member = { peer: "p".repeat(128), address: "a".repeat(260) };
  const members = Array.from({ length: NEIGHBOURS_MIN }, () => member);
  assert.ok(encodeNote({ kind: "members", members }).length <= NOTE_BYTES_MAX);
});
