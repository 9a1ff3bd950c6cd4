// Brings packs from the origin into the region's store, segment by segment: what to pull, what to leave
// to a sibling, when to look whether it came, when to try again. It moves no bytes and checks none.
import type { Instant, Machine } from "../machine.ts";
import type { Random } from "../swarm/random.ts";
import { type MirroredPack, mirroredPack, type SegmentState } from "./mirror-pack.ts";
import { pullRank, segmentOwner } from "./mirror-plan.ts";

/** How a relay pulls. */
export interface MirrorLimits {
  /** Segments at once. */
  readonly pullsMax: number;
  /** How long the owner of a segment may show no progress before the next in order takes it over. */
  readonly takeOverMs: number;
}

/** From a folder: 4 streams of 256 KiB buffers keep a disk and a NIC busy. */
export const MIRROR_LIMITS: MirrorLimits = { pullsMax: 4, takeOverMs: 10_000 };
/**
 * Where each byte of the origin is paid for: who is killed has pulled one segment in vain, and none is pulled
 * twice that comes at 64 MiB in 30 s, 18 Mbit/s.
 */
export const MIRROR_LIMITS_COSTLY: MirrorLimits = { pullsMax: 1, takeOverMs: 30_000 };
/** How often the shared store is looked at while siblings pull: a fifth of a second hides in a segment. */
export const LOOK_MS = 200;
/** First and longest wait before a failed pull is tried again, before jitter of a half. */
export const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;

export type MirrorInput =
  /** The origin has so many segments of a pack; cumulative. */
  | {
      readonly kind: "told";
      readonly pack: string;
      readonly segments: number;
      readonly sealed: boolean;
    }
  /** Nobody needs the pack any more. */
  | { readonly kind: "dropped"; readonly pack: string }
  /** The region's live relays, and those of them whose region store is not ours. */
  | {
      readonly kind: "relays";
      readonly relays: readonly string[];
      readonly apart: readonly string[];
    }
  /** What the region's store holds of a pack. */
  | {
      readonly kind: "found";
      readonly pack: string;
      readonly segments: readonly number[];
      readonly sealed: boolean;
    }
  /** A segment is in the region's store, by our pull or by pieces from siblings. */
  | {
      readonly kind: "stored";
      readonly pack: string;
      readonly segment: number;
      readonly by: "pull" | "swarm";
    }
  | { readonly kind: "seal-stored"; readonly pack: string }
  | {
      readonly kind: "failed";
      readonly pack: string;
      readonly segment: number | "seal" | "look";
      readonly error: string;
    }
  | { readonly kind: "wake" };

export type MirrorEffect =
  /** Copy a segment from the origin; answer `stored` or `failed`. */
  | { readonly kind: "pull"; readonly pack: string; readonly segment: number }
  /** List what the region's store holds; answer `found` or `failed`. */
  | { readonly kind: "look"; readonly pack: string }
  /** Copy the seal; answer `seal-stored` or `failed`. */
  | { readonly kind: "copy-seal"; readonly pack: string }
  /** Get a segment's pieces from siblings whose store is not ours. */
  | { readonly kind: "fetch"; readonly pack: string; readonly segment: number }
  /** A segment has become available here. */
  | { readonly kind: "serve"; readonly pack: string; readonly segment: number }
  /** Forget the pack and delete what the region's store holds of it. */
  | { readonly kind: "drop"; readonly pack: string };

/** One relay's part in mirroring all packs of its region. */
export class Mirror implements Machine<MirrorInput, MirrorEffect> {
  readonly #relayId: string;
  readonly #random: Random;
  readonly #limits: MirrorLimits;
  readonly #packs = new Map<string, MirroredPack>();
  /** Pulls under way, by pack and segment; they hold their place even when the pack is dropped. */
  readonly #pulls = new Set<string>();
  readonly #progressAt = new Map<string, Instant>();
  /** Empty until they are told: who pulls before that would pull what is a sibling's. */
  #relays: readonly string[] = [];
  /** All that were ever told, also those that are gone for now. */
  readonly #known = new Set<string>();
  #apart: ReadonlySet<string> = new Set();
  deadline: Instant = Number.POSITIVE_INFINITY;

  constructor(relayId: string, random: Random, limits = MIRROR_LIMITS) {
    this.#relayId = relayId;
    this.#random = random;
    this.#limits = limits;
  }

