// What one relay's permit desk hands out, and how each permit ends.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PermitDesk } from "../../../core/rollout/permit-desk.ts";
import type { DeskAssignment, DeskEffect, Standing } from "../../../core/rollout/permit-facts.ts";
import type { KeptPermit } from "../../../core/rollout/permit-ledger.ts";
import { tallyOf } from "../../../core/rollout/permit-tally.ts";
import { WAVE_HASH_END, waveHash } from "../../../core/rollout/wave-hash.ts";

const ROLLOUT = "r-1";
const ANSWER_MS = 40_000;
const TTL_MS = 10_000;
const ALL = { threshold: WAVE_HASH_END, regions: [], labels: {} };
const OPEN: DeskAssignment = {
  epoch: 1,
  revision: 1,
  phase: "open",
  paused: false,
  release: "new",
  fallback: "old",
  waves: [ALL],
  answerMs: ANSWER_MS,
};

const standing = (over: Partial<Standing>): Standing => ({
  rollout: ROLLOUT,
  running: "old",
  phase: "staged",
  permit: "",
  error: "",
  bytes: { relay: 1, peer: 2, local: 3 },
  missingBytes: 0,
  ...over,
});

/** A desk with a clock; `sent` are the agents that got a permit, in order. */
class Desk {
  readonly desk: PermitDesk;
  readonly sent: string[] = [];
  readonly kept: KeptPermit[] = [];
  now = 0;

  constructor(kept: readonly KeptPermit[] = []) {
    this.desk = new PermitDesk(ROLLOUT, "relay-1", kept, this.now, ANSWER_MS);
    this.step({ kind: "assigned", assignment: OPEN });
    this.step({ kind: "led", epoch: 1, until: Number.POSITIVE_INFINITY });
  }

  step(input: Parameters<PermitDesk["step"]>[1]): this {
    const effects: DeskEffect[] = [];
    this.desk.step(this.now, input, effects);
    while (this.desk.deadline <= this.now) this.desk.step(this.now, { kind: "wake" }, effects);
    for (const effect of effects) {
      if (effect.kind === "send") this.sent.push(effect.permit.agentId);
      else if (effect.kind === "keep") this.kept.push(effect.permit);
    }
    return this;
  }

  stood(agentId: string, over: Partial<Standing> = {}, connected = false): this {
    const candidate = { agentId, region: "eu", labels: {} };
    return this.step({ kind: "stood", candidate, standing: standing(over), connected });
  }

  /** A machine that takes permits early has come. */
  came(agentId: string, over: Partial<Standing> = {}, away = false): this {
    const candidate = { agentId, region: "eu", labels: {} };
    const about = { candidate, standing: standing(over), connected: true, away, takesEarly: true };
    return this.step({ kind: "stood", ...about });
  }

  granted(quota: number, epoch = 1, wave = 0, together = quota): this {
    return this.step({ kind: "granted", epoch, wave, quota, together, ttlMs: TTL_MS });
  }

  /** Lets time pass, waking the desk whenever it asks for it. */
  after(ms: number): this {
    const end = this.now + ms;
    while (this.desk.deadline <= end) {
      this.now = Math.max(this.now, this.desk.deadline);
      this.step({ kind: "wake" });
    }
    this.now = end;
    return this;
  }

  counts(wave = 0) {
    const { granted, succeeded, failed, outstanding, returned } = tallyOf(this.desk, 10).waves[
      wave
    ] as NonNullable<ReturnType<typeof tallyOf>["waves"][number]>;
    return { granted, succeeded, failed, outstanding, returned };
  }
}

const byHash = (...agents: string[]): string[] =>
  agents.toSorted((a, b) => waveHash(a, ROLLOUT) - waveHash(b, ROLLOUT));

