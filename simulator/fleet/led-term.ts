// One term of a simulated leader: reads what it begins from, takes relays, runs the open rollouts and keeps the
// deadlines of builds. What it does in which order is controlplane/'s; what is decided is core's.
import { Replicas } from "../../core/fleet/replicas.ts";
import { BEHIND_KEY, epochCompare } from "../../core/leadership/election.ts";
import { isBehind, isOlder, type TermPoint } from "../../core/leadership/epoch.ts";
import { ACTIVE_PREFIX, WAITING_PREFIX } from "../../core/rollout/service-turns.ts";
import { ROLLOUT_WRITES_PER_S, WritePace } from "../../core/rollout/write-pace.ts";
import type { BlobModel } from "./blobs.ts";
import { BuildSweeper } from "./build-sweeper.ts";
import { HeldTerm } from "./held-term.ts";
import type { Assignments, LeaderSays, RelayCommand, RelaySays, Release } from "./messages.ts";
import { OpenRollouts } from "./open-rollouts.ts";
import { OrderTeller } from "./order-teller.ts";
import { PackCollector } from "./pack-collector.ts";
import type { Process } from "./process.ts";
import { rulesOf } from "./rollout-record.ts";
import type { RolloutRunner } from "./rollout-runner.ts";
import type { StoreClient } from "./store-client.ts";
import type { Condition, StoredEntry } from "./store-model.ts";
import {
  type FailPoint,
  type KnownRelay,
  type LineToRelay,
  READ_RETRY_MS,
  type RelaySeat,
  type TermHost,
} from "./term-host.ts";

const LEADER_TTL_MS = 3_000;
const HEARTBEAT_MS = LEADER_TTL_MS / 3;

export const RELAYS_PREFIX = "relays/";
const SERVICES_PREFIX = "services/";

export interface LedTermOptions {
  readonly process: Process;
  readonly store: StoreClient;
  readonly epoch: number;
  /** Store revision of the election. */
  readonly revision: number;
  /** False as soon as others may lead, by the process's own clock. */
  readonly holds: () => boolean;
  readonly origin: BlobModel;
  /** Wall-clock time as it is shown to this process. */
  readonly wallMs: () => number;
  /** A named place of its work is reached. */
  readonly onReached: (point: FailPoint) => void;
  /** Another leads by now, or what is written says that nothing may be decided. */
  readonly onLost: () => void;
}

export class LedTerm implements TermHost {
  readonly process: Process;
  readonly store: StoreClient;
  readonly epoch: number;
  readonly fence: Condition;
  readonly pace = new WritePace(ROLLOUT_WRITES_PER_S);
  readonly replicas = new Replicas();
  readonly #options: LedTermOptions;
  readonly #known = new Map<string, KnownRelay>();
  readonly #seats = new Map<string, RelaySeat>();
  readonly #met = new Set<string>();
  readonly #assignments = new Map<string, Assignments>();
  readonly #rollouts: OpenRollouts;
  readonly #orders: OrderTeller;
  #builds: BuildSweeper | undefined;
  #collector: PackCollector | undefined;
  #held: HeldTerm | undefined;
  #isReady = false;
  #isStopped = false;

