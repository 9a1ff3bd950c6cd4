// A whole rollout in virtual time: the real machine as leader, a store that commits in order, relays with
// real permit desks, losses, restarts and pauses. It checks after every event what must always hold.
import assert from "node:assert/strict";
import { outMax } from "../../../core/rollout/bounds.ts";
import { isFinal } from "../../../core/rollout/lifecycle.ts";
import { Rollout } from "../../../core/rollout/rollout.ts";
import type {
  AssignPhase,
  RolloutEffect,
  RolloutInput,
} from "../../../core/rollout/rollout-facts.ts";
import {
  newRolloutRow,
  type RolloutPlan,
  type RolloutRow,
} from "../../../core/rollout/rollout-row.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { ANSWER_MS, NEW, OLD, ROLLOUT, type VirtualRelay } from "./virtual-relay.ts";

const DESK_PHASE = {
  open: "open",
  final: "final",
  rollback: "rollback",
  frozen: "frozen",
} as const;

/** Between a relay's last word and its end. */
const DRAIN_MS = 500;

interface Stored {
  row: RolloutRow;
  phase: AssignPhase | undefined;
  revision: number;
  ended: number;
}

export class VirtualRollout {
  readonly time: VirtualTime;
  readonly relays: readonly VirtualRelay[];
  readonly stored: Stored;
  readonly #plan: RolloutPlan;
  readonly #delay: () => number;
  readonly #isQuick: boolean;
  readonly #arrivals = new Map<string, number>();
  #epoch = 0;
  #leader!: Rollout;
  #batch: RolloutEffect[] = [];
  #isPaused = false;
  #wave = -1;
  #begunBefore = 0;

  constructor(
    plan: RolloutPlan,
    relays: readonly VirtualRelay[],
    time: VirtualTime,
    delay: () => number,
    isQuick = false,
  ) {
    this.#plan = plan;
    this.#isQuick = isQuick;
    this.relays = relays;
    this.time = time;
    this.#delay = delay;
    this.stored = { row: newRolloutRow(false), phase: undefined, revision: 0, ended: 0 };
    this.takeOver();
    this.#beat();
    for (const relay of relays) this.connect(relay);
  }

  get row(): RolloutRow {
    return this.stored.row;
  }

  get isOver(): boolean {
    return isFinal(this.stored.row.state);
  }

  /** A new leader goes on from what is stored; what the one before had not committed is lost. */
  takeOver(): void {
    this.#epoch += 1;
    this.#batch = [];
    if (this.isOver) return;
    this.#isPaused = this.stored.row.paused;
    this.#leader = new Rollout(this.#plan, this.stored.row, this.#epoch);
    this.#input({ kind: "started", relays: this.relays.map(({ id }) => id) });
    this.#input({ kind: "replicated", missing: [] });
    for (const relay of this.relays) if (relay.connected) this.connect(relay);
  }

  connect(relay: VirtualRelay): void {
    this.time.in(this.#delay(), () => {
      relay.connected = true;
      relay.led(this.#epoch);
      this.#tellAssignment(relay);
      const { id, region, boot, settleMs } = relay;
      this.#input({ kind: "relay-joined", relay: id, region, boot: String(boot), settleMs });
    });
  }

  lose(relay: VirtualRelay): void {
    if (!relay.connected) return;
    relay.connected = false;
    this.#input({ kind: "relay-lost", relay: relay.id });
  }

  /** A relay is ended politely, and started again: it says that it hands out no more, and goes. */
  drain(relay: VirtualRelay): void {
    relay.close();
    this.#report(relay);
    this.time.in(DRAIN_MS, () => {
      this.lose(relay);
      relay.restart();
      this.time.in(1_000, () => this.connect(relay));
    });
  }

  tell(kind: "paused" | "resumed" | "aborted" | "rolled-back-by-hand"): void {
    if (kind === "paused" || kind === "resumed") this.#isPaused = kind === "paused";
    this.#input({ kind });
  }