test("permits go to staged machines, lowest hash first, as many as were granted", () => {
  const desk = new Desk();
  for (const agent of ["a", "b", "c"]) desk.stood(agent);
  desk.stood("d", { phase: "staging" });
  desk.granted(2);
  assert.deepEqual(desk.sent, byHash("a", "b", "c").slice(0, 2));
  desk.granted(2);
  assert.equal(desk.sent.length, 2, "a repeated quota changes nothing");
  desk.granted(4);
  assert.deepEqual(desk.sent, byHash("a", "b", "c"));
  desk.stood("d");
  assert.equal(desk.sent.at(-1), "d");
  assert.deepEqual(desk.counts(), {
    granted: 4,
    succeeded: 0,
    failed: 0,
    outstanding: 4,
    returned: 0,
  });
});

test("answers end permits; a machine that turns bad later counts as failed", () => {
  const desk = new Desk().stood("a").stood("b").granted(2);
  desk.stood("a", { phase: "activating" }).stood("a", { phase: "active", running: "new" });
  desk
    .stood("b", { phase: "checking", running: "new" })
    .stood("b", { phase: "failed", error: "x" });
  const ended = { granted: 2, succeeded: 1, failed: 1, outstanding: 0, returned: 0 };
  assert.deepEqual(desk.counts(), ended);
  const tally = tallyOf(desk.desk, 10);
  assert.deepEqual([tally.matching, tally.active, tally.failed, tally.staged], [2, 1, 1, 0]);
  assert.deepEqual(tally.failing, [{ agentId: "b", region: "eu", error: "x" }]);
  desk.stood("a", { phase: "reverting" });
  assert.deepEqual(desk.counts(), { ...ended, succeeded: 0, failed: 2 });
});

test("no more are out or failed at a time than may be: one that succeeds lets the next go", () => {
  const desk = new Desk();
  for (const agent of ["a", "b", "c", "d"]) desk.stood(agent);
  const [first, second, third] = byHash("a", "b", "c", "d") as [string, string, string, string];
  desk.granted(4, 1, 0, 1);
  assert.deepEqual(desk.sent, [first]);
  desk.stood(first, { phase: "active", running: "new" }).after(0);
  assert.deepEqual(desk.sent, [first, second]);
  desk.stood(second, { phase: "failed", error: "x" }).after(0);
  assert.deepEqual(desk.sent, [first, second], "a failure keeps its place");
  desk.granted(4, 1, 0, 2);
  assert.deepEqual(desk.sent, [first, second, third]);
  desk.granted(3, 1, 0, 9);
  assert.equal(desk.sent.length, 3, "an older word changes nothing");
});

test("a permit that is not begun in time is returned, and may be replaced", () => {
  const desk = new Desk()
    .stood("a")
    .granted(1)
    .after(TTL_MS + 2_000);
  assert.deepEqual(desk.counts(), {
    granted: 1,
    succeeded: 0,
    failed: 0,
    outstanding: 0,
    returned: 1,
  });
  assert.equal(desk.sent.length, 1);
  desk.granted(2);
  assert.equal(desk.sent.length, 2);
});

test("a permit that is begun and never answered is a failure, also when the machine is gone", () => {
  const desk = new Desk().stood("a").granted(1).stood("a", { phase: "activating" });
  desk.step({ kind: "gone", agentId: "a" }).after(TTL_MS + 2_000);
  assert.equal(desk.counts().outstanding, 1);
  desk.after(ANSWER_MS);
  assert.deepEqual(desk.counts(), {
    granted: 1,
    succeeded: 0,
    failed: 1,
    outstanding: 0,
    returned: 0,
  });
  desk.stood("a", { phase: "active", running: "new" });
  assert.equal(desk.counts().failed, 1, "a late answer does not undo it");
});

test("an agent that comes back before it began gets the same permit again", () => {
  const desk = new Desk().stood("a").granted(1).step({ kind: "gone", agentId: "a" });
  desk.after(1_000).stood("a", {}, true);
  assert.deepEqual(desk.sent, ["a", "a"]);
  assert.equal(desk.kept.length, 1);
  assert.equal(desk.counts().granted, 1);
});

test("nothing is handed out while paused, final, frozen, or without a living leader", () => {
  for (const over of [{ paused: true }, { phase: "final" }, { phase: "frozen" }] as const) {
    const desk = new Desk().step({ kind: "assigned", assignment: { ...OPEN, ...over } });
    assert.deepEqual(desk.stood("a").granted(1).sent, []);
  }
  const silent = new Desk().step({ kind: "led", epoch: 1, until: 3_000 });
  silent.now = 3_000;
  assert.deepEqual(silent.stood("a").granted(1).sent, []);
  assert.deepEqual(silent.step({ kind: "led", epoch: 1, until: 6_000 }).sent, ["a"]);
});