  constructor(options: LedTermOptions) {
    this.#options = options;
    this.process = options.process;
    this.store = options.store;
    this.epoch = options.epoch;
    this.fence = epochCompare(options);
    this.#rollouts = new OpenRollouts(this);
    const tell = (command: RelayCommand): void => {
      for (const seat of this.#seats.values()) this.#push(seat, command);
    };
    this.#orders = new OrderTeller({ ...options, tell });
    this.#begin();
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get holds(): boolean {
    return this.#options.holds();
  }

  /** Every relay that ever registered. */
  get knownRelays(): readonly KnownRelay[] {
    return [...this.#known.values()].sort((a, b) => (a.relay < b.relay ? -1 : 1));
  }

  get seats(): readonly RelaySeat[] {
    return [...this.#seats.values()].sort((a, b) => (a.relay < b.relay ? -1 : 1));
  }

  get openRollouts(): readonly RolloutRunner[] {
    return this.#rollouts.all;
  }

  /** Its store went back, and nothing is decided; undefined: it leads. */
  get held(): HeldTerm | undefined {
    return this.#held;
  }

  isFenced(found: StoredEntry | undefined): boolean {
    return "modRevision" in this.fence && found?.modRevision !== this.fence.modRevision;
  }

  /** What is left of a live build's overall limit; undefined: not known. */
  overallLeftMs(build: string): number | undefined {
    return this.#builds?.overallLeftMs(build);
  }

  /** Builds whose deadlines it keeps. */
  get liveBuilds(): number {
    return this.#builds?.liveCount ?? 0;
  }

  /** A relay says hello; `refuse` ends its connection. */
  join(hello: Extract<RelaySays, { kind: "hello" }>, line: LineToRelay): void {
    if (this.#held !== undefined) {
      this.#held.ask(hello, line);
      return;
    }
    const { relay, region, boot, settleMs } = hello;
    const own = { epoch: this.epoch, revision: this.#options.revision };
    if (isBehind(own, hello, this.#met.has(relay))) {
      this.#markBehind(hello);
      line.close();
      return;
    }
    if (!this.#isReady) {
      line.close();
      return;
    }
    this.#register({ relay, region }, (isTaken) => {
      if (!isTaken || this.#isStopped || !line.isOpen) {
        line.close();
        return;
      }
      this.#met.add(relay);
      const settlesAt = this.process.now + settleMs;
      const seat: RelaySeat = { relay, region, boot, settlesAt, line };
      const before = this.#seats.get(relay);
      if (before !== undefined) {
        before.line.close();
        this.#leave(before);
      }
      this.#seats.set(relay, seat);
      line.onGone = () => this.#leave(seat);
      line.onMessage = (message) => this.#heard(seat, message);
      this.#snapshot(seat);
      this.#tellSiblings(region);
      for (const rollout of this.#rollouts.all) rollout.relayJoined(seat);
    });
  }

  /** Sends to one relay, if it is connected. */
  send(relay: string, command: RelayCommand): void {
    const seat = this.#seats.get(relay);
    if (seat !== undefined) this.#push(seat, command);
  }

  /** A service's assignments are these now. */
  assign(assignments: Assignments): void {
    const before = this.#assignments.get(assignments.service);
    if (before !== undefined && isOlder(assignments, before)) return;
    this.#assignments.set(assignments.service, assignments);
    for (const seat of this.#seats.values()) {
      for (const { pack, segments } of this.#packs()) {
        this.#push(seat, { kind: "pack", pack, segments, sealed: true });
      }
      this.#push(seat, { kind: "assignments", assignments });
    }
  }

  /** A named place is reached; false: the leader has died there. */
  reach(point: FailPoint): boolean {
    this.#options.onReached(point);
    return !this.#isStopped;
  }

  /** Every region is to hold the release's pack. */
  need({ pack, segments }: Release): void {
    for (const seat of this.#seats.values()) {
      this.#push(seat, { kind: "pack", pack, segments, sealed: true });
    }
  }

  /** Another leads, or has led. */
  lose(): void {
    if (!this.#isStopped) this.#options.onLost();
  }

  /** Decides and sends nothing from now on. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#rollouts.stop();
    this.#builds?.stop();
    for (const { line } of this.#seats.values()) {
      line.send({ kind: "reconnect", to: undefined });
      line.close();
    }
  }

  #begin(): void {
    this.store.read(
      (model) => ({
        behind: model.get(BEHIND_KEY)?.value as TermPoint | undefined,
        relays: model.range(RELAYS_PREFIX),
        services: model.range(SERVICES_PREFIX),
        open: [...model.range(ACTIVE_PREFIX), ...model.range(WAITING_PREFIX)],
      }),
      (answer) => {
        if (this.#isStopped) return;
        if (answer.kind !== "answered") {
          this.process.after(READ_RETRY_MS, () => this.#begin());
          return;
        }
        const { behind, relays, services, open } = answer.value;
        if (behind !== undefined) {
          this.#held = new HeldTerm(this, behind);
          return;
        }
        for (const { value } of relays) {
          const known = value as KnownRelay;
          this.#known.set(known.relay, known);
        }
        for (const entry of services) {
          const service = entry.key.slice(SERVICES_PREFIX.length).split("/")[0] as string;
          const rules = rulesOf(entry);
          const { epoch } = this;
          this.#assignments.set(service, { service, epoch, revision: entry.modRevision, rules });
        }
        this.#rollouts.begin(open.map(({ value }) => value as string));
        this.#builds = new BuildSweeper(this, (row) => this.#orders.row(row));
        const { origin, wallMs } = this.#options;
        this.#collector = new PackCollector({ host: this, origin, wallMs });
        this.#isReady = true;
        this.#beat();
      },
    );
  }

  #register(known: KnownRelay, done: (isTaken: boolean) => void): void {
    if (this.#known.has(known.relay)) {
      done(true);
      return;
    }
    const operations = [{ put: `${RELAYS_PREFIX}${known.relay}`, value: known }];
    this.store.transact({ compares: [this.fence], operations, by: this.epoch }, (answer) => {
      const isTaken = answer.kind === "answered" && answer.value.committed;
      if (isTaken) this.#known.set(known.relay, known);
      done(isTaken);
    });
  }

  #markBehind({ relay, epoch, revision }: Extract<RelaySays, { kind: "hello" }>): void {
    const operations = [{ put: BEHIND_KEY, value: { relay, epoch, revision } }];
    this.store.transact({ compares: [this.fence], operations }, () => this.lose());
  }

  #leave(seat: RelaySeat): void {
    if (this.#seats.get(seat.relay) !== seat) return;
    this.#seats.delete(seat.relay);
    if (this.#isStopped) return;
    this.#tellSiblings(seat.region);
    for (const rollout of this.#rollouts.all) {
      rollout.input({ kind: "relay-lost", relay: seat.relay });
    }
  }

  #heard(seat: RelaySeat, message: RelaySays): void {
    if (this.#isStopped || this.#seats.get(seat.relay) !== seat) return;
    const { relay, region } = seat;
    if (message.kind === "report") {
      const isChanged = this.replicas.reported(relay, region, message.replicas);
      for (const { rollout, ...tally } of message.tallies) {
        this.#rollouts.get(rollout)?.input({ kind: "relay-reported", relay, tally });
      }
      if (isChanged) for (const rollout of this.#rollouts.all) rollout.replicationChanged();
    } else if (message.kind === "counted") {
      const { rollout, query, count } = message;
      this.#rollouts.get(rollout)?.input({ kind: "census-answered", relay, query, count });
    } else if (message.kind === "used") {
      this.#collector?.answered(relay, message.query, message.releases);
    }
  }

  #snapshot(seat: RelaySeat): void {
    this.#push(seat, { kind: "heartbeat", epoch: this.epoch, ttlMs: LEADER_TTL_MS });
    this.#push(seat, this.#siblings(seat.region));
    for (const { pack, segments } of this.#packs()) {
      this.#push(seat, { kind: "pack", pack, segments, sealed: true });
    }
    for (const assignments of this.#assignments.values()) {
      this.#push(seat, { kind: "assignments", assignments });
    }
    for (const command of this.#orders.snapshot()) this.#push(seat, command);
    this.#push(seat, { kind: "snapshot-end", epoch: this.epoch });
  }

  /** Every pack that some region needs. */
  #packs(): readonly Release[] {
    const rules = [...this.#assignments.values()].flatMap((one) => one.rules);
    const needed = rules.flatMap(({ release, fallback }) => [release, fallback]);
    needed.push(...this.#rollouts.all.map(({ record }) => record.release));
    const byPack = new Map<string, Release>();
    for (const release of needed) if (release !== undefined) byPack.set(release.pack, release);
    return [...byPack.values()];
  }

  #beat(): void {
    if (this.#isStopped) return;
    for (const seat of this.#seats.values()) {
      this.#push(seat, { kind: "heartbeat", epoch: this.epoch, ttlMs: LEADER_TTL_MS });
    }
    this.process.after(HEARTBEAT_MS, () => this.#beat());
  }

  #siblings(region: string): RelayCommand {
    const relays = this.seats.filter((seat) => seat.region === region).map(({ relay }) => relay);
    return { kind: "siblings", relays };
  }

  #tellSiblings(region: string): void {
    const siblings = this.#siblings(region);
    for (const seat of this.#seats.values()) {
      if (seat.region === region) this.#push(seat, siblings);
    }
  }

  #push({ line }: RelaySeat, message: LeaderSays): void {
    // Another may lead by now: what this one still believes is not for relays to hear.
    if (!this.#options.holds()) return;
    line.send(message, message.kind === "quota" || message.kind === "assignments");
  }
}
