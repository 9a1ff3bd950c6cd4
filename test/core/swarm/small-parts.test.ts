// The small parts of the swarm against plain models: bitfield, lists of blocks, own pieces, random.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PIECES_MAX } from "../../../core/release/limits.ts";
import { Bitfield, piecesOf } from "../../../core/swarm/bitfield.ts";
import { BlockList, BlockPool } from "../../../core/swarm/block-list.ts";
import type { Block } from "../../../core/swarm/message.ts";
import { NeighbourSet } from "../../../core/swarm/neighbour-set.ts";
import { OwnPieces } from "../../../core/swarm/own-pieces.ts";
import { seededRandom } from "../../../core/swarm/random.ts";

const pieceNumber = fc.nat(PIECES_MAX - 1);
const moves = fc.array(fc.tuple(fc.boolean(), pieceNumber), { maxLength: 200 });

test("a bitfield is a set", () => {
  fc.assert(
    fc.property(moves, (steps) => {
      const field = new Bitfield();
      const model = new Set<number>();
      for (const [isAdded, piece] of steps) {
        if (isAdded) assert.equal(field.add(piece), !model.has(piece));
        else assert.equal(field.remove(piece), model.has(piece));
        if (isAdded) model.add(piece);
        else model.delete(piece);
      }
      const expected = [...model].sort((a, b) => a - b);
      assert.equal(field.count, model.size);
      assert.deepEqual(field.pieces(), expected);
      assert.deepEqual(piecesOf(field.toBytes()), expected);
    }),
  );
});

test("a bitfield takes no piece beyond the limit", () => {
  const field = new Bitfield();
  assert.equal(field.add(PIECES_MAX), false);
  assert.equal(field.add(-1), false);
  assert.equal(field.has(PIECES_MAX), false);
});

test("what is wanted, held and missing adds up in any order of facts", () => {
  const fact = fc.oneof(
    fc.record({
      kind: fc.constant("extend" as const),
      bytes: fc.array(fc.integer({ min: 1, max: 9 })),
    }),
    fc.record({ kind: fc.constant("want" as const), pieces: fc.array(fc.nat(30)) }),
    fc.record({ kind: fc.constant("want" as const), pieces: fc.constant("all" as const) }),
    fc.record({ kind: fc.constant("add" as const), piece: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 30 }), (facts) => {
      const own = new OwnPieces();
      const bytes: number[] = [];
      const wanted = new Set<number>();
      const have = new Set<number>();
      let all = false;
      const missed = new Set<number>();
      for (const one of facts) {
        if (one.kind === "extend") {
          bytes.push(...one.bytes);
          for (const piece of own.extend(one.bytes)) missed.add(piece);
        } else if (one.kind === "want") {
          if (one.pieces === "all") all = true;
          else for (const piece of one.pieces) wanted.add(piece);
          for (const piece of own.want(one.pieces)) missed.add(piece);
        } else {
          assert.equal(own.add(one.piece), one.piece < bytes.length && !have.has(one.piece));
          if (one.piece < bytes.length) have.add(one.piece);
          missed.delete(one.piece);
        }
      }
      const isWanted = (piece: number) => all || wanted.has(piece);
      const known = [...bytes.keys()].filter(isWanted);
      const held = known.filter((piece) => have.has(piece));
      const sum = (pieces: number[]) => pieces.reduce((total, one) => total + (bytes[one] ?? 0), 0);
      assert.deepEqual(own.progress, {
        have: held.length,
        wanted: known.length,
        bytesHave: sum(held),
        bytesWanted: sum(known),
      });
      assert.deepEqual(
        [...missed].sort((a, b) => a - b),
        known.filter((piece) => !have.has(piece)),
      );
    }),
  );
});

test("the generator gives the same numbers for a seed, spread evenly", () => {
  const [first, second] = [seededRandom(7), seededRandom(7)];
  const counts = Array(10).fill(0);
  for (let draw = 0; draw < 10_000; draw += 1) {
    const number = first();
    assert.equal(number, second());
    counts[Math.floor(number * 10)] += 1;
  }
  for (const count of counts) assert(count > 850 && count < 1150, String(counts));
});

test("lists of blocks in one pool keep their entries apart and in order", () => {
  const block = fc.record({
    piece: fc.nat(3),
    offset: fc.nat(1),
    bytes: fc.integer({ min: 1, max: 2 }),
  });
  const move = fc.record({
    kind: fc.constantFrom("push", "shift", "take", "takePiece", "movePiece", "delay", "clear"),
    list: fc.nat(2),
    block,
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 200 }), (moves) => {
      const pool = new BlockPool();
      const lists = [new BlockList(pool), new BlockList(pool), new BlockList(pool)];
      const models: (Block & { at: number })[][] = [[], [], []];
      for (const [at, { kind, list: index, block: one }] of moves.entries()) {
        const list = lists[index] as BlockList;
        const model = models[index] as (Block & { at: number })[];
        const isOfPiece = ({ piece }: Block) => piece === one.piece;
        if (kind === "push") {
          list.push(one.piece, one.offset, one.bytes, at);
          model.push({ ...one, at });
        } else if (kind === "shift" && model.length > 0) {
          list.shift();
          model.shift();
        } else if (kind === "take") {
          const place = model.findIndex(
            ({ piece, offset, bytes }) =>
              piece === one.piece && offset === one.offset && bytes === one.bytes,
          );
          assert.equal(list.take(one), model[place]?.at);
          if (place >= 0) model.splice(place, 1);
        } else if (kind === "takePiece" || kind === "movePiece") {
          const to = kind === "movePiece" ? (index + 1) % 3 : undefined;
          const gone = model.filter(isOfPiece);
          const kept = model.filter((entry) => !isOfPiece(entry));
          const into = to === undefined ? undefined : lists[to];
          assert.equal(list.takePiece(one.piece, into), gone.length);
          model.splice(0, model.length, ...kept);
          if (to !== undefined) models[to]?.push(...gone);
        } else if (kind === "delay") {
          list.delay(1_000);
          for (const entry of model) entry.at += 1_000;
        } else if (kind === "clear") {
          list.clear();
          model.length = 0;
        }
        for (const [other, { length, firstAt, bytes }] of lists.entries()) {
          const its = models[other] as (Block & { at: number })[];
          assert.equal(length, its.length);
          assert.equal(firstAt, its[0]?.at ?? Number.POSITIVE_INFINITY);
          assert.equal(
            bytes,
            its.reduce((sum, entry) => sum + entry.bytes, 0),
          );
        }
      }
      for (const [other, list] of lists.entries()) {
        for (const { piece, offset, bytes } of models[other] ?? []) {
          assert.deepEqual(list.first, { piece, offset, bytes });
          assert.equal(list.firstBytes, bytes);
          list.shift();
        }
      }
    }),
  );
});

test("a neighbour is found by its name, whatever place is given", () => {
  const set = new NeighbourSet();
  const { neighbour: a } = set.add(0, "a", "agent");
  const { neighbour: b } = set.add(0, "b", "relay");
  assert.equal(set.find("a"), a);
  assert.equal(set.find("b", b.place), b);
  assert.equal(set.find("a", b.place), a);
  set.remove(a);
  const { neighbour: c } = set.add(0, "c", "agent");
  assert.equal(c.place, a.place);
  assert.equal(set.find("a", c.place), undefined);
  assert.equal(set.find("c", 7), c);
});