test("a quota of another epoch than the leader's is worth nothing", () => {
  const desk = new Desk().step({ kind: "led", epoch: 2, until: Number.POSITIVE_INFINITY });
  assert.deepEqual(desk.stood("a").granted(1, 1).sent, []);
  assert.deepEqual(desk.granted(1, 2).sent, ["a"]);
  assert.equal(desk.granted(9, 1).desk.quotas.get(0)?.epoch, 2);
});

test("unused quota runs out", () => {
  const desk = new Desk().granted(1);
  desk.now = TTL_MS;
  assert.deepEqual(desk.stood("a").sent, []);
});

test("a smaller quota holds where the one before has run out, and not before", () => {
  const desk = new Desk().granted(5, 1, 0, 3).after(TTL_MS - 1);
  desk.granted(2, 1, 0, 1);
  assert.deepEqual([desk.desk.quotas.get(0)?.quota, desk.desk.quotas.get(0)?.together], [5, 3]);
  desk.after(TTL_MS);
  desk.granted(2, 1, 0, 1);
  assert.deepEqual([desk.desk.quotas.get(0)?.quota, desk.desk.quotas.get(0)?.together], [2, 1]);
});

test("a machine gets a permit of its own wave or a later one, never of an earlier one", () => {
  const [low, high] = byHash("a", "b") as [string, string];
  const first = { ...ALL, threshold: waveHash(low, ROLLOUT) + 1 };
  const desk = new Desk().step({
    kind: "assigned",
    assignment: { ...OPEN, waves: [first, ALL] },
  });
  desk.stood(low).stood(high).granted(5, 1, 0);
  assert.deepEqual(desk.sent, [low]);
  desk.granted(5, 1, 1);
  assert.deepEqual(desk.sent, [low, high]);
  const { waves } = tallyOf(desk.desk, 10);
  assert.deepEqual(
    waves.map(({ members, granted }) => [members, granted]),
    [
      [1, 1],
      [2, 1],
    ],
  );
});

test("after a restart kept permits still count, and are followed to their end", () => {
  const before = new Desk().stood("a").stood("b").granted(2);
  const [first, second] = before.kept as [KeptPermit, KeptPermit];
  const desk = new Desk([{ ...first, state: "succeeded" }, second]);
  assert.deepEqual(desk.granted(2).stood("c").sent, []);
  assert.deepEqual(desk.counts(), {
    granted: 2,
    succeeded: 1,
    failed: 0,
    outstanding: 1,
    returned: 0,
  });
  desk.stood(second.agentId, { phase: "active", running: "new", permit: second.id });
  assert.equal(desk.counts().succeeded, 2);
});

test("a roll-back counts whom it waits for, and holds nothing against those it turned back", () => {
  const desk = new Desk().stood("a").stood("b").stood("c").granted(2);
  const [x, y, z] = [...desk.sent, ...["a", "b", "c"].filter((id) => !desk.sent.includes(id))];
  desk.stood(x as string, { phase: "active", running: "new" });
  desk.stood(y as string, { phase: "checking", running: "new" });
  desk.step({ kind: "assigned", assignment: { ...OPEN, phase: "rollback" } });
  assert.equal(tallyOf(desk.desk, 10).toRevert, 2);
  desk.stood(x as string, { phase: "reverted" }).stood(y as string, { phase: "reverting" });
  const tally = tallyOf(desk.desk, 10);
  assert.deepEqual([tally.toRevert, tally.reverted, tally.staged], [1, 1, 1]);
  assert.deepEqual(desk.counts(), {
    granted: 2,
    succeeded: 1,
    failed: 0,
    outstanding: 0,
    returned: 1,
  });
  assert.ok(z !== undefined);
});

