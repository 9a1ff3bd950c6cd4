// What must hold of rollouts at every instant, from what machines truly did and what is truly written: waves of exact
// size, bounded harm, no second try, one end. The bounds are those that the plan names.
import type { Journal } from "../../core/fleet/agent-journal.ts";
import { incarnationOf } from "../../core/leadership/epoch.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { RolloutPlan } from "../../core/rollout/rollout-row.ts";
import type { Agent } from "./agent.ts";
import { type FleetWorld, SERVICE } from "./fleet-world.ts";
import type { Rule } from "./messages.ts";
import { sealKey } from "./relay-mirror.ts";
import { assignmentsKey, planOf, type RolloutRecord, rulesOf } from "./rollout-record.ts";
import { hold } from "./violation.ts";

/** What became of one machine under one rollout. */
interface Deed {
  readonly agent: Agent;
  readonly permit: string;
  isActive: boolean;
  hasFailed: boolean;
}

interface Watched {
  record: RolloutRecord;
  wave: number;
  begunBefore: number;
  /** What begins before that may be by leave that a store which was put back knows nothing of. */
  readonly countedFrom: number;
  readonly deeds: Map<string, Deed>;
}

/** By then every permit has run out that was handed out before. */
const PERMITS_OVER_MS = 60_000;

export class RolloutChecks {
  readonly #world: FleetWorld;
  readonly #rollouts = new Map<string, Watched>();
  /** Releases of all rollouts that were ever written. */
  readonly #named = new Set<string>();
  #ended: readonly RolloutRecord[] = [];
  /** Rollouts in the order in which they ended, whatever a store that was put back knows of it. */
  readonly #endings: string[] = [];
  /** Rollouts that no store knows any more; machines may have brought their releases to disk. */
  #forgotten = 0;
  /** Leaders above this epoch do not know the service's newest orders; until a rollout succeeds. */
  #stillSince: number | undefined;
  /** The store was put back, and some relay may know the service better; until a rollout succeeds. */
  #isPutBack = false;
  /** Machines whose disk was taken away: what they did before is forgotten. */
  readonly wiped = new Set<string>();

  constructor(world: FleetWorld) {
    this.#world = world;
  }

  /** Every rollout that was ever written, as it was written last. */
  get records(): readonly RolloutRecord[] {
    return [...this.#rollouts.values()].map(({ record }) => record);
  }

  /** Rollouts that ended without success, or that a store which was put back has forgotten. */
  get inVain(): number {
    return this.#ended.filter(({ row }) => row.state !== "succeeded").length + this.#forgotten;
  }

  /** What machines should run by how rollouts ended; undefined: that is left to operators, or nothing. */
  get settled(): string | undefined {
    if (this.#ended.some(({ row }) => row.state === "aborted" || row.state === "failed")) {
      return undefined;
    }
    return this.#ended.findLast(({ row }) => row.state === "succeeded")?.release.release;
  }

  /** Whether some rollout was ever to bring a release to machines, or back to them. */
  isNamed(release: string): boolean {
    return this.#named.has(release);
  }

  /** A rollout's row is written. */
  written(record: RolloutRecord): void {
    const { id, row } = record;
    this.#named.add(record.release.release);
    const known = this.#rollouts.get(id);
    if (known === undefined) {
      this.#rollouts.set(id, newWatched(record, 0));
      this.#entered(record);
      return;
    }
    const before = known.record.row;
    hold(!isFinal(before.state) || before.state === row.state, "a rollout ends once", () => {
      return `${id} was ${before.state} and is ${row.state}`;
    });
    hold(row.wave >= before.wave, "a rollout never goes back a wave", () => {
      return `${id} was in wave ${before.wave} and is in ${row.wave}`;
    });
    known.record = record;
    if (row.state !== before.state) this.#entered(record);
    if (isFinal(row.state) && !isFinal(before.state)) {
      this.#ended = [...this.#ended, record];
      this.#endings.push(id);
    }
  }

  /** A rollout has come to another state. */
  #entered({ id, service, row, release, excludedRegions }: RolloutRecord): void {
    if (row.state === "succeeded") {
      this.#stillSince = undefined;
      this.#isPutBack = false;
    }
    if (isFinal(row.state) || row.state === "waiting") return;
    for (const { record } of this.#rollouts.values()) {
      const isOther = record.id !== id && record.service === service;
      const hasTurn = !isFinal(record.row.state) && record.row.state !== "waiting";
      hold(!isOther || !hasTurn, "one rollout of a service at a time", () => {
        return `${id} is ${row.state}, ${record.id} is ${record.row.state}`;
      });
    }
    if (row.state !== "activating" || row.wave > 0) return;
    for (const [region, store] of this.#world.regionStores) {
      if (excludedRegions.includes(region)) continue;
      const isThere = store.peek(sealKey(release.pack)) !== undefined;
      hold(isThere, "a rollout waits for all regions", () => {
        return `${id} begins, and ${region} has not all of ${release.pack}`;
      });
    }
  }