  /** What must hold at every moment. */
  check(): void {
    const agents = this.relays.flatMap((relay) => relay.agents);
    const { row } = this.stored;
    const wave = row.waves[row.wave];
    const isMoving = row.state === "activating" || row.state === "baking";
    if (!isMoving || wave === undefined) return;
    const begun = agents.filter((agent) => agent.begun).length;
    if (row.wave !== this.#wave) {
      this.#wave = row.wave;
      this.#begunBefore = begun;
    }
    const touched = begun - this.#begunBefore;
    if ((this.#plan.waves[row.wave]?.percent ?? 0) < 100) {
      assert.ok(touched <= wave.size, `${touched} touched, the wave has ${wave.size}`);
    }
    const failedBefore = row.waves.slice(0, row.wave).reduce((sum, { failed }) => sum + failed, 0);
    const out = agents.filter((agent) => agent.isOut || agent.everFailed).length - failedBefore;
    const planned = Math.max(wave.planned ?? 0, touched);
    const together = outMax(this.#plan, planned, Math.max(wave.matching, agents.length));
    const lateBad = agents.filter(({ fate }) => fate === "late-bad").length;
    // One that began and died for good while its relay was being started again is known to nobody.
    const unheard = agents.filter(({ begun, online, isHeard }) => begun && !online && !isHeard);
    const most = together + lateBad + unheard.length;
    assert.ok(out <= most, `${out} out at once, at most ${most}`);
  }

  #input(fact: RolloutInput): void {
    const leader = this.#leader;
    const effects: RolloutEffect[] = [];
    leader.step(this.time.now, fact, effects);
    const isGranting = effects.some(({ kind }) => kind === "grant");
    assert.ok(!(this.#isPaused && isGranting), "granted while paused");
    if (effects.length > 0) this.#commitLater(effects);
    const { deadline } = leader;
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.time.in(Math.max(0, deadline - this.time.now), () => {
      const isCurrent = leader === this.#leader && leader.deadline === deadline;
      if (isCurrent) this.#input({ kind: "wake" });
    });
  }

  #commitLater(effects: readonly RolloutEffect[]): void {
    if (this.#batch.length === 0) {
      const epoch = this.#epoch;
      this.time.in(this.#delay(), () => {
        if (epoch === this.#epoch) this.#commit();
      });
    }
    this.#batch.push(...effects);
  }

  #commit(): void {
    const batch = this.#batch;
    this.#batch = [];
    const epoch = this.#epoch;
    for (const effect of batch) {
      if (effect.kind === "persist") this.stored.row = effect.row;
      else if (effect.kind === "assign") this.stored.phase = effect.phase;
      else if (effect.kind === "ended") this.stored.ended += 1;
    }
    const serial = batch.findLast((effect) => effect.kind === "assign")?.serial;
    if (serial !== undefined) this.stored.revision += 1;
    // A leader may end between committing and sending.
    this.time.in(1, () => {
      if (epoch !== this.#epoch) return;
      if (serial !== undefined) {
        for (const relay of this.relays) this.#tellAssignment(relay);
        this.#input({ kind: "assigned", serial, revision: this.stored.revision });
      }
      for (const effect of batch) this.#send(effect);
    });
  }

  #send(effect: RolloutEffect): void {
    if (effect.kind === "grant") {
      const epoch = this.#epoch;
      this.#to(effect.relay, (relay) => relay.granted(epoch, effect));
    } else if (effect.kind === "census") {
      const { query, low, high } = effect;
      const { regions, labels } = this.#plan.waves[effect.wave] as RolloutPlan["waves"][number];
      for (const id of effect.relays) {
        this.#to(id, (relay) => {
          const count = relay.census(low, high, { regions, labels });
          this.#from(relay, { kind: "census-answered", relay: id, query, count });
        });
      }
    }
  }

  #tellAssignment(relay: VirtualRelay): void {
    const { row, phase, revision } = this.stored;
    const deskPhase = DESK_PHASE[phase as keyof typeof DESK_PHASE];
    if (deskPhase === undefined) return;
    const waves = row.waves.map(({ threshold }, index) => {
      const { regions = [], labels = {} } = this.#plan.waves[index] ?? {};
      return { threshold, regions, labels };
    });
    const about = { epoch: this.#epoch, revision, phase: deskPhase, paused: row.paused, waves };
    const releases = { release: NEW, fallback: this.#plan.hasFallback ? OLD : "" };
    this.#to(relay.id, (one) =>
      one.assigned({ ...about, ...releases, answerMs: ANSWER_MS, isQuick: this.#isQuick }),
    );
  }

  /** Down a stream that keeps its order, and dies with its leader. */
  #to(id: string, run: (relay: VirtualRelay) => void): void {
    const relay = this.relays.find((one) => one.id === id);
    const epoch = this.#epoch;
    if (relay === undefined) return;
    const { boot } = relay;
    this.time.in(this.#inOrder(`to ${id}`), () => {
      if (relay.connected && relay.boot === boot && epoch === this.#epoch) run(relay);
    });
  }

  #from(relay: VirtualRelay, fact: RolloutInput): void {
    const epoch = this.#epoch;
    const { boot } = relay;
    this.time.in(this.#inOrder(`from ${relay.id}`), () => {
      if (relay.connected && relay.boot === boot && epoch === this.#epoch) this.#input(fact);
    });
  }

  /** A delay after which nothing overtakes what went the same way before. */
  #inOrder(way: string): number {
    const at = Math.max(this.#arrivals.get(way) ?? 0, this.time.now + this.#delay());
    this.#arrivals.set(way, at);
    return at - this.time.now;
  }

  #report(relay: VirtualRelay): void {
    const tally = relay.tally();
    if (tally !== undefined) {
      this.#from(relay, { kind: "relay-reported", relay: relay.id, tally });
    }
  }

  /** Heartbeats down, sums up, once a second. */
  #beat(): void {
    for (const relay of this.relays) {
      if (!relay.connected) continue;
      relay.led(this.#epoch);
      this.#report(relay);
    }
    this.time.in(1_000, () => this.#beat());
  }
}

export { ROLLOUT };
