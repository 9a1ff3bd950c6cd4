// A stream of frames, cut anywhere, gives the same frames and payloads; while a block is held only one
// more is taken in; random bytes end in FrameError with bounded memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import { type Frame, FrameError } from "../../core/swarm/frame.ts";
import { BLOCK_BYTES_MAX } from "../../core/swarm/limits.ts";
import { BufferPool } from "../../runtime/peer/buffer-pool.ts";
import { FrameReader } from "../../runtime/peer/frame-reader.ts";

type Sent = Frame | { readonly kind: "payload"; readonly piece: number; readonly bytes: number };

const sent: fc.Arbitrary<Sent> = fc.oneof(
  fc.record({ kind: fc.constant("cancel" as const), piece: fc.nat(4000) }),
  fc.record({ kind: fc.constant("alive" as const) }),
  fc.record({
    kind: fc.constant("have" as const),
    pieces: fc.array(fc.nat(4000), { minLength: 1, maxLength: 100 }),
  }),
  fc.record({
    kind: fc.constant("payload" as const),
    piece: fc.nat(4000),
    bytes: fc.integer({ min: 1, max: 70_000 }),
  }),
);

function encode(one: Sent): Buffer {
  if (one.kind !== "payload") return Buffer.from(encodeFrame(one));
  const { piece, bytes } = one;
  const head = encodeFrame({ kind: "block", piece, offset: 0, bytes });
  return Buffer.concat([head, Buffer.alloc(bytes, piece)]);
}

function describe(one: Sent): string {
  return one.kind === "payload" ? `${one.piece}:${one.bytes}` : JSON.stringify(one);
}

test("frames and payloads come out as they went in, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(sent, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1 }),
      fc.boolean(),
      (all, cuts, isReleasedAtOnce) => {
        const stream = Buffer.concat(all.map(encode));
        const pool = new BufferPool();
        const came: string[] = [];
        let held: Buffer | undefined;
        const reader = new FrameReader(pool, {
          frame: (frame) => came.push(describe({ ...frame })),
          block: ({ piece, bytes }, buffer) => {
            assert(buffer.subarray(0, bytes).equals(Buffer.alloc(bytes, piece)));
            came.push(`${piece}:${bytes}`);
            assert.equal(held, undefined);
            held = buffer;
            if (isReleasedAtOnce) release();
          },
        });
        const release = () => {
          if (held !== undefined) pool.give(held);
          held = undefined;
          reader.release();
        };
        for (let at = 0, cut = 0; at < stream.length; cut += 1) {
          const end = at + (cuts[cut % cuts.length] ?? 1);
          reader.push(stream.subarray(at, end));
          assert(pool.taken <= 2);
          while (held !== undefined && reader.isFull) release();
          at = end;
        }
        while (held !== undefined) release();
        assert.deepEqual(
          came,
          all.map((one) => describe({ ...one })),
        );
        reader.end();
        assert.equal(pool.taken, 0);
      },
    ),
  );
});

test("while a block is held one more is taken in, and then the stream waits", () => {
  const pool = new BufferPool();
  let blocks = 0;
  const reader = new FrameReader(pool, {
    frame: () => {},
    block: () => {
      blocks += 1;
    },
  });
  const block = encode({ kind: "payload", piece: 1, bytes: BLOCK_BYTES_MAX });
  reader.push(block);
  assert(!reader.isFull);
  reader.push(block);
  assert(reader.isFull);
  assert.equal(blocks, 1);
  assert.equal(pool.taken, 2);
});

test("random bytes end in FrameError or wait for more, and hold one buffer at most", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 5000 }), fc.nat(12), (bytes, type) => {
      if (bytes.length > 4) bytes.set([bytes.length & 255, 0, 0, 0, type]);
      const pool = new BufferPool();
      const reader = new FrameReader(pool, { frame: () => {}, block: () => {} });
      try {
        reader.push(Buffer.from(bytes));
      } catch (error) {
        assert(error instanceof FrameError, String(error));
      }
      assert(pool.taken <= 2);
    }),
  );
});
