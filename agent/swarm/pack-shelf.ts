// The packs on this machine's disk: opened when somebody needs them, kept for other machines of the
// region while the budget lasts, the oldest dropped first. What is fetched into them, and why, is said
// by those who take them.
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CACHE_LOOK_MS, packsToDrop } from "../../core/fleet/piece-cache.ts";
import { isPackId } from "../../core/release/pack-id.ts";
import type { Log } from "../../runtime/log.ts";
import type { Introduction } from "../../runtime/peer/swarm.ts";
import type { SwarmNode } from "../../runtime/peer/swarm-node.ts";
import { ShelvedPack } from "./shelved-pack.ts";

/** A pack that others still fetch from is kept over the budget for so long at most. */
const OVER_BUDGET_MS_MAX = 300_000;
/** An earlier life may have been fetching it; by then the relay has told what for. */
const REOPENED_HOLD_MS = 900_000;

export interface PackShelfOptions {
  /** Holds one folder a pack. */
  readonly folder: string;
  readonly node: SwarmNode;
  /** A pack goes before others; `urgencyChanged` is to be called when that may have changed. */
  readonly isUrgent: (pack: string) => boolean;
  /** Encoded bytes of packs that nobody here needs. */
  readonly budgetBytes: number;
  readonly log: Log;
  /** Tells the relay that we joined or left a swarm, or lack neighbours there. */
  readonly announce: (pack: string, joined: boolean, hungry: boolean) => void;
}

interface Place {
  readonly opened: Promise<ShelvedPack>;
  /** Set once it is open. */
  open: ShelvedPack | undefined;
  users: number;
  /** Not dropped before; for pieces that will be needed soon. */
  holdUntil: number;
  lastUsedAt: number;
  /** At the last look. */
  sent: number;
  have: number;
}

export class PackShelf {
  readonly #options: PackShelfOptions;
  readonly #places = new Map<string, Place>();
  readonly #timer: NodeJS.Timeout;
  #cacheBytesMax: number;
  #isClosing = false;

  constructor(options: PackShelfOptions) {
    this.#options = options;
    this.#cacheBytesMax = options.budgetBytes;
    mkdirSync(options.folder, { recursive: true });
    this.#timer = setInterval(() => this.#look(), CACHE_LOOK_MS);
  }

