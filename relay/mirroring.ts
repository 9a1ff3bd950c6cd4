// Carries out what core/fleet/mirror.ts commands: copies segments and seals, looks at the region's
// store, and opens and closes a room for each pack. What packs there are is kept on disk.
import { rmSync } from "node:fs";
import { join } from "node:path";
import {
  Mirror,
  type MirrorEffect,
  type MirrorInput,
  type MirrorLimits,
} from "../core/fleet/mirror.ts";
import { isWhole } from "../core/fleet/mirror-pack.ts";
import type { PackProgress, PackReplica } from "../proto/gen/millrace/v1/fleet.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import { Driver } from "../runtime/driver.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import type { Introduction } from "../runtime/peer/swarm.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";
import { type Drain, endedOr } from "../runtime/program/lifecycle.ts";
import { packPrefix, sealKey, segmentKey } from "../runtime/release/pack-keys.ts";
import { counter } from "../runtime/telemetry.ts";
import { type Copy, copySeal, copySegment, footerOf } from "./copy-segment.ts";
import { PackRoom } from "./pack-room.ts";
import { SparePacks } from "./spare-packs.ts";

/** How long the list of packs may be behind on disk: a restart hears it again from the leader. */
const KEEP_DELAY_MS = 500;
/** How long siblings may stay unknown, the control plane being away, before all is pulled alone. */
const ALONE_MS = 5_000;
/** Characters of an error in a report. */
const ERROR_MAX = 500;

export interface MirroringOptions {
  readonly relayId: string;
  readonly root: string;
  readonly origin: BlobStore;
  readonly region: BlobStore;
  /** How segments are pulled from the origin. */
  readonly mirrorLimits: MirrorLimits;
  /** What the region's store may hold; 0: what is needed, and nothing else. */
  readonly budgetBytes: number;
  /** A leader has told all that is needed, and lives. */
  readonly isInformed: () => boolean;
  readonly node: SwarmNode;
  /** A pack goes before others; `urgencyChanged` is to be called when that may have changed. */
  readonly isUrgent: (pack: string) => boolean;
  readonly log: Log;
  /** More of a pack's rows are known, or that they are all. */
  readonly onRows: (room: PackRoom) => void;
  /** Something that a report tells has changed. */
  readonly onChange: () => void;
  /** The region's store has a whole pack. */
  readonly onWhole: () => void;
}

/** Mirrors all packs that the region needs. */
export class Mirroring {
  readonly #options: MirroringOptions;
  readonly #mirror: Mirror;
  readonly #driver: Driver<MirrorInput, MirrorEffect>;
  readonly #rooms = new Map<string, PackRoom>();
  readonly #roomErrors = new Map<string, string>();
  readonly #dropping = new Map<string, Promise<void>>();
  /** What was told of a pack while its former blobs were still being deleted. */
  /** Packs that stay in the region's store when their rooms are left. */
  readonly #sparing = new Set<string>();
  readonly #spares: SparePacks;
  readonly #afterDrop = new Map<string, PackProgress>();
  readonly #progress = new Map<string, PackProgress>();
  readonly #bytes = counter("millrace.relay.mirrored", "Bytes copied from the origin", "By");
  #apart: readonly Introduction[] = [];
  readonly #aloneTimer: NodeJS.Timeout;
  #keepTimer: NodeJS.Timeout | undefined;
  readonly #pulls = new Set<Promise<void>>();
  #isStopped = false;