  /** How far each pack is, in the order they were told. */
  packs(): ReadonlyMap<string, MirroredPack> {
    return this.#packs;
  }

  step(now: Instant, input: MirrorInput, effects: MirrorEffect[]): void {
    switch (input.kind) {
      case "told":
        this.#tell(now, input.pack, input.segments, input.sealed);
        break;
      case "dropped":
        if (this.#packs.delete(input.pack)) effects.push({ kind: "drop", pack: input.pack });
        break;
      case "relays":
        this.#relays = input.relays;
        for (const relay of input.relays) this.#known.add(relay);
        this.#apart = new Set(input.apart);
        break;
      case "found":
        this.#find(now, input.pack, input.segments, input.sealed, effects);
        break;
      case "stored":
        if (input.by === "pull") this.#pulls.delete(`${input.pack}/${input.segment}`);
        else this.#progress(now, input.pack, input.segment);
        this.#store(this.#packs.get(input.pack), input.segment, effects);
        break;
      case "seal-stored":
        this.#seal(this.#packs.get(input.pack));
        break;
      case "failed":
        this.#fail(now, input.pack, input.segment, input.error);
        break;
      case "wake":
        break;
      default:
        input satisfies never;
    }
    this.#act(now, effects);
  }

  #tell(now: Instant, id: string, segments: number, sealed: boolean): void {
    const pack = this.#packs.get(id) ?? mirroredPack(id, now);
    this.#packs.set(id, pack);
    for (let index = pack.segments.length; index < segments; index += 1) {
      pack.segments.push({ state: "absent", since: now, retryAt: now, tries: 0 });
    }
    pack.sealed ||= sealed;
  }

