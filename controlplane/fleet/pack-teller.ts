// Tells relays of packs: which their region must hold, how far each has come, and under which orders
// agents may fetch while a build goes on. What is wanted where, the register knows.
import type { PackOrder } from "../../core/builds/ship-orders.ts";
import {
  type LiveOrder,
  type PackNeed,
  PackRegister,
  packChanges,
  type WantedPack,
} from "../../core/fleet/pack-register.ts";
import type { Instant } from "../../core/machine.ts";
import type { ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { PackFeed } from "../builds/pack-feed.ts";
import type { Command } from "./outbox.ts";
import type { ReplicationTracker } from "./replication-tracker.ts";

/** A pack that a region lacks, though it is complete at the origin. */
interface Missing {
  readonly region: string;
  readonly pack: string;
  readonly at: Instant;
}

/** A relay as far as packs go. */
export interface PackListener {
  readonly region: string;
  /** Packs it was told to mirror. */
  told: Map<string, WantedPack>;
}

export interface PackTellerOptions<Listener extends PackListener> {
  readonly epoch: number;
  readonly now: () => Instant;
  readonly tracker: ReplicationTracker;
  /** The relays that are connected. */
  readonly listeners: () => Iterable<Listener>;
  readonly push: (listener: Listener, command: Command) => void;
}

export class PackTeller<Listener extends PackListener> implements PackFeed {
  readonly #options: PackTellerOptions<Listener>;
  readonly #register = new PackRegister();
  #missing = new Map<string, Missing>();

  constructor(options: PackTellerOptions<Listener>) {
    this.#options = options;
  }

  /** What a relay that has just come is told. */
  *snapshot(listener: Listener): Generator<Command, void, void> {
    for (const order of this.#register.orders) {
      if (isFor(order, listener)) yield { $case: "order", order: this.#order(order) };
    }
    listener.told = this.#register.wanted(listener.region, this.#options.now());
    for (const wanted of listener.told.values()) yield progress(wanted);
  }

  /** A service's assignments are these now. */
  assigned({ service, assignments }: ServiceAssignments): void {
    const needs = assignments.flatMap(({ release, fallback, excludedRegions }) =>
      [release, fallback]
        .filter((one) => one !== undefined)
        .map((one) => needOf(one, excludedRegions)),
    );
    this.#register.assigned(service, needs);
    this.tell();
  }

  /** A rollout needs its release everywhere it goes; undefined: not any more. */
  expect(
    rollout: string,
    need: { readonly release: Release; readonly excludedRegions: readonly string[] } | undefined,
  ): void {
    this.#register.waiting(rollout, need && needOf(need.release, need.excludedRegions));
    this.tell();
  }

  orderBegun(order: PackOrder): void {
    const live = this.#register.begun(order);
    this.tell();
    for (const listener of this.#options.listeners()) {
      if (!isFor(live, listener)) continue;
      this.#options.push(listener, { $case: "order", order: this.#order(live) });
    }
  }

  packGrew(pack: string, segments: number): void {
    if (this.#register.grew(pack, segments) !== undefined) this.tell();
  }

  orderEnded(pack: string, kept: boolean): void {
    const order = this.#register.ended(pack, kept, this.#options.now());
    if (order === undefined) return;
    const orderEnded = { id: pack, pack, keep: kept };
    for (const listener of this.#options.listeners()) {
      if (!isFor(order, listener)) continue;
      this.#options.push(listener, { $case: "orderEnded", orderEnded });
    }
    this.tell();
  }

  /** Tells each relay what has changed in what its region must hold. */
  tell(): void {
    const { now, push, tracker, listeners } = this.#options;
    const stillWanted = new Set<string>();
    const noMore = new Set<string>();
    for (const listener of listeners()) {
      const wanted = this.#register.wanted(listener.region, now());
      for (const pack of wanted.keys()) stillWanted.add(pack);
      const { news, dropped } = packChanges(listener.told, wanted);
      for (const next of news) push(listener, progress(next));
      for (const { pack, isSealed: spare } of dropped) {
        noMore.add(pack);
        const gone = { pack, segments: 0, sealed: false, dropped: true, spare };
        push(listener, { $case: "pack", pack: gone });
      }
      listener.told = wanted;
    }
    this.#noteMissing();
    for (const pack of noMore) if (!stillWanted.has(pack)) tracker.dropped(pack);
  }

  /** Packs that the region is to hold and does not hold whole, those first that it lacks for the longest time. */
  missing(region: string): { readonly pack: string; readonly forMs: number }[] {
    const { now, tracker } = this.#options;
    return [...this.#missing.values()]
      .filter((one) => one.region === region && !tracker.isWhole(region, one.pack))
      .map(({ pack, at }) => ({ pack, forMs: now() - at }))
      .sort((a, b) => b.forMs - a.forMs);
  }

  #noteMissing(): void {
    const { now, tracker, listeners } = this.#options;
    const missing = new Map<string, Missing>();
    for (const { region, told } of listeners()) {
      for (const { pack, isSealed } of told.values()) {
        if (!isSealed || tracker.isWhole(region, pack)) continue;
        const name = `${region}/${pack}`;
        missing.set(name, this.#missing.get(name) ?? { region, pack, at: now() });
      }
    }
    this.#missing = missing;
  }

  #order(order: LiveOrder): Extract<Command, { $case: "order" }>["order"] {
    const { build, attempt, pack, service, targets, traceparent, urgent } = order;
    const { epoch } = this.#options;
    const excludedRegions = [...order.excludedRegions];
    const wire = { build, attempt, pack, service, targets: { ...targets }, traceparent, urgent };
    return { id: pack, epoch, excludedRegions, ...wire };
  }
}

function needOf({ layout }: Release, excludedRegions: readonly string[]): PackNeed {
  return { packs: layout?.packs ?? [], excludedRegions };
}

function isFor(order: LiveOrder, { region }: PackListener): boolean {
  return !order.excludedRegions.includes(region);
}

function progress({ pack, segments, isSealed }: WantedPack): Command {
  return {
    $case: "pack",
    pack: { pack, segments, sealed: isSealed, dropped: false, spare: false },
  };
}