  constructor(options: MirroringOptions) {
    this.#options = options;
    this.#mirror = new Mirror(options.relayId, Math.random, options.mirrorLimits);
    this.#driver = new Driver(this.#mirror, { perform: (effect) => this.#perform(effect) });
    this.#spares = new SparePacks({
      ...options,
      neededBytes: () => this.#neededBytes,
      drop: (pack) => this.#leave(pack, () => this.#delete(pack)),
    });
    this.#aloneTimer = setTimeout(() => this.siblings([options.relayId], []), ALONE_MS);
    rmSync(this.#spool, { recursive: true, force: true });
  }

  /** Goes on with the packs that were known before a restart. */
  resume(): void {
    for (const progress of readJson<PackProgress[]>(this.#keptPath) ?? []) this.told(progress);
  }

  room(pack: string): PackRoom | undefined {
    return this.#rooms.get(pack);
  }

  /** Ids of all packs. */
  get packs(): Iterable<string> {
    return this.#progress.keys();
  }

  /** Takes what the origin has of a pack, or that nobody needs it any more. */
  told(progress: PackProgress): void {
    const { pack, segments, sealed, dropped, spare } = progress;
    if (dropped) {
      this.drop(pack, spare);
      return;
    }
    this.#spares.take(pack);
    this.#keep(() => this.#progress.set(pack, progress));
    if (this.#dropping.has(pack)) {
      this.#afterDrop.set(pack, progress);
      return;
    }
    const room = this.#rooms.get(pack) ?? this.#open(pack);
    room.told(segments, sealed);
    this.#driver.input({ kind: "told", pack, segments, sealed });
  }

  /** Other packs than before may be urgent. */
  urgencyChanged(): void {
    for (const [pack, { swarm }] of this.#rooms) swarm.urge(this.#options.isUrgent(pack));
  }

  /** Deletes a pack here; a whole one that is `spare` may stay while there is room. */
  drop(pack: string, spare: boolean): void {
    this.#afterDrop.delete(pack);
    const mirrored = this.#mirror.packs().get(pack);
    if (spare && this.#spares.isKeeping && mirrored !== undefined && isWhole(mirrored)) {
      this.#sparing.add(pack);
    }
    if (this.#progress.has(pack)) this.#keep(() => this.#progress.delete(pack));
    this.#driver.input({ kind: "dropped", pack });
  }

  /** Takes the live relays of the region; `apart` have a region store of their own. */
  siblings(relays: readonly string[], apart: readonly Introduction[]): void {
    clearTimeout(this.#aloneTimer);
    this.#apart = apart;
    for (const room of this.#rooms.values()) room.introduce(apart);
    this.#driver.input({ kind: "relays", relays, apart: apart.map(({ peerId }) => peerId) });
  }

  /** How much of each pack the region's store holds. */
  replicas(): PackReplica[] {
    return [...this.#mirror.packs().values()].map((pack) => {
      const errors = [...pack.errors.values(), this.#roomErrors.get(pack.id) ?? ""];
      const error = errors.find((one) => one !== "") ?? this.#spares.trouble;
      return {
        pack: pack.id,
        segments: pack.stored,
        whole: isWhole(pack),
        bytes: this.#rooms.get(pack.id)?.storedBytes ?? 0,
        error: error.slice(0, ERROR_MAX),
      };
    });
  }

  /** Begins nothing more; what is being pulled comes to its end unless the time is over before. */
  async stop({ over }: Drain): Promise<void> {
    this.#isStopped = true;
    this.#driver.stop();
    await endedOr(over, Promise.all(this.#pulls));
    clearTimeout(this.#keepTimer);
    clearTimeout(this.#aloneTimer);
    this.#write();
    await Promise.all([...this.#rooms.values()].map((room) => room.leave()));
    await Promise.all([...this.#dropping.values(), this.#spares.stop()]);
  }

  get #neededBytes(): number {
    return [...this.#rooms.values()].reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  }

  get #spool(): string {
    return join(this.#options.root, "spool");
  }

  get #keptPath(): string {
    return join(this.#options.root, "packs.json");
  }

  #open(pack: string): PackRoom {
    const { origin, region, node, isUrgent, log, onRows, onChange } = this.#options;
    const room = new PackRoom({
      pack,
      origin,
      region,
      log,
      spool: this.#spool,
      join: (id, store) => node.join(id, store, [], isUrgent(id)),
      onRows: () => {
        this.#roomErrors.delete(pack);
        onRows(room);
        onChange();
      },
      onSpooled: (segment) => this.#driver.input({ kind: "stored", pack, segment, by: "swarm" }),
      onError: (error) => {
        this.#roomErrors.set(pack, error);
        onChange();
      },
      renew: (segment) => this.#renew(room, segment),
    });
    room.introduce(this.#apart);
    this.#rooms.set(pack, room);
    return room;
  }

  #perform(effect: MirrorEffect): void {
    const room = this.#rooms.get(effect.pack);
    if (room === undefined) return;
    switch (effect.kind) {
      case "pull":
        this.#begin(room, this.#pull(room, effect.segment));
        break;
      case "look":
        room.work(this.#look(room));
        break;
      case "copy-seal":
        room.work(this.#copySeal(room));
        break;
      case "fetch":
        room.fetch(effect.segment);
        break;
      case "serve":
        room.stored(effect.segment);
        this.#options.onChange();
        break;
      case "drop":
        this.#dropRoom(room);
        break;
      default:
        effect satisfies never;
    }
  }

  #begin(room: PackRoom, pull: Promise<void>): void {
    room.work(pull);
    this.#pulls.add(pull);
    void pull.finally(() => this.#pulls.delete(pull));
  }

  async #pull(room: PackRoom, segment: number): Promise<void> {
    const { pack } = room;
    try {
      const outcome = await copySegment(this.#copy(room), segment);
      if (outcome === "stored") failpoint("relay.after-segment-stored");
      this.#options.log.debug({ pack, segment, outcome }, "mirrored a segment");
      this.#driver.input({ kind: "stored", pack, segment, by: "pull" });
    } catch (error) {
      this.#failed(room, segment, segmentKey(pack, segment), error as Error);
    }
  }

  /** What has rotted is deleted only when the origin can give it. */
  async #renew(room: PackRoom, segment: number): Promise<void> {
    const { origin, region } = this.#options;
    await footerOf(origin, room.pack, segment);
    await region.delete(segmentKey(room.pack, segment));
    await copySegment(this.#copy(room), segment);
    this.#roomErrors.delete(room.pack);
  }

  async #look(room: PackRoom): Promise<void> {
    const { pack } = room;
    try {
      const { blobs } = await this.#options.region.list(packPrefix(pack));
      const names = blobs.map(({ key }) => key.slice(packPrefix(pack).length));
      const segments = names
        .filter((name) => /^s-\d{6}$/.test(name))
        .map((name) => Number(name.slice(2)));
      const sealed = blobs.some(({ key }) => key === sealKey(pack));
      this.#driver.input({ kind: "found", pack, segments, sealed });
    } catch (error) {
      this.#failed(room, "look", packPrefix(pack), error as Error);
    }
  }

  async #copySeal(room: PackRoom): Promise<void> {
    const { pack } = room;
    const segments = this.#mirror.packs().get(pack)?.segments.length ?? 0;
    await room.whenKnown(segments);
    try {
      await copySeal(this.#copy(room), room.footers);
      this.#options.log.info({ pack, segments }, "mirrored a whole pack");
      this.#driver.input({ kind: "seal-stored", pack });
      this.#spares.makeRoom();
      this.#options.onWhole();
    } catch (error) {
      this.#failed(room, "seal", sealKey(pack), error as Error);
    }
  }

  #copy({ pack, signal }: PackRoom): Copy {
    const { origin, region } = this.#options;
    const onBytes = (bytes: number): void => this.#bytes.add(bytes);
    return { source: origin, target: region, pack, signal, onBytes };
  }

  #failed(
    { pack, signal }: PackRoom,
    segment: number | "seal" | "look",
    key: string,
    error: Error,
  ): void {
    if (!signal.aborted)
      this.#options.log.warn({ err: error, key }, "mirroring failed, will retry");
    this.#driver.input({ kind: "failed", pack, segment, error: error.message });
    this.#options.onChange();
  }

  #dropRoom(room: PackRoom): void {
    const { pack, storedBytes } = room;
    this.#rooms.delete(pack);
    this.#roomErrors.delete(pack);
    const isSpare = this.#sparing.delete(pack);
    this.#leave(pack, async () => {
      await room.leave();
      if (isSpare && !this.#afterDrop.has(pack)) this.#spares.add(pack, storedBytes);
      else if (!isSpare) await this.#delete(pack);
    });
    this.#options.onChange();
  }

  /** What is told of the pack meanwhile waits for the end of the work. */
  #leave(pack: string, work: () => Promise<void>): void {
    const dropping = work().finally(() => {
      this.#dropping.delete(pack);
      const next = this.#afterDrop.get(pack);
      this.#afterDrop.delete(pack);
      if (next !== undefined && !this.#isStopped) this.told(next);
    });
    this.#dropping.set(pack, dropping);
  }

  /** Deletes the seal first, so that a part of a pack never looks whole. */
  async #delete(pack: string): Promise<void> {
    const { region, log } = this.#options;
    try {
      await region.delete(sealKey(pack));
      const { blobs } = await region.list(packPrefix(pack));
      for (const { key } of blobs) await region.delete(key);
      log.info({ pack, blobs: blobs.length }, "dropped a pack");
    } catch (error) {
      log.warn({ err: error, pack }, "could not delete a pack; it is left behind");
    }
  }

  /** Changes the list of packs and has it written soon. */
  #keep(change: () => void): void {
    change();
    this.#keepTimer ??= setTimeout(() => {
      this.#keepTimer = undefined;
      this.#write();
    }, KEEP_DELAY_MS);
  }

  /** A list that cannot be written is behind; only a restart without a leader would miss it. */
  #write(): void {
    try {
      writeJson(this.#keptPath, [...this.#progress.values()]);
    } catch (error) {
      this.#options.log.warn({ err: error }, "could not keep the list of packs");
    }
  }
}