  /** Opens what an earlier life left, so that others can fetch it. */
  reopen(): void {
    for (const name of readdirSync(this.#options.folder)) {
      if (!isPackId(name)) continue;
      const place = this.#place(name);
      place.holdUntil = place.lastUsedAt + REOPENED_HOLD_MS;
    }
  }

  /** Opens a pack for somebody; `release` ends the use. Rejects for a bad id or a failing disk. */
  async take(pack: string): Promise<ShelvedPack> {
    if (!isPackId(pack)) throw new Error(`${JSON.stringify(pack)} is no pack id`);
    const place = this.#place(pack);
    place.users += 1;
    try {
      return await place.opened;
    } catch (error) {
      place.users -= 1;
      throw error;
    }
  }

  /** Ends a use; the pieces stay for `holdMs` at least, then while the budget lasts. */
  release(pack: string, holdMs = 0): void {
    const place = this.#places.get(pack);
    if (place === undefined) return;
    place.users -= 1;
    place.lastUsedAt = performance.now();
    place.holdUntil = Math.max(place.holdUntil, place.lastUsedAt + holdMs);
  }

  /** Drops a pack and its pieces whoever uses it: they are of no use to anyone. */
  async drop(pack: string): Promise<void> {
    const place = this.#places.get(pack);
    if (place === undefined) return;
    this.#places.delete(pack);
    this.#options.announce(pack, false, false);
    const open = await place.opened.catch(() => undefined);
    if (open !== undefined) await open.remove();
    this.#options.log.info({ pack }, "pack dropped");
  }

  /** Closes a pack and opens it again, which finds pieces that have rotted. The users take it anew. */
  async verify(pack: string): Promise<void> {
    const place = this.#places.get(pack);
    if (place === undefined) return;
    this.#places.delete(pack);
    await (await place.opened).close();
    const { users } = place;
    const again = this.#place(pack);
    again.users = users;
    await again.opened;
  }

  /** Bytes on disk: of packs that somebody here uses, and of those kept for others. */
  get bytes(): { readonly fetchingBytes: number; readonly cachedBytes: number } {
    let [fetchingBytes, cachedBytes] = [0, 0];
    for (const { users, open } of this.#places.values()) {
      if (users > 0) fetchingBytes += open?.bytesOnDisk ?? 0;
      else cachedBytes += open?.bytesOnDisk ?? 0;
    }
    return { fetchingBytes, cachedBytes };
  }

  /** So many bytes may be kept for others at most from now on, within what it was told at first. */
  limit(cacheBytesMax: number): void {
    this.#cacheBytesMax = Math.min(this.#options.budgetBytes, cacheBytesMax);
    this.#keepBudget();
  }

  /** Makes room at once: drops whatever nobody uses now, but not those of `except`. */
  async makeRoom(except: ReadonlySet<string>): Promise<void> {
    const idle = [...this.#places].filter(
      ([pack, place]) => place.users === 0 && !except.has(pack),
    );
    for (const [pack] of idle) await this.drop(pack);
  }

  /** Other packs than before may be urgent. */
  urgencyChanged(): void {
    for (const [pack, { open }] of this.#places) open?.swarm.urge(this.#options.isUrgent(pack));
  }

  addRows(pack: string, first: number, rows: Uint8Array): void {
    this.#with(pack, (open) => open.addRows(first, rows));
  }

  introduce(pack: string, peers: readonly Introduction[]): void {
    this.#with(pack, (open) => open.swarm.introduce(peers));
  }

  /** Tells a relay that knows nothing of us which swarms we are in. */
  announceAll(): void {
    for (const [pack, place] of this.#places) {
      if (place.open !== undefined) this.#options.announce(pack, true, isHungry(place.open));
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#timer);
    const places = [...this.#places.values()];
    this.#places.clear();
    await Promise.allSettled(places.map(async (place) => (await place.opened).close()));
  }

  #place(pack: string): Place {
    const known = this.#places.get(pack);
    if (known !== undefined) return known;
    const folder = join(this.#options.folder, pack);
    const place: Place = {
      opened: ShelvedPack.open(pack, folder, this.#options.node),
      open: undefined,
      users: 0,
      holdUntil: 0,
      lastUsedAt: performance.now(),
      sent: 0,
      have: 0,
    };
    this.#places.set(pack, place);
    place.opened.then(
      (open) => {
        place.open = open;
        open.swarm.urge(this.#options.isUrgent(pack));
        const announce = (isHungry: boolean): void => {
          if (this.#places.get(pack) === place) this.#options.announce(pack, true, isHungry);
        };
        open.swarm.onSeek(() => announce(true));
        announce(false);
      },
      (error: unknown) => {
        this.#options.log.warn({ pack, err: error }, "pack cannot be opened");
        if (this.#places.get(pack) === place) this.#places.delete(pack);
      },
    );
    return place;
  }

  #with(pack: string, use: (open: ShelvedPack) => void): void {
    const place = this.#places.get(pack);
    if (place === undefined) return;
    place.opened.then(
      (open) => {
        if (this.#places.get(pack) !== place) return;
        try {
          use(open);
        } catch (error) {
          this.#options.log.warn({ pack, err: error }, "the relay told something unusable");
        }
      },
      () => {},
    );
  }

  #look(): void {
    if (this.#isClosing) return;
    for (const [pack, place] of this.#places) {
      if (place.open === undefined) continue;
      const { have } = place.open.swarm.progress();
      if (isHungry(place.open) && have === place.have) this.#options.announce(pack, true, true);
      place.have = have;
    }
    this.#keepBudget();
  }

  #keepBudget(): void {
    const now = performance.now();
    const idle = [...this.#places].flatMap(([pack, place]) => {
      const { users, open, lastUsedAt, holdUntil } = place;
      if (users > 0 || open === undefined) return [];
      return [{ pack, place, bytes: open.bytesHeld, lastUsedAt, holdUntil }];
    });
    const isBusy = ({ place }: { place: Place }): boolean => this.#isBusy(place, now);
    for (const { pack } of packsToDrop(idle, now, this.#cacheBytesMax, isBusy)) {
      this.drop(pack).catch((error: unknown) => {
        this.#options.log.warn({ pack, err: error }, "pack cannot be dropped");
      });
    }
  }

  /** Whether others fetched from it since the last look, and not for too long already. */
  #isBusy(place: Place, now: number): boolean {
    const { sent } = place.open?.swarm.bytes ?? { sent: 0 };
    const isSending = sent > place.sent;
    place.sent = sent;
    return isSending && now - place.lastUsedAt < OVER_BUDGET_MS_MAX;
  }
}

function isHungry(open: ShelvedPack): boolean {
  const { bytesHave, bytesWanted } = open.swarm.progress();
  return bytesHave < bytesWanted;
}
