// What happens in one run of a small fleet: releases that are brought to it, by operators who ask until they are
// answered, and the promises that its end is held to.

import type { BuildRow } from "../../core/builds/build-row.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { isTarget } from "../../core/rollout/targets.ts";
import { waveHash } from "../../core/rollout/wave-hash.ts";
import type { Random } from "../../core/swarm/random.ts";
import type { Agent } from "./agent.ts";
import { FAIR_BLOBS } from "./blobs.ts";
import { BUILDS_PREFIX, submitBuild } from "./build-rows.ts";
import { FleetChecks } from "./fleet-checks.ts";
import { FleetWorld, SERVICE } from "./fleet-world.ts";
import { type Fate, GOOD } from "./machine-disk.ts";
import type { Release } from "./messages.ts";
import { type Revivable, revive } from "./process.ts";
import { packNamed, SEGMENTS } from "./region-packs.ts";
import { type StartRequest, serviceRevision, startRollout } from "./rollout-desk.ts";
import { assignmentsKey, type RolloutRecord, rolloutKey, rulesOf } from "./rollout-record.ts";
import { FAIR_WEATHER } from "./store-client.ts";
import { hold } from "./violation.ts";
import { Worker } from "./worker.ts";

/** Longest time from the beginning of a switch to its answer: the check's, and what goes before it. */
const ANSWER_MS = 20_000;
/** Operators ask again after so long. */
const ASK_AGAIN_MS = 1_000;
const WORKERS = 4;
const BLOBS_LATER_MS = 20_000;
/** How often it is looked at what only grows. */
const MEASURE_MS = 10_000;
/** All is well from then on, unless a fault lasts longer. */
const HEALED_MS = 150_000;

/** The release that is brought to the fleet once all is well. */
const LAST_KEY = "last";

export class Scene {
  readonly world: FleetWorld;
  readonly checks = new FleetChecks();
  readonly random: Random;
  /** Rollouts that an operator was told of, by the key of the request. */
  readonly acknowledged = new Map<string, string>();
  readonly conflicts = new Set<string>();
  /** All that were ever made. */
  readonly releases: Release[] = [];
  /** Builds that a build system was told of, by what it asked for. */
  readonly builds = new Map<string, string>();
  /** What they ask for that kills whoever builds it. */
  readonly poison = new Set<string>();
  /** Requests of which one at most may be granted. */
  readonly rivals: (readonly [string, string])[] = [];
  /** Releases that are bad on every machine, and are watched for long enough to see it. */
  readonly #hopeless = new Set<string>();
  /** What the service's releases listen on; 0: a free port. */
  readonly port: number;
  /** Told of each fault at the moment it strikes. */
  onStrike: (fault: { readonly row: number; readonly what: string }) => void = () => {};
  #healsAt = HEALED_MS;
  #keys = 0;
  #isHealed = false;
  #open = 0;

  constructor(seed: number) {
    this.world = new FleetWorld(seed, this.checks);
    this.checks.watch(this.world);
    this.random = this.world.random;
    this.port = this.random() < 0.5 ? 0 : 8080;
    this.#makeWorkers();
  }

  get now(): number {
    return this.world.now;
  }

  /** When all that is wrong is put right. */
  get healsAt(): number {
    return this.#healsAt;
  }

  /** Something is wrong for so long from now on, at the least. */
  ail(ms: number): void {
    this.#healsAt = Math.max(this.#healsAt, this.now + ms);
  }

  at(instant: number, call: () => void): void {
    this.world.packs.at(Math.max(instant, this.now), call);
  }

