// A relay of the virtual fleet with its agents: the real permit desk, agents as simple as their rules.
import { RELAY_BACKOFF } from "../../../core/fleet/agent-backoff.ts";
import { type CensusCount, countMachines } from "../../../core/rollout/census.ts";
import type { FailingMember } from "../../../core/rollout/member-sums.ts";
import { PermitDesk } from "../../../core/rollout/permit-desk.ts";
import type { DeskAssignment, Standing } from "../../../core/rollout/permit-facts.ts";
import type { KeptPermit } from "../../../core/rollout/permit-ledger.ts";
import { tallyOf } from "../../../core/rollout/permit-tally.ts";
import type { RolloutEffect } from "../../../core/rollout/rollout-facts.ts";
import type { Tally } from "../../../core/rollout/tally.ts";
import type { Candidate, WaveRule } from "../../../core/rollout/targets.ts";
import type { VirtualTime } from "../virtual-time.ts";

export const ROLLOUT = "r-0123456789abcdef";
export const NEW = "new";
export const OLD = "old";
export const ANSWER_MS = 20_000;
/** As real relays say after a start. */
const SETTLE_MS = RELAY_BACKOFF.mostMs;

/** What becomes of an agent that activates the release. */
export type Fate = "good" | "bad" | "hangs" | "dies" | "late-bad" | "never-staged" | "stuck";

export class VirtualAgent {
  readonly candidate: Candidate;
  readonly fate: Fate;
  online = true;
  /** Its relay has it. */
  connected = true;
  /** It began to switch under a permit. */
  begun = false;
  everFailed = false;
  /** A relay has heard that it began. */
  isHeard = false;
  standing: Standing;
  /** It keeps a permit that comes before the release is staged. */
  readonly takesEarly: boolean;
  /** The permit that it keeps. */
  early: { readonly permit: KeptPermit; readonly until: number } | undefined;

  constructor(candidate: Candidate, fate: Fate, running: string, takesEarly: boolean) {
    this.candidate = candidate;
    this.takesEarly = takesEarly;
    this.fate = fate;
    this.standing = {
      rollout: "",
      running,
      phase: "active",
      permit: "",
      error: "",
      bytes: { relay: 0, peer: 0, local: 0 },
      missingBytes: 0,
    };
  }

  get isOut(): boolean {
    return this.begun && this.standing.phase !== "active";
  }
}

export class VirtualRelay {
  readonly id: string;
  readonly region: string;
  readonly agents: VirtualAgent[];
  boot = 0;
  /** Connected to the leader. */
  connected = false;
  readonly #time: VirtualTime;
  readonly #delay: () => number;
  readonly #kept = new Map<string, KeptPermit>();
  #desk: PermitDesk;
  #settlesAt = 0;

  constructor(
    id: string,
    region: string,
    agents: VirtualAgent[],
    time: VirtualTime,
    delay: () => number,
  ) {
    this.id = id;
    this.region = region;
    this.agents = agents;
    this.#time = time;
    this.#delay = delay;
    this.#desk = this.#newDesk();
  }

