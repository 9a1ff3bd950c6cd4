// The packs of a simulated machine: what it fetches under orders before it knows whether it will need it, what it stages
// from, and what it keeps for others, as agent/prefetch.ts and agent/swarm/pack-shelf.ts do it.
import { ORDER_HOLD_MS, packsToDrop } from "../../core/fleet/piece-cache.ts";
import { PrefetchOrders } from "../../core/fleet/prefetch-orders.ts";
import type { Instant } from "../../core/machine.ts";
import { type Candidate, isTarget } from "../../core/rollout/targets.ts";
import type { SimulatedPeer } from "../simulated-peer.ts";
import type { Order } from "./messages.ts";
import type { Process } from "./process.ts";
import { PACK_BYTES, type RegionPacks } from "./region-packs.ts";

/** What a machine keeps for others: few packs, so that their turn comes. */
export const CACHE_BYTES = 3 * PACK_BYTES;
/** How often members of a swarm are asked for. */
const ASK_MS = 5_000;
/** How late it may be noticed that pieces need not be held any more, or that more of a pack has come; production looks every 5 s. */
const LATE_MS_MAX = 60_000;

export interface AgentPacksOptions {
  readonly process: Process;
  readonly candidate: Candidate;
  readonly packs: RegionPacks;
  /** Tells the relay that it is in the swarm of a pack, or left it. */
  readonly announce: (pack: string, joined: boolean) => void;
}

interface Place {
  users: number;
  /** Not dropped before; for pieces that will be needed soon. */
  holdUntil: Instant;
  lastUsedAt: Instant;
  /** Nobody used it, and it was not whole, when it was looked at last: what is asked of others still comes. */
  isComing: boolean;
}

export class AgentPacks {
  readonly #options: AgentPacksOptions;
  readonly #places = new Map<string, Place>();
  readonly #orders = new PrefetchOrders();
  /** When it looks next whether what it held has to go. */
  #looksAt: Instant = Number.POSITIVE_INFINITY;

  /** Finds what an earlier life left. */
  constructor(options: AgentPacksOptions) {
    this.#options = options;
    const { now, name } = options.process;
    for (const pack of options.packs.heldBy(name)) {
      const place = { users: 0, holdUntil: now + ORDER_HOLD_MS, lastUsedAt: now };
      this.#places.set(pack, { ...place, isComing: false });
    }
    this.#keepBudget();
  }

  /** Packs that it fetches under orders. */
  get following(): readonly string[] {
    return this.#orders.packs;
  }

  /** Packs that are used now, or will be soon: they do not count against what is kept for others. */
  get needed(): readonly string[] {
    const { now } = this.#options.process;
    return [...this.#places].flatMap(([pack, { users, holdUntil, isComing }]) =>
      users > 0 || isComing || now <= holdUntil + LATE_MS_MAX ? pack : [],
    );
  }

  /** Begins to use a pack, and fetches it. */
  take(pack: string): SimulatedPeer {
    const { process, packs } = this.#options;
    const { now } = process;
    const fresh = { users: 0, holdUntil: 0, lastUsedAt: now, isComing: false };
    const place = this.#places.get(pack) ?? fresh;
    this.#places.set(pack, place);
    place.users += 1;
    const peer = packs.peer(process.name, pack, "agent");
    if (place.users === 1) this.#ask(pack, place);
    return peer;
  }

  /** Ends a use; the pieces stay for so long at least, then while there is room. */
  release(pack: string, holdMs = 0): void {
    const place = this.#places.get(pack);
    if (place === undefined) return;
    const { now } = this.#options.process;
    place.users -= 1;
    place.lastUsedAt = now;
    place.holdUntil = Math.max(place.holdUntil, now + holdMs);
    this.#keepBudget();
  }

  snapshotBegun(): void {
    this.#orders.snapshotBegun();
  }

  snapshotEnded(): void {
    for (const { pack } of this.#orders.snapshotEnded()) this.release(pack, ORDER_HOLD_MS);
  }

  ordered(order: Order): void {
    const { candidate } = this.#options;
    const verdict = this.#orders.ordered(order, isTarget(candidate, order));
    if (verdict === "leave") this.#leave(order.pack, false);
    if (verdict === "fetch") this.take(order.pack);
  }

  ended(id: string, pack: string, keep: boolean): void {
    if (this.#orders.ended(id)) this.#leave(pack, keep);
  }

  #leave(pack: string, keep: boolean): void {
    this.release(pack, keep ? ORDER_HOLD_MS : 0);
    if (!keep) this.#drop(pack);
  }

  #keepBudget(): void {
    const { process, packs } = this.#options;
    const { now } = process;
    const idle = [...this.#places].flatMap(([pack, place]) => {
      const { users, lastUsedAt, holdUntil } = place;
      const bytes = packs.bytesOf(process.name, pack);
      return users > 0 ? [] : [{ pack, place, bytes, lastUsedAt, holdUntil }];
    });
    const dropped = packsToDrop(idle, now, CACHE_BYTES, () => false);
    for (const { pack } of dropped) this.#drop(pack);
    let next = Number.POSITIVE_INFINITY;
    for (const { pack, place, bytes, holdUntil } of idle) {
      if (!this.#places.has(pack)) continue;
      place.isComing = bytes < PACK_BYTES;
      if (place.isComing) next = Math.min(next, now + LATE_MS_MAX);
      if (holdUntil > now) next = Math.min(next, holdUntil);
    }
    if (this.#looksAt > now && this.#looksAt <= next) return;
    this.#looksAt = next;
    if (next < Number.POSITIVE_INFINITY) {
      process.after(next - now, () => this.#keepBudget());
    }
  }

  #drop(pack: string): void {
    if (!this.#places.delete(pack)) return;
    const { process, packs, announce } = this.#options;
    announce(pack, false);
    packs.drop(process.name, pack);
  }

  /** Asks the relay for members of the pack's swarm, as long as it is being fetched. */
  #ask(pack: string, place: Place): void {
    if (this.#places.get(pack) !== place || place.users === 0) return;
    const { process, packs, announce } = this.#options;
    const peer = packs.find(process.name, pack);
    if (peer !== undefined && packs.isWhole(peer)) return;
    announce(pack, true);
    process.after(ASK_MS, () => this.#ask(pack, place));
  }
}