test("fault 26: a machine whose release was healthy and is not any more counts as failed", () => {
  const desk = new Desk().stood("a").granted(1);
  desk.stood("a", { phase: "active", running: "new", permit: "relay-1.1.0.0" });
  assert.equal(tallyOf(desk.desk, 10).active, 1);
  desk.stood("a", { phase: "active", running: "new", permit: "relay-1.1.0.0", error: "it ended" });
  const { active, failed, toRevert, failing } = tallyOf(desk.desk, 10);
  assert.deepEqual({ active, failed, toRevert }, { active: 0, failed: 1, toRevert: 1 });
  assert.equal(failing[0]?.error, "it ended");
});

test("fault 32: a machine that was replaced by an empty one gets another permit", () => {
  const desk = new Desk().stood("a").granted(1);
  desk.stood("a", { phase: "active", running: "new", permit: "relay-1.1.0.0" });
  assert.deepEqual(desk.sent, ["a"]);
  desk.stood("a", { phase: "fetching", running: "" }).stood("a", { running: "" });
  assert.equal(desk.desk.ledger.counts(1, 0).returned, 1);
  desk.granted(2);
  assert.deepEqual(desk.sent, ["a", "a"]);
});

const QUICK: DeskAssignment = { ...OPEN, isQuick: true };
const BEFORE = { rollout: "r-0", phase: "active", running: "old" } as const;

test("of a quick release a machine gets its first permit before it says that it is staged", () => {
  const desk = new Desk().step({ kind: "assigned", assignment: QUICK });
  desk.came("a", BEFORE).came("b", { phase: "fetching" }).stood("c", BEFORE);
  assert.equal(tallyOf(desk.desk, 10).early, 2, "c does not take permits early");
  desk.granted(3);
  assert.deepEqual(byHash(...desk.sent), byHash("a", "b"));
  assert.equal(tallyOf(desk.desk, 10).early, 0);
  desk.stood("a", {
    phase: "active",
    running: "new",
    permit: desk.kept.find(({ agentId }) => agentId === "a")?.id ?? "",
  });
  assert.deepEqual([desk.counts().succeeded, desk.counts().outstanding], [1, 1]);
});

test("nobody gets a permit early of a release that takes its time, while away or while at another switch", () => {
  const slow = new Desk().granted(1).came("a", BEFORE);
  const away = new Desk()
    .step({ kind: "assigned", assignment: QUICK })
    .granted(1)
    .came("a", BEFORE, true);
  const busy = new Desk().step({ kind: "assigned", assignment: QUICK }).granted(1);
  busy.came("a", { ...BEFORE, phase: "checking" });
  for (const desk of [slow, away, busy]) {
    assert.deepEqual(desk.sent, []);
    assert.equal(tallyOf(desk.desk, 10).early, 0);
  }
});

test("a machine that let an early permit run out has to be staged before it gets another", () => {
  const desk = new Desk().step({ kind: "assigned", assignment: QUICK }).granted(2);
  desk.came("a", { phase: "fetching" }).after(TTL_MS + 2_000);
  assert.equal(desk.counts().returned, 1);
  desk.granted(3).came("a", { phase: "fetching" });
  assert.deepEqual(desk.sent, ["a"]);
  desk.came("a");
  assert.deepEqual(desk.sent, ["a", "a"]);
});

test("who is staged comes before who may get a permit early", () => {
  const all = ["a", "b", "c", "d"];
  const last = byHash(...all).at(-1) as string;
  const desk = new Desk().step({ kind: "assigned", assignment: QUICK });
  for (const id of all) desk.came(id, id === last ? {} : BEFORE);
  assert.deepEqual(desk.granted(1).sent, [last]);
});

test("while a rollout is open, a machine that has nothing running yet is not one that went back", () => {
  const rests = { phase: "stopped", running: "" } as const;
  const desk = new Desk().stood("a", rests);
  assert.deepEqual([tallyOf(desk.desk, 10).fetching, tallyOf(desk.desk, 10).reverted], [1, 0]);
  desk.step({ kind: "assigned", assignment: { ...OPEN, phase: "rollback", revision: 2 } });
  assert.deepEqual([tallyOf(desk.desk, 10).fetching, tallyOf(desk.desk, 10).reverted], [0, 1]);
});
