// Members of swarms as relays share them, and whom newcomers are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Membership, NEIGHBOURS_TOLD, Roster } from "../../../core/fleet/roster.ts";
import { MEMBERS_PER_MESSAGE_MAX, RosterOutbox } from "../../../core/fleet/roster-outbox.ts";
import type { Asker } from "../../../core/fleet/swarm-members.ts";
import { seededRandom } from "../../../core/swarm/random.ts";

const at = (pack: string, peerId: string, zone = ""): Membership => ({
  pack,
  member: { peerId, address: `${peerId}:1`, isCallable: false, zone },
});

const asker = (
  peerId: string,
  told: Iterable<string> = [],
  isCaller = false,
  zone = "",
): Asker => ({
  peerId,
  zone,
  isCaller,
  told: new Set(told),
});

test("a newcomer is told others at random, never itself or whom it knows", () => {
  const roster = new Roster("me", seededRandom(1));
  for (let index = 0; index < 100; index += 1) roster.join(at("p", `a${index}`));
  const first = roster.choose("p", asker("a0"), 8);
  assert.equal(new Set(first.map(({ peerId }) => peerId)).size, 8);
  assert.ok(!first.some(({ peerId }) => peerId === "a0"));
  const told = new Set(first.map(({ peerId }) => peerId));
  assert.ok(!roster.choose("p", asker("a0", told), 8).some(({ peerId }) => told.has(peerId)));
  assert.deepEqual(roster.choose("q", asker("a0"), 8), []);
});

test("half of those told are of the newcomer's zone, where so many are there", () => {
  const arrival = fc.record({
    zone: fc.constantFrom("", "a", "b"),
    peer: fc.integer({ min: 0, max: 40 }),
    leaves: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 200 }), (arrivals) => {
      const roster = new Roster("me", seededRandom(1));
      const zones = new Map<string, string>();
      for (const { zone, peer, leaves } of arrivals) {
        const peerId = `p${peer}`;
        if (leaves) zones.delete(peerId);
        else zones.set(peerId, zone);
        if (leaves) roster.leave("p", peerId);
        else roster.join(at("p", peerId, zone));
      }
      for (const zone of ["", "a", "b"]) {
        const told = roster.choose("p", asker("new", [], false, zone), NEIGHBOURS_TOLD);
        const ids = told.map(({ peerId }) => peerId);
        assert.equal(new Set(ids).size, ids.length);
        for (const one of told) assert.equal(one.zone, zones.get(one.peerId));
        const near = [...zones.values()].filter((each) => each === zone).length;
        const nearTold = told.filter((one) => one.zone === zone).length;
        if (zone !== "") assert.ok(nearTold >= Math.min(near, NEIGHBOURS_TOLD / 2));
        assert.ok(told.length >= Math.min(zones.size, NEIGHBOURS_TOLD));
      }
    }),
  );
});

test("zones hang together: a thousand members of ten zones are a few hops apart", () => {
  const roster = new Roster("me", seededRandom(1));
  const links = new Map<string, Set<string>>();
  for (let index = 0; index < 1_000; index += 1) {
    const peerId = `p${index}`;
    const zone = `z${index % 10}`;
    const told = roster.choose("p", asker(peerId, [], false, zone), NEIGHBOURS_TOLD);
    links.set(peerId, new Set(told.map((one) => one.peerId)));
    for (const one of told) links.get(one.peerId)?.add(peerId);
    roster.join(at("p", peerId, zone));
  }
  let hops = 0;
  const seen = new Set(["p0"]);
  for (let edge = ["p0"]; edge.length > 0; hops += 1) {
    const next = new Set(edge.flatMap((one) => [...(links.get(one) ?? [])]));
    edge = [...next].filter((one) => !seen.has(one));
    for (const one of edge) seen.add(one);
  }
  assert.deepEqual([seen.size, hops <= 6], [1_000, true]);
});

test("all of a small swarm are told", () => {
  const roster = new Roster("me", seededRandom(1));
  for (const id of ["a", "b", "c"]) roster.join(at("p", id));
  const told = roster.choose("p", asker("a"), 8).map(({ peerId }) => peerId);
  assert.deepEqual(told.toSorted(), ["b", "c"]);
});

test("members without an address are told to those alone who can call and cannot be dialled", () => {
  const roster = new Roster("me", seededRandom(1));
  const put = (peerId: string, address: string, isCallable: boolean) =>
    roster.join({ pack: "p", member: { peerId, address, isCallable, zone: "" } });
  put("dialled", "a:1", false);
  put("both", "b:1", true);
  put("called", "", true);
  const told = (isCaller: boolean) =>
    roster
      .choose("p", asker("z", [], isCaller), 8)
      .map(({ peerId }) => peerId)
      .toSorted();
  assert.deepEqual(told(false), ["both", "dialled"]);
  assert.deepEqual(told(true), ["both", "called", "dialled"]);
  assert.equal(roster.relayOf("p", "called"), "me");
  assert.equal(roster.relayOf("p", "nobody"), undefined);
});

test("an agent that moved to another relay is not lost when the old one lets it go", () => {
  const roster = new Roster("me", seededRandom(1));
  roster.join(at("p", "a"));
  roster.join(at("p", "a"), "sibling");
  roster.leave("p", "a");
  assert.equal(roster.size("p"), 1);
  roster.forget("sibling");
  assert.equal(roster.size("p"), 0);
});

test("a sibling that hears every message knows the same members, whatever happened", () => {
  const change = fc.record({
    pack: fc.constantFrom("p", "q"),
    peer: fc.constantFrom("a", "b", "c", "d"),
    joined: fc.boolean(),
    ms: fc.integer({ min: 0, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(change), fc.array(change), (before, after) => {
      const mine = new Roster("me", seededRandom(1));
      const theirs = new Roster("sibling", seededRandom(1));
      const apply = (item: (typeof before)[number]): void => {
        if (item.joined) mine.join(at(item.pack, item.peer));
        else mine.leave(item.pack, item.peer);
      };
      for (const item of before) apply(item);
      theirs.join(at("p", "stale"), "me");
      const outbox = new RosterOutbox(mine.own());
      let now = 0;
      const said: number[] = [];
      const hear = (): void => {
        const shares = outbox.take(now);
        if (shares.length > 0) said.push(now);
        for (const { full, joined, left } of shares) {
          if (full) theirs.forget("me");
          for (const { pack, member } of left) theirs.leave(pack, member.peerId, "me");
          for (const membership of joined) theirs.join(membership, "me");
        }
      };
      for (const item of after) {
        now += item.ms;
        apply(item);
        outbox.changed(at(item.pack, item.peer), item.joined);
        hear();
      }
      now += 1_000;
      hear();
      assert.ok(said.every((time, index) => index === 0 || time - (said[index - 1] ?? 0) >= 1_000));
      for (const pack of ["p", "q"]) {
        const names = (roster: Roster) =>
          roster
            .choose(pack, asker(""), 10)
            .map(({ peerId }) => peerId)
            .toSorted();
        assert.deepEqual(names(theirs), names(mine));
      }
    }),
  );
});

test("a large roster goes out in several messages, the first of them full", () => {
  const all = Array.from({ length: MEMBERS_PER_MESSAGE_MAX + 1 }, (_, index) =>
    at("p", `${index}`),
  );
  const shares = new RosterOutbox(all).take(0);
  assert.deepEqual(
    shares.map(({ full, joined }) => [full, joined.length]),
    [
      [true, MEMBERS_PER_MESSAGE_MAX],
      [false, 1],
    ],
  );
});
