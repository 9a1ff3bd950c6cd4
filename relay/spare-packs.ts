// Packs that the region's store keeps though its machines do not need them now, while the budget allows: a release that
// is rolled out again need not come from the origin again. The list is on disk, so that only what this relay knows is ever
// deleted here. A spare pack that the origin has no more was collected, and goes.
import { join } from "node:path";
import { planSpares, type SparePack } from "../core/fleet/spare-packs.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import type { Log } from "../runtime/log.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";
import { sealKey } from "../runtime/release/pack-keys.ts";
import { gauge } from "../runtime/telemetry.ts";

/** Between two looks at the budget. */
const LOOK_MS = 5_000;
/** Spare packs asked for at the origin in one look: two a second, 1,000 of them in 8 min. */
const ASKED_PER_LOOK = 10;

export interface SparePacksOptions {
  readonly root: string;
  readonly origin: BlobStore;
  /** What the region's store may hold; 0: nothing that is not needed. */
  readonly budgetBytes: number;
  readonly neededBytes: () => number;
  /** Whether a leader has told all that is needed: else a pack may be needed again, and only others have heard. */
  readonly isInformed: () => boolean;
  /** Deletes a pack from the region's store. */
  readonly drop: (pack: string) => void;
  readonly log: Log;
}

export class SparePacks {
  readonly #options: SparePacksOptions;
  readonly #spares = new Map<string, SparePack>();
  readonly #timer: NodeJS.Timeout;
  #overBytes = 0;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: SparePacksOptions) {
    this.#options = options;
    for (const spare of readJson<SparePack[]>(this.#path) ?? [])
      this.#spares.set(spare.pack, spare);
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    const bytes = (): number => [...this.#spares.values()].reduce((sum, one) => sum + one.bytes, 0);
    gauge("millrace.relay.spare", "Bytes kept in the region's store and not needed", bytes, "By");
    const over = (): number => this.#overBytes;
    gauge("millrace.relay.store_over", "Bytes needed beyond the region's budget", over, "By");
  }

  /** Whether packs that are not needed are kept at all. */
  get isKeeping(): boolean {
    return this.#options.budgetBytes > 0;
  }

  /** What is wrong, for people; empty: nothing. */
  get trouble(): string {
    if (this.#overBytes === 0) return "";
    return (
      `what the region needs takes ${formatBytes(this.#overBytes)} more than its budget of ` +
      `${formatBytes(this.#options.budgetBytes)}: raise --region-budget`
    );
  }

  /** A whole pack is not needed any more. */
  add(pack: string, bytes: number): void {
    this.#spares.set(pack, { pack, bytes, sinceMs: Date.now() });
    this.#write();
    this.look();
  }

  /** A pack is needed again; false where it was no spare one. */
  take(pack: string): boolean {
    const was = this.#spares.delete(pack);
    if (was) this.#write();
    return was;
  }

  /** Lets go what there is no room for, and looks at the origin for some. */
  look(): void {
    this.makeRoom();
    if (this.#options.isInformed()) this.#looking = this.#looking.then(() => this.#askOrigin());
  }

  /** Lets go what the budget has no room for, and finds out whether what is needed is within it. */
  makeRoom(): void {
    const { budgetBytes, neededBytes, isInformed, log } = this.#options;
    if (!this.isKeeping && this.#spares.size === 0) return;
    const plan = planSpares([...this.#spares.values()], neededBytes(), budgetBytes);
    const overBytes = this.isKeeping ? plan.overBytes : 0;
    const wasOver = this.#overBytes > 0;
    this.#overBytes = overBytes;
    if (!wasOver && overBytes > 0) log.error({ overBytes, budgetBytes }, this.trouble);
    if (wasOver && overBytes === 0) log.info({ budgetBytes }, "within the region's budget again");
    if (!isInformed()) return;
    for (const { pack } of plan.evicted)
      this.#evict(pack, "the region's budget has no room for it");
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  get #path(): string {
    return join(this.#options.root, "spare-packs.json");
  }

  /** Those that were not asked for longest come first. */
  async #askOrigin(): Promise<void> {
    const { origin, isInformed, log } = this.#options;
    for (const spare of [...this.#spares.values()].slice(0, ASKED_PER_LOOK)) {
      const { pack } = spare;
      try {
        const seal = await origin.head(sealKey(pack));
        if (this.#spares.get(pack) !== spare) continue;
        this.#spares.delete(pack);
        this.#spares.set(pack, spare);
        if (seal === undefined && isInformed()) this.#evict(pack, "it was collected at the origin");
      } catch (error) {
        log.debug({ err: error, pack }, "origin not asked for a spare pack");
        return;
      }
    }
  }

  #evict(pack: string, why: string): void {
    if (!this.take(pack)) return;
    this.#options.log.info({ pack, why }, "a spare pack goes");
    this.#options.drop(pack);
  }

  /** A list that cannot be written is behind: then a pack is left behind at worst, until it is needed again. */
  #write(): void {
    try {
      writeJson(this.#path, [...this.#spares.values()]);
    } catch (error) {
      this.#options.log.warn({ err: error }, "could not keep the list of spare packs");
    }
  }
}