  /** kill -9 and start: what was kept is all that is left, and the agents come back one by one. */
  restart(): void {
    this.boot += 1;
    this.#settlesAt = this.#time.now + SETTLE_MS;
    this.#desk = this.#newDesk();
    const { boot } = this;
    for (const agent of this.agents) {
      agent.connected = false;
      this.#time.in(10 * this.#delay(), () => {
        if (boot !== this.boot) return;
        agent.connected = true;
        this.#say(agent, true);
        this.#time.in(this.#delay(), () => this.#obey(agent));
      });
    }
  }

  /** It is told to end: from now on it hands out nothing. */
  close(): void {
    this.#step({ kind: "closed" });
  }

  /** How long its agents may still be on their way back. */
  get settleMs(): number {
    return Math.max(0, this.#settlesAt - this.#time.now);
  }

  led(epoch: number): void {
    this.#step({ kind: "led", epoch, until: this.#time.now + 3_000 });
  }

  assigned(assignment: DeskAssignment): void {
    const before = this.#desk.assignment;
    if (before !== undefined && before.epoch > assignment.epoch) return;
    this.#step({ kind: "assigned", assignment });
    if (before === undefined) for (const agent of this.agents) this.#say(agent, true);
    for (const agent of this.agents) this.#time.in(this.#delay(), () => this.#obey(agent));
  }

  granted(epoch: number, grant: Omit<Extract<RolloutEffect, { kind: "grant" }>, "relay">): void {
    const { wave, quota, together, ttlMs } = grant;
    this.#step({ kind: "granted", epoch, wave, quota, together, ttlMs });
  }

  /** What it reports; undefined: it has no assignment. */
  tally(): Tally | undefined {
    const { assignment } = this.#desk;
    if (assignment === undefined) return undefined;
    const { epoch, revision } = assignment;
    const isRollback = assignment.phase === "rollback";
    return { epoch, revision, isRollback, ...tallyOf(this.#desk, 10) };
  }

  /** Whom it names as failing. */
  failing(): readonly FailingMember[] {
    return tallyOf(this.#desk, this.agents.length).failing;
  }

  census(low: number, high: number, rule: Omit<WaveRule, "threshold">): CensusCount {
    const machines = this.agents
      .filter(({ online, connected }) => online && connected)
      .map(({ candidate }) => candidate);
    const asked = { rollout: ROLLOUT, low, high, targets: {}, rule };
    return countMachines(machines, asked, () => false);
  }

  #newDesk(): PermitDesk {
    const kept = [...this.#kept.values()];
    const prefix = `${this.id}.${this.boot}`;
    return new PermitDesk(ROLLOUT, prefix, kept, this.#time.now, ANSWER_MS);
  }

  #step(input: Parameters<PermitDesk["step"]>[1]): void {
    const effects: Parameters<PermitDesk["step"]>[2] = [];
    this.#desk.step(this.#time.now, input, effects);
    for (const effect of effects) {
      this.#kept.set(effect.permit.id, effect.permit);
      if (effect.kind !== "send") continue;
      const { permit } = effect;
      const until = this.#time.now + effect.ttlMs;
      this.#time.in(this.#delay(), () => this.#permitted(permit, until));
    }
    const desk = this.#desk;
    if (desk.deadline === Number.POSITIVE_INFINITY) return;
    this.#time.in(Math.max(0, desk.deadline - this.#time.now), () => {
      if (desk === this.#desk && desk.deadline <= this.#time.now) this.#step({ kind: "wake" });
    });
  }

  #say(agent: VirtualAgent, connected = false): void {
    if (this.#desk.assignment === undefined || !agent.connected) return;
    const { candidate, standing, takesEarly } = agent;
    if (agent.online && agent.begun) agent.isHeard = true;
    if (agent.online) this.#step({ kind: "stood", candidate, standing, connected, takesEarly });
    else this.#step({ kind: "gone", agentId: candidate.agentId });
  }

  /** The agent moves on, and its relay hears of it a little later. */
  #become(agent: VirtualAgent, change: Partial<Standing>): void {
    agent.standing = { ...agent.standing, ...change };
    this.#time.in(this.#delay(), () => this.#say(agent));
  }

  #obey(agent: VirtualAgent): void {
    const phase = this.#desk.assignment?.phase;
    const { standing } = agent;
    if (!agent.online || !agent.connected || phase === undefined) return;
    if (phase === "rollback") {
      if (agent.begun && standing.running === NEW) {
        // Its last good release is gone, or bad as well.
        if (agent.fate === "stuck") {
          this.#become(agent, { phase: "failed", error: "cannot go back" });
          return;
        }
        this.#become(agent, { phase: "reverting" });
        this.#time.in(1_000, () => this.#become(agent, { phase: "reverted", running: OLD }));
      }
      return;
    }
    if (phase !== "open" || standing.rollout === ROLLOUT) return;
    if (standing.running === NEW) {
      this.#become(agent, { rollout: ROLLOUT, phase: "active" });
      return;
    }
    this.#become(agent, { rollout: ROLLOUT, phase: "fetching" });
    if (agent.fate === "never-staged") return;
    this.#time.in(500 + 20 * this.#delay(), () => {
      if (agent.standing.phase !== "fetching") return;
      this.#become(agent, { phase: "staged" });
      if (agent.early !== undefined) this.#permitted(agent.early.permit, agent.early.until);
    });
  }

  #permitted(permit: KeptPermit, until: number): void {
    const agent = this.agents.find(({ candidate }) => candidate.agentId === permit.agentId);
    const isOpen = this.#desk.assignment?.phase === "open";
    if (
      agent === undefined ||
      !agent.online ||
      !agent.connected ||
      !isOpen ||
      this.#time.now > until
    )
      return;
    const { phase, rollout } = agent.standing;
    if (agent.takesEarly && (phase === "fetching" || rollout !== ROLLOUT)) {
      agent.early = { permit, until };
      return;
    }
    if (phase !== "staged") return;
    agent.begun = true;
    this.#become(agent, { phase: "activating", permit: permit.id });
    this.#time.in(500, () => this.#switch(agent));
  }

  #switch(agent: VirtualAgent): void {
    if (!agent.online || agent.standing.phase !== "activating") return;
    if (this.#desk.assignment?.phase === "rollback") {
      // It heard that the rollout is taken back before it had switched.
      this.#become(agent, { phase: "reverted" });
      return;
    }
    this.#become(agent, { phase: "checking", running: NEW });
    const answer = (): void => {
      if (agent.standing.phase !== "checking") return;
      if (agent.fate === "bad") this.#fail(agent);
      else this.#become(agent, { phase: "active" });
    };
    if (agent.fate === "dies") {
      agent.online = false;
      this.#time.in(this.#delay(), () => this.#say(agent));
    } else if (agent.fate !== "hangs") this.#time.in(1_000, answer);
    if (agent.fate === "late-bad") {
      this.#time.in(6_000, () => {
        if (agent.standing.phase === "active") this.#fail(agent);
      });
    }
  }

  #fail(agent: VirtualAgent): void {
    agent.everFailed = true;
    this.#become(agent, { phase: "reverting", error: "unhealthy" });
    this.#time.in(300, () => this.#become(agent, { phase: "reverted", running: OLD }));
  }
}
