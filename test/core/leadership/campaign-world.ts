// Replicas that campaign on a model of the store, in virtual time. The store keeps true time; each replica has
// a clock of its own speed, is paused, cut off or without answers as the test says. What a paused or cut-off
// replica missed comes later, in order.
import {
  Campaign,
  type CampaignEffect,
  type CampaignInput,
  LEADER_TIMES,
} from "../../../core/leadership/campaign.ts";
import { type Random, seededRandom } from "../../../core/swarm/random.ts";
import { VirtualTime } from "../virtual-time.ts";

/** What happens to one replica for a while. */
export interface CampaignFault {
  readonly at: number;
  readonly lastsMs: number;
  readonly replica: number;
  /**
   * `paused`: the process stands still. `cut`: neither requests nor answers get through. `mute`: requests
   * do, answers do not. `resigns`: it is told to, at the beginning.
   */
  readonly kind: "paused" | "cut" | "mute" | "resigns";
}

export interface CampaignWorldOptions {
  /** Speed of each replica's clock against the store's. */
  readonly speeds: readonly number[];
  readonly faults: readonly CampaignFault[];
  readonly seed: number;
  /** What the store's disk takes for a write; leases are kept in memory. 0 unless given. */
  readonly diskMs?: number;
}

/** A call that got no answer is given up after so long. */
const CALL_MS = 3_000;
/** One way between replica and store. */
const WAY_MS_MAX = 40;

interface Replica {
  readonly name: number;
  readonly campaign: Campaign;
  readonly speed: number;
  readonly missed: CampaignInput[];
  /** Wakes that are set; an earlier one makes later ones void. */
  wakes: number;
}

interface Place {
  readonly lease: string;
  readonly replica: number;
}

/** A term that began. */
export interface Term {
  readonly replica: number;
  readonly epoch: number;
  readonly at: number;
}

export class CampaignWorld {
  readonly time = new VirtualTime();
  readonly terms: Term[] = [];
  readonly #replicas: readonly Replica[];
  readonly #faults: readonly CampaignFault[];
  readonly #random: Random;
  readonly #diskMs: number;
  readonly #leases = new Map<string, number>();
  #key: Place | undefined;
  #revision = 1;
  #epoch = 0;
  #lease = 0;