  /** Has something break at an instant, unless all is well again by then. */
  breakAt(instant: number, call: () => void): void {
    this.at(instant, () => {
      if (!this.#isHealed) call();
    });
  }

  /** A number between, in milliseconds. */
  between(least: number, most: number): number {
    return least + this.random() * (most - least);
  }

  /** One of them. */
  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.random() * items.length)] as Item;
  }

  #makeWorkers(): void {
    const { world } = this;
    const { ground, network, controlPlanes, workers } = world;
    for (let index = 0; index < WORKERS; index += 1) {
      workers.push(
        new Worker({
          ...{ ground, network, controlPlanes, name: `w${index}` },
          wallMs: (replica) => world.wallMs(replica),
          publish: (name, done) => this.release(name, done),
          grow: (name, segment, done) => world.grow(packNamed(name), segment, done),
          policy: () => this.drawPolicy(),
          newRollout: () => this.newKey("r-"),
          tookMs: (build) => {
            const row = world.store.get(`${BUILDS_PREFIX}${build}`)?.value as BuildRow | undefined;
            if (row !== undefined && this.poison.has(row.dedupKey)) return undefined;
            return this.between(5_000, 40_000);
          },
        }),
      );
    }
  }

  /** A name that no other request has. */
  newKey(what: string): string {
    this.#keys += 1;
    return `${what}${this.#keys}`;
  }

  /** How a rollout is to go. */
  drawPolicy(): RolloutRecord["policy"] {
    const wave = (percent: number) => ({
      percent,
      regions: [],
      labels: {},
      bakeMs: this.pick([0, 2_000, 10_000, 20_000]),
    });
    const first = this.pick([[], [1], [5], [10, 50], [20]]);
    return {
      waves: [...first, 100].map(wave),
      failuresPercent: this.pick([0, 1, 10, 30]),
      maxUnavailablePercent: this.pick([0, 10, 20, 50]),
      sampleMin: 0,
      targets: {},
    };
  }

  /** A release has this fate on these machines. */
  makeBad(release: string, machines: ReadonlySet<string>, fate: Fate): void {
    this.world.fates.set(release, (agent) => (machines.has(agent) ? fate : GOOD));
    if (machines.size === this.world.agents.length) this.#hopeless.add(release);
  }

  /** A release whose pack is on its way to the origin; `done`: it is there. */
  release(name: string, done: () => void = () => {}): Release {
    const release = {
      release: name,
      service: SERVICE,
      pack: packNamed(name),
      segments: SEGMENTS,
      port: this.port,
      answerMs: ANSWER_MS,
      // Half of them, whatever is drawn.
      isQuick: waveHash(name, SERVICE) % 2 === 0,
    };
    this.releases.push(release);
    this.world.publish(release, done);
    return release;
  }

  /** A build system asks for a build, and asks again with the same key until it is answered. */
  submit(key: string, requester: string, ship: boolean): void {
    this.#open += 1;
    const ask = (): void => {
      const again = (): void => this.at(this.now + ASK_AGAIN_MS, ask);
      const replica = this.pick(this.world.controlPlanes);
      if (!replica.process.isUp || replica.process.isFrozen) {
        again();
        return;
      }
      const { life } = replica.process;
      let isAnswered = false;
      submitBuild(replica.store, { key, requester, ship }, this.newKey("b"), (id) => {
        isAnswered = true;
        if (id === undefined) return again();
        this.#open -= 1;
        this.builds.set(key, id);
      });
      this.at(this.now + 20_000, () => {
        if (!isAnswered && life !== replica.process.life) again();
      });
    };
    ask();
  }

  /** An operator asks the leader to bring a release to the fleet, until it is answered. */
  deploy(request: Omit<StartRequest, "wallMs" | "revision" | "newId">, plannedAt = 0): void {
    this.#open += 1;
    const ask = (): void => {
      const { leader } = this.world;
      const again = (): void => this.at(this.now + ASK_AGAIN_MS, ask);
      if (leader?.term === undefined || leader.term.held !== undefined) {
        again();
        return;
      }
      const wallMs = this.world.wallMs(leader.name);
      let isAnswered = false;
      const newId = (): string => this.newKey(`r-${request.key}-`);
      startRollout(leader.term, { ...request, newId, revision: plannedAt, wallMs }, (answer) => {
        isAnswered = true;
        if (answer.kind === "unavailable") return again();
        this.#open -= 1;
        if (answer.kind === "started") this.acknowledged.set(request.key, answer.rollout);
        else this.conflicts.add(request.key);
      });
      // Whoever was asked may have died of it.
      const { life } = leader.process;
      this.at(this.now + 10_000, () => {
        if (!isAnswered && life !== leader.process.life) again();
      });
    };
    ask();
  }

  /** The store was put back: what was acknowledged and is not in it is lost, as operators are told. */
  forget(): void {
    const { store } = this.world;
    for (const [key, id] of this.acknowledged) {
      if (store.get(rolloutKey(id)) === undefined) this.acknowledged.delete(key);
    }
    for (const [key, id] of this.builds) {
      if (store.get(`${BUILDS_PREFIX}${id}`) === undefined) this.builds.delete(key);
    }
    this.checks.restored();
  }

  /** The revision that a plan made now is to be applied with. */
  get planRevision(): number {
    return serviceRevision(this.world.store, SERVICE);
  }

  /** Calls back with each journal that a machine has on disk from now on. */
  onPersisted(call: (agent: Agent) => void): void {
    this.checks.onPersisted.push(call);
  }

  /** What is down at some moment soon is started again, in so many turns. */
  reviveSoon(all: () => readonly Revivable[], turns = 2): void {
    let at = this.now;
    for (let turn = 0; turn < turns; turn += 1) {
      at += this.between(500, 12_000);
      this.at(at, () => revive(all()));
    }
  }

  /** All is well from now on, whatever was not. */
  heal(): void {
    this.#isHealed = true;
    const { world, checks } = this;
    world.network.heal();
    Object.assign(world.storeWeather, FAIR_WEATHER);
    world.packs.flippedShare = 0;
    world.failPoints.clear();
    checks.onPersisted.length = 0;
    for (const { store } of world.controlPlanes)
      Object.assign(store.way, { isCut: false, isMute: false });
    // Blob stores last, so that what comes after the rest is well meets their faults too.
    this.at(this.now + BLOBS_LATER_MS, () => {
      for (const store of [world.origin, ...world.regionStores.values()]) {
        Object.assign(store.weather, FAIR_BLOBS);
      }
    });
    for (const { disk } of world.relays) disk.isFull = false;
    for (const { disk } of world.agents) Object.assign(disk, { isFull: false, syncMs: 2 });
    const programs = [...world.controlPlanes, ...world.relays, ...world.agents, ...world.workers];
    for (const { process } of programs) process.clock.drift(1);
    revive(programs);
    this.#reviveWorkers();
    this.#resumeAll();
    const release = this.release(LAST_KEY);
    this.deploy({ key: LAST_KEY, release, policy: this.drawPolicy(), supersede: true });
  }

  /** Somebody tells some open rollout something by hand. */
  tellAny(kind: "paused" | "resumed" | "aborted" | "rolled-back-by-hand"): void {
    const open = this.#isHealed ? [] : (this.world.leader?.term?.openRollouts ?? []);
    if (open.length > 0) this.pick(open).input({ kind });
  }

  /** A worker that a build has killed is started again, as a supervisor does. */
  #reviveWorkers(): void {
    revive(this.world.workers);
    this.at(this.now + 10_000, () => this.#reviveWorkers());
  }

  /** Nobody has it stand still for ever. */
  #resumeAll(): void {
    for (const rollout of this.world.leader?.term?.openRollouts ?? []) {
      if (rollout.record.row.paused) rollout.input({ kind: "resumed" });
    }
    this.at(this.now + 5_000, () => this.#resumeAll());
  }

  /** Runs until it is done; false: time is over. Checks what must hold after every event of the fleet. */
  run(until: number, isDone: () => boolean = () => false): boolean {
    let measureAt = this.now + MEASURE_MS;
    while (!isDone()) {
      if (!this.world.packs.step(until)) return false;
      this.checks.look();
      if (this.now < measureAt) continue;
      measureAt = this.now + MEASURE_MS;
      this.checks.measure();
    }
    return true;
  }

  /** Whether nothing is left to do: every request answered, every rollout over, every machine where it should be. */
  get isCalm(): boolean {
    if (this.#open > 0) return false;
    const { rollouts } = this.checks;
    if (!this.checks.builds.areAllOver) return false;
    if (!rollouts.records.every(({ row }) => isFinal(row.state))) return false;
    return this.unsettled() === undefined;
  }

  /** Some machine that does not run what it should, and why; undefined: all do. */
  unsettled(): string | undefined {
    const { world } = this;
    const rules = rulesOf(world.store.get(assignmentsKey(SERVICE)));
    const newest = rules[0]?.release.release;
    const { settled } = this.checks.rollouts;
    if (settled !== undefined && newest !== settled) {
      return `${newest} is assigned, ${settled} is what succeeded last`;
    }
    for (const agent of world.agents) {
      if (!agent.isWelcome) return `${agent.name} has no relay`;
      const { following = [] } = agent.packs ?? {};
      if (following.length > 0) return `${agent.name} still fetches ${following} ahead`;
      const { switching, current } = agent.disk.journal;
      if (switching !== undefined) return `${agent.name} is switching`;
      const own = rules.find(({ targets, excludedRegions }) =>
        isTarget(agent.options.candidate, { labels: targets, excludedRegions }),
      );
      if (own?.phase !== "final") continue;
      const wanted = own.release.release;
      if (world.fateOf(wanted, agent.name) !== GOOD) continue;
      const isThere = current?.release === wanted && agent.disk.running.has(wanted);
      if (!isThere) return `${agent.name} runs ${current?.release}, not ${wanted}`;
    }
    return undefined;
  }

  /** What must hold once all is over. */
  conclude(): void {
    const { rollouts } = this.checks;
    const known = new Map(rollouts.records.map((record) => [record.id, record]));
    for (const [key, id] of this.acknowledged) {
      hold(known.has(id), "nothing acknowledged is lost", () => {
        return `${key} was answered with ${id}, which nobody knows`;
      });
    }
    for (const [one, other] of this.rivals) {
      const isBoth = this.acknowledged.has(one) && this.acknowledged.has(other);
      hold(!isBoth, "of two from one plan one wins", () => `${one} and ${other} both began`);
    }
    for (const record of rollouts.records) this.#concludeRollout(record);
    const last = known.get(this.acknowledged.get(LAST_KEY) ?? "");
    hold(last?.row.state === "succeeded", "once all is well a good release succeeds", () => {
      return `it is ${last?.row.state}: ${last?.row.message}`;
    });
    this.checks.builds.conclude(this.builds, new Set(known.keys()));
    for (const agent of this.world.agents) {
      const { running, pointed, journal } = agent.disk;
      const current = journal.current?.release;
      hold(pointed === current, "exactly one version is active", () => {
        return `${agent.name} points to ${pointed}, its journal says ${current}`;
      });
      const others = [...running.keys()].filter((release) => release !== current);
      hold(others.length === 0, "exactly one version is active", () => {
        return `${agent.name} also runs ${others.join(" ")}`;
      });
    }
  }

  #concludeRollout({ id, row, release }: RolloutRecord): void {
    const isGood = !this.#hopeless.has(release.release) || row.state !== "succeeded";
    hold(isGood, "no bad release succeeds", () => `${id} brought ${release.release}`);
    hold(isFinal(row.state), "every rollout ends", () => `${id} is ${row.state} at the end`);
    const isTold = row.state === "succeeded" || row.message !== "";
    hold(isTold, "a rollout says why it ended", () => `${id} is ${row.state} and says nothing`);
  }
}