  #find(
    now: Instant,
    id: string,
    found: readonly number[],
    sealed: boolean,
    effects: MirrorEffect[],
  ): void {
    const pack = this.#packs.get(id);
    if (pack === undefined) return;
    pack.looked = true;
    pack.looking = false;
    pack.lookTries = 0;
    pack.lookAt = now + LOOK_MS;
    pack.errors.delete("look");
    for (const segment of found) {
      if (pack.segments[segment]?.state !== "absent") continue;
      this.#progress(now, id, segment);
      this.#store(pack, segment, effects);
    }
    if (sealed) this.#seal(pack);
  }

  #store(pack: MirroredPack | undefined, segment: number, effects: MirrorEffect[]): void {
    const before = pack?.segments[segment];
    if (pack === undefined || before === undefined || before.state === "stored") return;
    pack.segments[segment] = { ...before, state: "stored" };
    pack.stored += 1;
    pack.errors.delete(segment);
    effects.push({ kind: "serve", pack: pack.id, segment });
  }

  #seal(pack: MirroredPack | undefined): void {
    if (pack === undefined) return;
    pack.sealStored = true;
    pack.sealing = false;
    pack.errors.delete("seal");
  }

  #fail(now: Instant, id: string, segment: number | "seal" | "look", error: string): void {
    if (typeof segment === "number") this.#pulls.delete(`${id}/${segment}`);
    const pack = this.#packs.get(id);
    if (pack === undefined) return;
    pack.errors.set(segment, error);
    if (segment === "look") {
      pack.looking = false;
      pack.lookTries += 1;
      pack.lookAt = now + this.#retryMs(pack.lookTries);
    } else if (segment === "seal") {
      pack.sealing = false;
      pack.sealTries += 1;
      pack.sealRetryAt = now + this.#retryMs(pack.sealTries);
    } else {
      const before = pack.segments[segment];
      if (before === undefined || before.state === "stored") return;
      const tries = before.tries + 1;
      const retryAt = now + this.#retryMs(tries);
      pack.segments[segment] = { ...before, state: "absent", tries, retryAt };
    }
  }

  #retryMs(tries: number): number {
    const bound = Math.min(RETRY_MS_MIN * 2 ** (tries - 1), RETRY_MS_MAX);
    return bound / 2 + (this.#random() * bound) / 2;
  }

  /** Notes that a sibling brought a segment of its share. */
  #progress(now: Instant, pack: string, segment: number): void {
    const owner = segmentOwner(pack, segment, this.#relays);
    if (owner !== undefined) this.#progressAt.set(owner, now);
  }

  #act(now: Instant, effects: MirrorEffect[]): void {
    let due = Number.POSITIVE_INFINITY;
    for (const pack of this.#packs.values()) {
      due = Math.min(due, this.#actOn(now, pack, effects));
    }
    this.deadline = due;
  }

  /** Commands what is due for one pack; returns when something of it is due next. */
  #actOn(now: Instant, pack: MirroredPack, effects: MirrorEffect[]): Instant {
    if (!pack.looked) return this.#look(now, pack, effects);
    if (this.#relays.length === 0) return Number.POSITIVE_INFINITY;
    let due = Number.POSITIVE_INFINITY;
    let awaitsSibling = false;
    const ready: number[] = [];
    for (const [index, segment] of pack.segments.entries()) {
      if (segment.state !== "absent") continue;
      const turnAt = this.#turnAt(pack.id, index, segment);
      if (turnAt > segment.since || segment.tries > 0) awaitsSibling = true;
      this.#fetch(pack, index, effects);
      const at = Math.max(turnAt, segment.retryAt);
      if (at > now) due = Math.min(due, at);
      else ready.push(index);
    }
    this.#pullSome(pack, ready, effects);
    due = Math.min(due, this.#copySeal(now, pack, effects));
    return awaitsSibling ? Math.min(due, this.#look(now, pack, effects)) : due;
  }

  /** Copies the seal once all else is there; returns when to try again. */
  #copySeal(now: Instant, pack: MirroredPack, effects: MirrorEffect[]): Instant {
    const isReady = pack.sealed && pack.stored === pack.segments.length && !pack.sealStored;
    if (!isReady || pack.sealing) return Number.POSITIVE_INFINITY;
    if (pack.sealRetryAt > now) return pack.sealRetryAt;
    pack.sealing = true;
    effects.push({ kind: "copy-seal", pack: pack.id });
    return Number.POSITIVE_INFINITY;
  }

  /**
   * Pulls as many as may be: first what is ours while all relays live, from its start; then what we stand in for,
   * from its end, because a relay that comes back begins at its start.
   */
  #pullSome(pack: MirroredPack, ready: readonly number[], effects: MirrorEffect[]): void {
    if (ready.length === 0 || this.#pulls.size >= this.#limits.pullsMax) return;
    const relays = [...this.#known];
    const isOurs = (index: number) => segmentOwner(pack.id, index, relays) === this.#relayId;
    const { ours = [], others = [] } = Object.groupBy(ready, (index) =>
      isOurs(index) ? "ours" : "others",
    );
    for (const index of [...ours, ...others.reverse()]) {
      if (this.#pulls.size >= this.#limits.pullsMax) return;
      this.#pull(pack, index, effects);
    }
  }

  #pull(pack: MirroredPack, index: number, effects: MirrorEffect[]): void {
    const name = `${pack.id}/${index}`;
    // A pull from before the pack was dropped and told again still runs.
    if (this.#pulls.has(name)) return;
    this.#pulls.add(name);
    pack.segments[index] = { ...(pack.segments[index] as SegmentState), state: "pulling" };
    effects.push({ kind: "pull", pack: pack.id, segment: index });
  }

  /** Looks at the store where it is time; returns when it will be. */
  #look(now: Instant, pack: MirroredPack, effects: MirrorEffect[]): Instant {
    if (pack.looking) return Number.POSITIVE_INFINITY;
    if (pack.lookAt > now) return pack.lookAt;
    pack.looking = true;
    effects.push({ kind: "look", pack: pack.id });
    return Number.POSITIVE_INFINITY;
  }

  #fetch(pack: MirroredPack, index: number, effects: MirrorEffect[]): void {
    if (this.#apart.size === 0 || pack.fetching.has(index)) return;
    const owner = segmentOwner(pack.id, index, this.#relays);
    if (owner === undefined || !this.#apart.has(owner)) return;
    pack.fetching.add(index);
    effects.push({ kind: "fetch", pack: pack.id, segment: index });
  }

  /** When we may pull: at once what is ours, else when those before us show no progress. */
  #turnAt(pack: string, index: number, segment: SegmentState): Instant {
    const rank = pullRank(pack, index, this.#relayId, this.#relays);
    if (rank === 0) return segment.since;
    const owner = segmentOwner(pack, index, this.#relays);
    const progressAt = this.#progressAt.get(owner ?? "") ?? segment.since;
    return Math.max(segment.since, progressAt) + rank * this.#limits.takeOverMs;
  }
}
