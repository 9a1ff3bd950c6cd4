// Members of swarms as relays share them, and whom newcomers are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Membership, Roster } from "../../../core/fleet/roster.ts";
import { MEMBERS_PER_MESSAGE_MAX, RosterOutbox } from "../../../core/fleet/roster-outbox.ts";
import { type Asker, NEIGHBOURS_TOLD } from "../../../core/fleet/swarm-members.ts";
import { seededRandom } from "../../../core/swarm/random.ts";

const at = (pack: string, peerId: string, zone = "", rack = ""): Membership => ({
  pack,
  member: { peerId, address: `${peerId}:1`, isCallable: false, zone, rack },
});

const asker = (
  peerId: string,
  told: Iterable<string> = [],
  isCaller = false,
  zone = "",
  rack = "",
): Asker => ({
  peerId,
  zone,
  rack,
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

test("of those told all but one are of the newcomer's rack, or its zone, where so many are there", () => {
  const place = { zone: fc.constantFrom("", "a", "b"), rack: fc.constantFrom("", "1", "2") };
  const arrival = fc.record({
    ...place,
    peer: fc.integer({ min: 0, max: 40 }),
    leaves: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(arrival, { maxLength: 200 }),
      fc.record(place),
      (arrivals, { zone, rack }) => {
        const roster = new Roster("me", seededRandom(1));
        const places = new Map<string, { zone: string; rack: string }>();
        for (const { peer, leaves, ...place } of arrivals) {
          const peerId = `p${peer}`;
          if (leaves) places.delete(peerId);
          else places.set(peerId, place);
          if (leaves) roster.leave("p", peerId);
          else roster.join(at("p", peerId, place.zone, place.rack));
        }
        const told = roster.choose("p", asker("new", [], false, zone, rack), NEIGHBOURS_TOLD);
        const ids = told.map(({ peerId }) => peerId);
        assert.equal(new Set(ids).size, ids.length);
        for (const { peerId, ...one } of told) {
          const where = places.get(peerId);
          assert.deepEqual([one.zone, one.rack], [where?.zone, where?.rack]);
        }
        const all = [...places.values()];
        const isOfZone = (one: { zone: string }) => one.zone === zone;
        const isOfRack = (one: { zone: string; rack: string }) =>
          isOfZone(one) && one.rack === rack;
        const least = (of: typeof isOfRack, share: number) =>
          Math.min(all.filter(of).length, share * NEIGHBOURS_TOLD);
        if (rack !== "") assert.ok(told.filter(isOfRack).length >= least(isOfRack, 7 / 8));
        if (zone !== "") assert.ok(told.filter(isOfZone).length >= least(isOfZone, 7 / 8));
        assert.equal(told.length, Math.min(places.size, NEIGHBOURS_TOLD));
      },
    ),
  );
});

test("racks and zones hang together: a thousand members of fifty racks are a few hops apart", () => {
  const roster = new Roster("me", seededRandom(1));
  const links = new Map<string, Set<string>>();
  const rackOf = (index: number) => [`z${index % 10}`, `r${Math.floor(index / 10) % 5}`] as const;
  let near = 0;
  let all = 0;
  for (let index = 0; index < 1_000; index += 1) {
    const peerId = `p${index}`;
    const [zone, rack] = rackOf(index);
    const told = roster.choose("p", asker(peerId, [], false, zone, rack), NEIGHBOURS_TOLD);
    links.set(peerId, new Set(told.map((one) => one.peerId)));
    for (const one of told) links.get(one.peerId)?.add(peerId);
    all += told.length;
    near += told.filter((one) => one.zone === zone && one.rack === rack).length;
    roster.join(at("p", peerId, zone, rack));
  }
  // Where it is all one who is told, a rack has a fiftieth of the links.
  assert.ok(near > all / 2, `${near} of ${all} links stay in a rack`);
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
    roster.join({ pack: "p", member: { peerId, address, isCallable, zone: "", rack: "" } });
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
        for (const news of shares) theirs.heard("me", news);
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