  /** What of the fleet needs a pack by what is written: an open rollout, or what machines are assigned or go back to. */
  neededBy(pack: string): string | undefined {
    const open = this.records.filter(({ row }) => !isFinal(row.state));
    const rollout = open.find((one) => one.release.pack === pack || one.previous?.pack === pack);
    if (rollout !== undefined) return rollout.id;
    const isOf = ({ release, fallback, before }: Rule): boolean =>
      release.pack === pack ||
      fallback?.pack === pack ||
      (before !== undefined && isOf(before.entry));
    const rules = rulesOf(this.#world.store.get(assignmentsKey(SERVICE)));
    return rules.find(isOf)?.rollout;
  }

  /** The store was put back and knows these: others have never been, and what machines did since is not counted. */
  restored(records: readonly RolloutRecord[]): void {
    this.#isPutBack = true;
    const before = new Map(this.#rollouts);
    const known = new Set(records.map(({ id }) => id));
    for (const id of before.keys()) if (!known.has(id)) this.#forgotten += 1;
    this.#rollouts.clear();
    for (const record of records) {
      const watched = before.get(record.id);
      const isAsBefore = watched?.record === record;
      const countedFrom = this.#world.now + PERMITS_OVER_MS;
      this.#rollouts.set(record.id, isAsBefore ? watched : newWatched(record, countedFrom));
    }
    const ended = records.filter(({ row }) => isFinal(row.state));
    const turnOf = ({ id }: RolloutRecord): number => this.#endings.lastIndexOf(id);
    this.#ended = ended.toSorted((a, b) => turnOf(a) - turnOf(b));
  }

  /** The newest orders of the service are lost to all leaders above this epoch. */
  standStill(epoch: number): void {
    this.#stillSince = epoch;
  }

  /** The store was put back to this epoch, and has the newest orders: also those that an older backup had lost. */
  broughtBack(epoch: number): void {
    const since = this.#stillSince ?? 0;
    // A backup from after the raise knows itself that machines stand still.
    if (incarnationOf(epoch) <= incarnationOf(since)) this.#stillSince = undefined;
  }

  /** A machine's journal is on its disk. */
  persisted(agent: Agent, before: Journal, after: Journal): void {
    const { switching, outcome } = after;
    const isOfItself =
      before.switching === undefined &&
      switching?.direction === "forward" &&
      switching.permit === "" &&
      !switching.isRollback;
    const isStill = this.#stillSince !== undefined && after.epoch > this.#stillSince;
    hold(!isOfItself || !isStill, "machines stay as they are where their orders are lost", () => {
      return `${agent.name} goes to ${switching?.to?.release}`;
    });
    if (before.switching === undefined && switching !== undefined && !switching.isRollback) {
      const { rollout, permit } = switching;
      if (permit !== "" || this.#isOpen(rollout)) this.#begun(agent, rollout, permit);
    }
    if (before.switching !== undefined && switching === undefined && outcome !== undefined) {
      const deed = this.#rollouts.get(outcome.rollout)?.deeds.get(agent.name);
      if (deed === undefined) return;
      deed.isActive = outcome.kind === "active";
      if (outcome.kind === "failed") deed.hasFailed = true;
    }
  }

  /** Whether machines need leave for it by what is written. */
  #isOpen(rollout: string): boolean {
    const state = this.#rollouts.get(rollout)?.record.row.state;
    return state === "activating" || state === "baking";
  }

  #begun(agent: Agent, rollout: string, permit: string): void {
    const { deeds, countedFrom = 0 } = this.#rollouts.get(rollout) ?? {};
    if (deeds === undefined || this.#world.now < countedFrom) return;
    const before = deeds.get(agent.name);
    const isAgain = before !== undefined && !this.wiped.has(agent.name);
    hold(!isAgain, "a machine switches once in a rollout", () => {
      return `${agent.name} under ${rollout}: permit ${permit} after ${before?.permit}`;
    });
    deeds.set(agent.name, { agent, permit, isActive: false, hasFailed: false });
  }

  /** A rollout is written with the rules that are assigned from then on. */
  assigned({ id, row, previous }: RolloutRecord, rules: readonly Rule[]): void {
    if (row.state !== "rolled_back" || previous === undefined) return;
    // Where the newest orders are lost it is what machines can go back to, not what all go to.
    const isBack = rules.some(({ phase, release }) => {
      const isKept = phase === "frozen" && this.#isPutBack;
      return release.release === previous.release && (phase === "final" || isKept);
    });
    hold(isBack, "what ran before is assigned again", () => {
      return `${id} was taken back, and nobody is to run ${previous.release}`;
    });
  }

  /** What must hold of each rollout at this instant. */
  look(): void {
    for (const watched of this.#rollouts.values()) {
      const { state } = watched.record.row;
      if (state === "activating" || state === "baking") this.#lookAt(watched);
    }
  }

  #lookAt(watched: Watched): void {
    const { record, deeds } = watched;
    const { row, id } = record;
    const wave = row.waves[row.wave];
    if (wave === undefined) return;
    if (row.wave !== watched.wave) {
      watched.wave = row.wave;
      watched.begunBefore = deeds.size;
    }
    const plan = planOf(record);
    const touched = deeds.size - watched.begunBefore;
    const percent = plan.waves[row.wave]?.percent ?? 0;
    if (percent < 100) {
      const share = Math.max(1, Math.ceil((percent * this.#world.agents.length) / 100));
      hold(wave.size <= share, "a wave has exactly its share", () => {
        return `${id}: wave ${row.wave} of ${percent} % has ${wave.size} of ${this.#world.agents.length}`;
      });
      hold(touched <= wave.size, "a wave never grows", () => {
        return `${id}: ${touched} machines began in wave ${row.wave} of ${wave.size}`;
      });
    }
    const failedBefore = row.waves.slice(0, row.wave).reduce((sum, { failed }) => sum + failed, 0);
    const all = [...deeds.values()].filter((deed) => isOut(id, deed));
    if (all.length <= failedBefore + 1) return;
    const known = all.filter((deed) => this.#isKnown(id, deed)).length - failedBefore;
    const { agents } = this.#world;
    // Shares are of the machines that there are, whatever the leader has counted.
    const planned = Math.min(Math.max(wave.planned ?? 0, touched), agents.length);
    const most = allowedOut(plan, planned, agents.length);
    hold(known <= most, "never more machines are out than allowed", () => {
      return `${id}: ${known} of wave ${row.wave} out, at most ${most}`;
    });
  }

  /** Whether its relay can know that it began: a permit that ran out before its machine was heard is nobody's. */
  #isKnown(rollout: string, { permit }: Deed): boolean {
    for (const { disk } of this.#world.relays) {
      const state = disk.permits.get(rollout)?.get(permit)?.state;
      if (state !== undefined) return state !== "returned";
    }
    return false;
  }
}

function newWatched(record: RolloutRecord, countedFrom: number): Watched {
  return { record, wave: -1, begunBefore: 0, countedFrom, deeds: new Map() };
}

/** Machines that may be out or have failed together, as the policy promises it; told here apart from what decides. */
function allowedOut(plan: RolloutPlan, planned: number, machines: number): number {
  const { maxUnavailablePercent, failuresPercent } = plan;
  const unavailable = Math.floor(((maxUnavailablePercent || 10) * machines) / 100);
  const failures = Math.ceil((failuresPercent * planned) / 100);
  return Math.max(1, Math.min(Math.max(1, unavailable), failures));
}

/** Whether a machine is not in service under the rollout, or has failed in it. */
function isOut(rollout: string, { agent, isActive, hasFailed }: Deed): boolean {
  if (hasFailed) return true;
  // It says so while its journal is on its way to the disk.
  const { report } = agent;
  return !isActive && !(report?.rollout === rollout && report.phase === "active");
}