  constructor({ speeds, faults, seed, diskMs = 0 }: CampaignWorldOptions) {
    this.#random = seededRandom(seed);
    this.#diskMs = diskMs;
    this.#faults = faults;
    this.#replicas = speeds.map((speed, name) => ({
      name,
      speed,
      campaign: new Campaign(LEADER_TIMES),
      missed: [],
      wakes: 0,
    }));
    for (const replica of this.#replicas) this.#arm(replica);
    for (const { at, kind, replica, lastsMs } of faults) {
      const who = this.#replicas[replica % speeds.length] as Replica;
      if (kind === "resigns") this.time.in(at, () => this.#tell(who, { kind: "resign-asked" }));
      this.time.in(at + lastsMs, () => this.#catchUp(who));
    }
  }

  /** Replicas that may decide at this instant, each by its own clock. */
  get believers(): readonly number[] {
    return this.#replicas
      .filter((one) => one.campaign.leadsAt(this.#clock(one)))
      .map(({ name }) => name);
  }

  /** Whose the place is in the store. */
  get holder(): number | undefined {
    return this.#key?.replica;
  }

  #clock({ speed, name }: Replica): number {
    return (name + 1) * 1e6 + this.time.now * speed;
  }

  #suffers({ name }: Replica, ...kinds: readonly CampaignFault["kind"][]): boolean {
    const { now } = this.time;
    const count = this.#replicas.length;
    return this.#faults.some(
      ({ replica, at, lastsMs, kind }) =>
        replica % count === name && kinds.includes(kind) && at <= now && now < at + lastsMs,
    );
  }

  #arm(replica: Replica): void {
    replica.wakes += 1;
    const { wakes } = replica;
    const inMs = (replica.campaign.deadline - this.#clock(replica)) / replica.speed;
    if (inMs === Number.POSITIVE_INFINITY) return;
    this.time.in(Math.max(0, inMs), () => {
      if (wakes === replica.wakes) this.#tell(replica, { kind: "wake" });
    });
  }

  #tell(replica: Replica, input: CampaignInput): void {
    if (this.#suffers(replica, "paused")) {
      replica.missed.push(input);
      return;
    }
    const effects: CampaignEffect[] = [];
    replica.campaign.step(this.#clock(replica), input, effects);
    for (const effect of effects) this.#perform(replica, effect);
    this.#arm(replica);
  }

  #catchUp(replica: Replica): void {
    if (this.#suffers(replica, "paused")) return;
    for (const input of replica.missed.splice(0)) this.#tell(replica, input);
    this.#arm(replica);
    this.#show(replica);
  }

  #perform(replica: Replica, effect: CampaignEffect): void {
    switch (effect.kind) {
      case "look":
        this.#ask(replica, () => this.#seen(), undefined);
        break;
      case "grant":
        this.#ask(
          replica,
          () => {
            const lease = `${++this.#lease}`;
            this.#prolong(lease);
            return { kind: "lease-granted", lease };
          },
          { kind: "grant-failed" },
          this.#diskMs,
        );
        break;
      case "run": {
        const { lease } = effect;
        const failed = { kind: "not-elected", lease } as const;
        this.#ask(replica, () => this.#elect(replica, lease) ?? failed, failed, this.#diskMs);
        break;
      }
      case "keep-alive": {
        const { lease, askedAt } = effect;
        const keep = (): CampaignInput => {
          if (!this.#leases.has(lease)) return { kind: "lease-lost", lease };
          this.#prolong(lease);
          return { kind: "kept", lease, askedAt };
        };
        this.#ask(replica, keep, undefined);
        break;
      }
      case "revoke":
        this.#ask(replica, () => void this.#end(effect.lease), undefined, this.#diskMs);
        break;
      case "lead":
        this.terms.push({ replica: replica.name, epoch: effect.epoch, at: this.time.now });
        break;
      case "step-down":
        break;
      default:
        throw effect satisfies never;
    }
  }

  /** Asks the store; `failed` is told where no answer comes. */
  #ask(
    replica: Replica,
    act: () => CampaignInput | undefined,
    failed: CampaignInput | undefined,
    diskMs = 0,
  ): void {
    const fail = (): void =>
      this.time.in(CALL_MS, () => {
        if (failed !== undefined) this.#tell(replica, failed);
      });
    if (this.#suffers(replica, "cut")) {
      fail();
      return;
    }
    this.time.in(this.#way() + diskMs, () => {
      const answer = act();
      if (this.#suffers(replica, "cut", "mute")) fail();
      else if (answer !== undefined) this.time.in(this.#way(), () => this.#tell(replica, answer));
    });
  }

  #way(): number {
    return this.#random() * WAY_MS_MAX;
  }

  #elect({ name }: Replica, lease: string): CampaignInput | undefined {
    if (this.#key !== undefined || !this.#leases.has(lease)) return undefined;
    this.#epoch += 1;
    this.#change({ lease, replica: name });
    return { kind: "elected", lease, epoch: this.#epoch, revision: this.#revision };
  }

  #prolong(lease: string): void {
    const endsAt = this.time.now + LEADER_TIMES.ttlMs;
    this.#leases.set(lease, endsAt);
    this.time.in(LEADER_TIMES.ttlMs, () => {
      if (this.#leases.get(lease) === endsAt) this.#end(lease);
    });
  }

  #end(lease: string): void {
    this.#leases.delete(lease);
    if (this.#key?.lease === lease) this.#change(undefined);
  }

  #change(key: Place | undefined): void {
    this.#key = key;
    this.#revision += 1;
    for (const replica of this.#replicas) this.#show(replica);
  }

  /** The watch; one that is cut off shows how things are once it is there again. */
  #show(replica: Replica): void {
    if (this.#suffers(replica, "cut", "mute")) return;
    const seen = this.#seen();
    this.time.in(this.#way(), () => this.#tell(replica, seen));
  }

  #seen(): CampaignInput {
    return { kind: "leader-seen", lease: this.#key?.lease, revision: this.#revision };
  }
}
