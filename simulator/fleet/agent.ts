// One agent of the simulated fleet: the real service machine, on a disk and with processes that outlive it, with a
// line to a relay of its region as agent/relay-session.ts keeps it.
import type { Effect, Input, ServiceReport } from "../../core/fleet/agent-facts.ts";
import type { Journal } from "../../core/fleet/agent-journal.ts";
import { ServiceMachine } from "../../core/fleet/agent-machine.ts";
import type { ReleaseId } from "../../core/fleet/runnable.ts";
import type { Candidate } from "../../core/rollout/targets.ts";
import { waveHash } from "../../core/rollout/wave-hash.ts";
import type { SimulatedPeer } from "../simulated-peer.ts";
import { AgentPacks } from "./agent-packs.ts";
import type { Listener, Network } from "./lines.ts";
import { type Fate, MachineDisk } from "./machine-disk.ts";
import type { AgentSays, Assignments, RelayTells, Release } from "./messages.ts";
import { type Ground, Process, Stepper } from "./process.ts";
import type { RegionPacks } from "./region-packs.ts";
import { RelayLine } from "./relay-line.ts";
import { ServiceSteps } from "./service-steps.ts";

const KEEP_RELEASES = 3;
/** Between two looks at the health of a release that runs. */
const PROBE_MS = 10_000;
/** Before a journal that could not be written is written again. */
const PERSIST_RETRY_MS = 1_000;
/** Between two looks at whether a pack is whole. */
const LOOK_MS = 100;
const STAGE_MS = 50;

type Queued = Exclude<Effect, { kind: "report" | "refuse" | "refuse-orders" }>;

export interface AgentOptions {
  readonly ground: Ground;
  readonly candidate: Candidate;
  readonly service: string;
  readonly network: Network;
  readonly packs: RegionPacks;
  readonly relays: () => readonly Listener<AgentSays, RelayTells>[];
  /** What becomes of a release here. */
  readonly fateOf: (release: ReleaseId) => Fate;
  /** Of the service, from its start to its first check that is answered. */
  readonly warmUpMs: number;
  readonly look: AgentWatch;
}

/** Who looks at what agents do. */
export interface AgentWatch {
  /** A journal is on disk. */
  persisted(agent: Agent, before: Journal, after: Journal): void;
  /** A process of a release is started. */
  started(agent: Agent, release: ReleaseId): void;
}

export class Agent {
  readonly process: Process;
  readonly disk = new MachineDisk();
  readonly options: AgentOptions;
  #machine: ServiceMachine;
  #stepper: Stepper<Input, Effect> | undefined;
  #queue: Queued[] = [];
  #isDraining = false;
  #report: ServiceReport | undefined;
  #releases = new Map<ReleaseId, Release>();
  #staging: { readonly release: ReleaseId; readonly pack: string | undefined } | undefined;
  #packs: AgentPacks | undefined;
  #watched: ReleaseId | undefined;
  readonly #steps: ServiceSteps;
  #line: RelayLine | undefined;
  #boots = 0;

