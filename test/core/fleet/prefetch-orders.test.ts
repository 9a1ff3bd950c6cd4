// Which orders to fetch ahead a machine follows, and when they are over.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PrefetchOrders } from "../../../core/fleet/prefetch-orders.ts";

const order = (id: string, epoch = 1) => ({ id, pack: `pack-${id}`, epoch });

/** A machine that has had its relay's first snapshot, with these orders in it. */
function following(...ids: string[]): PrefetchOrders {
  const orders = new PrefetchOrders();
  for (const id of ids) assert.equal(orders.ordered(order(id), true), "fetch");
  assert.deepEqual(orders.snapshotEnded(), []);
  return orders;
}

test("an order is followed once, however often it is told, until it ends", () => {
  const orders = following("a");
  assert.equal(orders.ordered(order("a"), true), "nothing");
  assert.equal(orders.ended("a"), true);
  assert.equal(orders.ended("a"), false);
  assert.equal(orders.ordered(order("a"), true), "fetch");
});

test("an order for others is not followed, and has nothing to end", () => {
  const orders = following();
  assert.equal(orders.ordered(order("a"), false), "nothing");
  assert.equal(orders.ended("a"), false);
});

test("an order that is for others now is left", () => {
  const orders = following("a");
  assert.equal(orders.ordered(order("a"), false), "leave");
  assert.equal(orders.ordered(order("a"), false), "nothing");
  assert.equal(orders.ended("a"), false);
});

test("an order of an earlier leader is refused, also where it is for others", () => {
  const orders = following();
  orders.ordered(order("a", 7), false);
  assert.equal(orders.epoch, 7);
  assert.equal(orders.ordered(order("b", 6), true), "refuse");
  assert.equal(orders.ordered(order("b", 7), true), "fetch");
});

test("what a relay's snapshot does not name is over, and what it names is not fetched twice", () => {
  const orders = following("a", "b");
  orders.snapshotBegun();
  assert.equal(orders.ordered(order("b"), true), "nothing");
  assert.equal(orders.ordered(order("c"), true), "fetch");
  assert.deepEqual(orders.snapshotEnded(), [{ id: "a", pack: "pack-a" }]);
  // Between snapshots nothing is over that is not named.
  assert.equal(orders.ended("b"), true);
});

test("a snapshot that broke off ends nothing", () => {
  const orders = following("a");
  orders.snapshotBegun();
  orders.snapshotBegun();
  orders.ordered(order("a"), true);
  assert.deepEqual(orders.snapshotEnded(), []);
});

test("64 orders are followed at a time, and the next one when another is over", () => {
  const orders = following(...Array.from({ length: 64 }, (_, index) => `o${index}`));
  assert.equal(orders.ordered(order("more"), true), "nothing");
  orders.ended("o3");
  assert.equal(orders.ordered(order("more"), true), "fetch");
});
