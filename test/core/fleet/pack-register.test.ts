// Which packs a region must hold: of assignments, of rollouts that wait, and of builds while they grow.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PackOrder } from "../../../core/builds/ship-orders.ts";
import { PackRegister, packChanges, type WantedPack } from "../../../core/fleet/pack-register.ts";

const KEPT_MS = 60_000;

const order = (pack: string, excludedRegions: readonly string[] = []): PackOrder => ({
  ...{ build: pack, attempt: 1, pack, service: "web", targets: {}, excludedRegions },
  ...{ traceparent: "", urgent: false },
});

const need = (pack: string, segments: number, excludedRegions: readonly string[] = []) => ({
  packs: [{ pack, segments }],
  excludedRegions,
});

/** What a region must hold, as text: a pack that grows ends in a plus. */
function held(register: PackRegister, region = "near", at = 0): string[] {
  const wanted = [...register.wanted(region, at).values()];
  return wanted.map(({ pack, segments, isSealed }) => `${pack} ${segments}${isSealed ? "" : "+"}`);
}

test("a pack that grows is wanted as far as it has come, where its rollout will go", () => {
  const register = new PackRegister();
  register.begun(order("p", ["far"]));
  assert.deepEqual(held(register), ["p 0+"]);
  register.grew("p", 3);
  assert.equal(register.grew("p", 2), undefined, "it never shrinks");
  assert.equal(register.grew("q", 2), undefined, "nobody has ordered it");
  // More is known of it now, and what has come stays.
  register.begun(order("p", ["far"]));
  assert.deepEqual(held(register), ["p 3+"]);
  assert.deepEqual(held(register, "far"), []);
});

test("the pack of an attempt that failed is wanted no more, that of a success for the rollout to follow", () => {
  const register = new PackRegister();
  register.begun(order("bad"));
  register.begun(order("good"));
  register.ended("bad", false, 0);
  register.ended("good", true, 0);
  assert.deepEqual(register.orders, [], "no machine is told to fetch either");
  assert.deepEqual(held(register, "near", KEPT_MS - 1), ["good 0+"]);
  register.waiting("r", need("good", 4));
  assert.deepEqual(held(register, "near", KEPT_MS - 1), ["good 4"]);
  assert.deepEqual(held(register, "near", KEPT_MS), ["good 4"]);
  register.waiting("r", undefined);
  assert.deepEqual(held(register, "near", KEPT_MS), []);
});

test("what assignments and rollouts need is wanted once, where they go", () => {
  const register = new PackRegister();
  register.assigned("web", [need("new", 2, ["far"]), need("old", 1)]);
  register.assigned("other", [need("old", 1)]);
  register.waiting("r", need("next", 5));
  assert.deepEqual(held(register), ["new 2", "old 1", "next 5"]);
  assert.deepEqual(held(register, "far"), ["old 1", "next 5"]);
  register.assigned("web", []);
  assert.deepEqual(held(register), ["old 1", "next 5"]);
});

test("a relay is told what changed, and of packs that nobody needs any more", () => {
  const of = (...packs: WantedPack[]) => new Map(packs.map((one) => [one.pack, one]));
  const told = of(
    { pack: "same", segments: 2, isSealed: true },
    { pack: "grows", segments: 1, isSealed: false },
    { pack: "sealed", segments: 3, isSealed: false },
    { pack: "gone", segments: 4, isSealed: true },
  );
  const wanted = of(
    { pack: "same", segments: 2, isSealed: true },
    { pack: "grows", segments: 2, isSealed: false },
    { pack: "sealed", segments: 3, isSealed: true },
    { pack: "new", segments: 0, isSealed: false },
  );
  const { news, dropped } = packChanges(told, wanted);
  assert.deepEqual(
    news.map(({ pack }) => pack),
    ["grows", "sealed", "new"],
  );
  assert.deepEqual(
    dropped.map(({ pack }) => pack),
    ["gone"],
  );
  const none = packChanges(wanted, wanted);
  assert.deepEqual(none, { news: [], dropped: [] });
});