  constructor(options: AgentOptions) {
    this.options = options;
    this.process = new Process(options.candidate.agentId, options.ground);
    this.#machine = this.#newMachine();
    this.#steps = new ServiceSteps({
      ...{ process: this.process, disk: this.disk },
      ...{ fateOf: options.fateOf, warmUpMs: options.warmUpMs },
      onStart: (release) => options.look.started(this, release),
      onExit: (release, detail) => this.#tell({ kind: "exited", release, detail }),
    });
  }

  get name(): string {
    return this.process.name;
  }

  get region(): string {
    return this.options.candidate.region;
  }

  get report(): ServiceReport | undefined {
    return this.#report;
  }

  /** A relay has welcomed it and still listens. */
  get isWelcome(): boolean {
    return this.#line?.isWelcome === true;
  }

  /** What it has of packs in this life. */
  get packs(): AgentPacks | undefined {
    return this.#packs;
  }

  /** Effects that wait for the disk. */
  get queued(): number {
    return this.#queue.length;
  }

  start(): void {
    const { process, disk } = this;
    process.begin();
    this.#boots += 1;
    this.#queue = [];
    this.#isDraining = false;
    this.#staging = undefined;
    this.#report = undefined;
    this.#watched = undefined;
    this.#line = undefined;
    this.options.packs.up(this.name);
    this.#packs = this.#newPacks();
    this.#machine = this.#newMachine();
    this.#stepper = new Stepper(process, "service", this.#machine, (effect) =>
      this.#perform(effect),
    );
    // What a power loss has torn is fetched again, not run.
    for (const [release, { isBroken }] of [...disk.releases]) {
      if (isBroken) disk.releases.delete(release);
    }
    const findings = {
      onDisk: disk.whole,
      running: [...disk.running.keys()],
      pointed: disk.pointed,
    };
    this.#tell({ kind: "booted", findings });
    process.after(PROBE_MS, () => this.#probe());
    const { candidate, service, network, relays } = this.options;
    const boot = this.#boots;
    // One in four is of before machines did so.
    const takesEarly = waveHash(this.name, service) % 4 !== 0;
    this.#line = new RelayLine({
      ...{ process, network, relays },
      hello: (connect, relayBefore) => {
        const statuses = this.#report === undefined ? [] : [{ service, report: this.#report }];
        const session = { boot: `${boot}`, startedAtMs: boot, connect };
        return { kind: "hello", candidate, takesEarly, session, relayBefore, statuses };
      },
      onTold: (message) => this.#hear(message),
    });
  }

  /** kill -9: the service runs on. */
  kill(): void {
    if (!this.process.isUp) return;
    this.#line = undefined;
    this.process.end();
    this.options.packs.down(this.name);
  }

  /** The machine loses its power. */
  cutPower(): void {
    this.kill();
    this.disk.cutPower();
  }

  #newPacks(): AgentPacks {
    const { packs, candidate } = this.options;
    const announce = (pack: string, joined: boolean): void =>
      this.#line?.send({ kind: "swarm", pack, joined });
    return new AgentPacks({ process: this.process, candidate, packs, announce });
  }

  #newMachine(): ServiceMachine {
    const { candidate } = this.options;
    const { journal } = this.disk;
    return new ServiceMachine({ candidate, journal, keepReleases: KEEP_RELEASES });
  }

  #tell(fact: Input): void {
    this.#stepper?.input(fact);
  }

  #perform(effect: Effect): void {
    if (effect.kind === "report") {
      this.#report = effect.status;
      const { service } = this.options;
      this.#line?.send({ kind: "status", status: { service, report: effect.status } });
      return;
    }
    if (effect.kind === "refuse" || effect.kind === "refuse-orders") return;
    this.#queue.push(effect);
    if (!this.#isDraining) this.#drain();
  }

  /** Begins effects in order, each only after what it relies on is durable. */
  #drain(): void {
    this.#isDraining = true;
    for (let effect = this.#queue.shift(); effect !== undefined; effect = this.#queue.shift()) {
      if (effect.kind === "persist") {
        this.#persist(effect.journal);
        return;
      }
      this.#begin(effect);
    }
    this.#isDraining = false;
  }

  #persist(journal: Journal): void {
    const { disk, process, options } = this;
    const ms = disk.syncMs * (0.5 + options.ground.random());
    process.after(ms, () => {
      if (disk.isFull) {
        process.after(PERSIST_RETRY_MS, () => this.#persist(journal));
        return;
      }
      const before = disk.journal;
      disk.journal = journal;
      options.look.persisted(this, before, journal);
      this.#drain();
    });
  }

  #begin(effect: Exclude<Queued, { kind: "persist" }>): void {
    const { disk } = this;
    switch (effect.kind) {
      case "stage":
        this.#stage(effect.release);
        return;
      case "unstage":
        this.#endStaging();
        return;
      case "perform":
        this.#steps.perform(effect.step, (error) =>
          this.#tell({ kind: "performed", number: effect.number, error }),
        );
        return;
      case "restart":
        this.#steps.start(effect.release, () => {});
        return;
      case "reap":
        this.#steps.end(effect.release);
        return;
      case "repoint":
        disk.pointed = effect.release;
        return;
      case "watch":
        this.#watched = effect.release;
        return;
      case "collect":
        for (const release of [...disk.releases.keys()]) {
          if (!effect.keep.includes(release)) disk.releases.delete(release);
        }
        return;
      default:
        effect satisfies never;
    }
  }

  #stage(release: ReleaseId): void {
    this.#endStaging();
    const record = this.#releases.get(release);
    const staging = { release, pack: record?.pack };
    this.#staging = staging;
    const fail = (error: string, hopeless: boolean): void => {
      if (this.#staging !== staging) return;
      this.#endStaging();
      this.#tell({ kind: "staging-failed", release, error, hopeless });
    };
    if (record === undefined) {
      this.process.after(1, () => fail("nobody has told where its packs are", true));
      return;
    }
    const peer = this.#packs?.take(record.pack);
    if (peer === undefined) return;
    this.#await(staging, peer, () => {
      this.#tell({ kind: "staging", release, phase: "stage" });
      this.process.after(STAGE_MS, () => {
        if (this.#staging !== staging) return;
        if (this.disk.isFull) return fail("no space left", false);
        this.#endStaging();
        const stored = { isSynced: false, isBroken: false };
        this.disk.releases.set(release, stored);
        this.process.after(100, () => {
          stored.isSynced = true;
        });
        this.#tell({ kind: "staged", release });
      });
    });
  }

  #await(staging: object, peer: SimulatedPeer, whole: () => void): void {
    this.process.after(LOOK_MS, () => {
      if (this.#staging !== staging) return;
      if (this.options.packs.isWhole(peer)) whole();
      else this.#await(staging, peer, whole);
    });
  }

  #endStaging(): void {
    const pack = this.#staging?.pack;
    this.#staging = undefined;
    if (pack !== undefined) this.#packs?.release(pack);
  }

  #probe(): void {
    const release = this.#watched;
    if (release !== undefined && this.disk.journal.switching === undefined) {
      this.#tell({ kind: "probed", release, healthy: this.#steps.isHealthy(release) });
    }
    this.process.after(PROBE_MS, () => this.#probe());
  }

  #hear(message: Exclude<RelayTells, { kind: "reconnect" }>): void {
    switch (message.kind) {
      case "welcome":
        this.#packs?.snapshotBegun();
        return;
      case "order":
        this.#packs?.ordered(message.order);
        return;
      case "order-ended":
        this.#packs?.ended(message.id, message.pack, message.keep);
        return;
      case "snapshot-end":
        this.#packs?.snapshotEnded();
        return;
      case "assignments":
        this.#assigned(message.assignments);
        return;
      case "permit":
        this.#tell({ kind: "permitted", permit: message.permit });
        return;
      case "members": {
        const { pack, relays, members } = message;
        const peer = this.options.packs.find(this.name, pack);
        const others = [...relays, ...members.map(({ peerId }) => peerId)];
        if (peer?.isUp) this.options.packs.introduce(peer, pack, others);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #assigned({ epoch, revision, rules }: Assignments): void {
    for (const { release, fallback } of rules) {
      this.#releases.set(release.release, release);
      if (fallback !== undefined) this.#releases.set(fallback.release, fallback);
    }
    const runnable = ({ release, port }: Release) =>
      ({ release, way: { kind: "process", port } }) as const;
    const assignments = rules.map(({ release, fallback, targets, excludedRegions, ...rule }) => ({
      ...rule,
      targets: { labels: targets, excludedRegions },
      release: runnable(release),
      fallback: fallback && runnable(fallback),
      keep: KEEP_RELEASES,
    }));
    this.#tell({ kind: "assigned", orders: { epoch, revision, assignments } });
  }
}
