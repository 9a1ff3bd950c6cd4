// At which desk a machine stands as the rules of a service change, and what its word means there.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeskAssignment, Standing } from "../../../core/rollout/permit-facts.ts";
import {
  type DeskRule,
  type DesksEffect,
  type DesksInput,
  RelayDesks,
} from "../../../core/rollout/relay-desks.ts";
import { WAVE_HASH_END } from "../../../core/rollout/wave-hash.ts";

const ALL = { threshold: WAVE_HASH_END, regions: [], labels: {} };
const OPEN: DeskAssignment = {
  ...{ epoch: 1, revision: 1, phase: "open", paused: false, release: "new", fallback: "old" },
  ...{ waves: [], answerMs: 40_000 },
};
const STAGED: Standing = {
  ...{ rollout: "r-1", running: "old", phase: "staged", permit: "", error: "", missingBytes: 0 },
  bytes: { relay: 0, peer: 0, local: 0 },
};

function rule(over: Partial<DeskAssignment> = {}, rollout = "r-1", labels = {}): DeskRule {
  const targets = { labels, excludedRegions: [] };
  return { rollout, targets, assignment: { ...OPEN, ...over } };
}

/** Desks of service "web" under a leader, and what they have done. */
class Desks {
  readonly desks = new RelayDesks("relay-1", new Map());
  readonly done: string[] = [];

  constructor() {
    this.step({ kind: "led", epoch: 1, until: Number.POSITIVE_INFINITY });
  }

  step(input: DesksInput): this {
    const effects: DesksEffect[] = [];
    this.desks.step(0, input, effects);
    while (this.desks.deadline <= 0) this.desks.step(0, { kind: "wake" }, effects);
    for (const effect of effects) {
      if (effect.kind === "send") this.done.push(`send ${effect.permit.agentId}`);
      if (effect.kind === "note") this.done.push(`${effect.permit.agentId} ${effect.permit.state}`);
    }
    return this;
  }

  assigned(...rules: DeskRule[]): this {
    return this.step({ kind: "assigned", service: "web", rules });
  }

  joined(agentId: string, labels = {}): this {
    const candidate = { agentId, region: "eu", labels };
    const session = { boot: "boot-1", startedAtMs: 1, connect: 1 };
    const standings = new Map([["web", STAGED]]);
    return this.step({ kind: "joined", candidate, session, standings });
  }

  granted(quota: number): this {
    const granted = { epoch: 1, wave: 0, quota, together: quota, ttlMs: 10_000 };
    return this.step({ kind: "granted", rollout: "r-1", ...granted });
  }

  heard(agentId: string, over: Partial<Standing>): this {
    return this.step({
      ...{ kind: "heard", agentId, service: "web" },
      standing: { ...STAGED, ...over },
    });
  }

  members(rollout: string): string[] {
    return [...(this.desks.desk(rollout)?.members.keys() ?? [])];
  }
}

test("a wave that is drawn later is known of machines that stood there before", () => {
  const desks = new Desks().assigned(rule()).joined("a").joined("b");
  desks.assigned(rule({ revision: 2, waves: [ALL] })).granted(2);
  assert.deepEqual(desks.done.toSorted(), ["send a", "send b"]);
});

test("a machine changes its desk where only the rules' labels change", () => {
  const desks = new Desks().joined("a", { zone: "1" });
  desks.assigned(rule({}, "r-2", { zone: "1" }), rule());
  assert.deepEqual([desks.members("r-2"), desks.members("r-1")], [["a"], []]);
  desks.assigned(rule({}, "r-2", { zone: "2" }), rule());
  assert.deepEqual([desks.members("r-2"), desks.members("r-1")], [[], ["a"]]);
});

test("what a machine said before means something else once the rollout is taken back", () => {
  const desks = new Desks()
    .assigned(rule({ waves: [ALL] }))
    .joined("a")
    .granted(1);
  desks.heard("a", { phase: "activating", permit: "relay-1.r-1.1.0.0" });
  desks.heard("a", { phase: "active", running: "new", permit: "relay-1.r-1.1.0.0" });
  desks.assigned(rule({ phase: "rollback", waves: [ALL], revision: 2 }));
  desks.heard("a", { phase: "reverted", permit: "relay-1.r-1.1.0.0" });
  assert.deepEqual(desks.done, ["send a", "a begun", "a succeeded"]);
});

test("a machine that runs another release than it was told of has succeeded once that is the rollout's", () => {
  const desks = new Desks()
    .assigned(rule({ waves: [ALL] }))
    .joined("a")
    .granted(1);
  desks.heard("a", { phase: "active", running: "newer", permit: "relay-1.r-1.1.0.0" });
  assert.deepEqual(desks.done, ["send a"]);
  desks.assigned(rule({ release: "newer", waves: [ALL], revision: 2 }));
  assert.deepEqual(desks.done, ["send a", "a succeeded"]);
});
