// A simulated relay's part in mirroring: carries out what the real mirror commands, between two blob stores, and
// gives the swarm each piece that has come. A segment that is not what the origin was given is found out.
import { Mirror, type MirrorEffect, type MirrorInput } from "../../core/fleet/mirror.ts";
import { isWhole } from "../../core/fleet/mirror-pack.ts";
import type { Replica } from "../../core/fleet/replicas.ts";
import type { BlobModel } from "./blobs.ts";
import { type Ground, type Process, Stepper } from "./process.ts";
import { type RegionPacks, SEGMENT_BYTES } from "./region-packs.ts";

/** How long siblings may stay unknown, the control plane being away, before all is pulled alone. */
const ALONE_MS = 5_000;

export interface RelayMirrorOptions {
  readonly ground: Ground;
  readonly relay: string;
  readonly process: Process;
  readonly origin: BlobModel;
  readonly regionStore: BlobModel;
  readonly packs: RegionPacks;
  readonly onChange: () => void;
  /** The region's store has a whole pack. */
  readonly onWhole: () => void;
}

export const segmentKey = (pack: string, segment: number): string => `${pack}/s-${segment}`;
export const sealKey = (pack: string): string => `${pack}/seal`;

/** What a segment holds where nothing went wrong. */
export const contentOf = (pack: string, segment: number): string => `${pack}#${segment}`;

export class RelayMirror {
  readonly #options: RelayMirrorOptions;
  readonly #mirror: Mirror;
  readonly #stepper: Stepper<MirrorInput, MirrorEffect>;
  readonly #life: number;
  #isInformed = false;
  #isStopped = false;

  constructor(options: RelayMirrorOptions) {
    this.#options = options;
    const { process, ground, relay } = options;
    this.#life = process.life;
    this.#mirror = new Mirror(relay, ground.random);
    this.#stepper = new Stepper(process, "mirror", this.#mirror, (effect) => this.#perform(effect));
    process.after(ALONE_MS, () => {
      if (!this.#isInformed) this.siblings([relay]);
    });
  }

  told(pack: string, segments: number, sealed: boolean): void {
    this.#stepper.input({ kind: "told", pack, segments, sealed });
  }

  /** The pack is of no use to anybody. */
  drop(pack: string): void {
    this.#stepper.input({ kind: "dropped", pack });
  }

  siblings(relays: readonly string[]): void {
    this.#isInformed = true;
    this.#stepper.input({ kind: "relays", relays, apart: [] });
  }

  replicas(): readonly Replica[] {
    return [...this.#mirror.packs().values()].map((pack) => ({
      pack: pack.id,
      whole: isWhole(pack),
      bytes: pack.stored * SEGMENT_BYTES,
      error: [...pack.errors.values()][0] ?? "",
    }));
  }

  stop(): void {
    this.#isStopped = true;
    this.#stepper.stop();
  }

  #perform(effect: MirrorEffect): void {
    const { pack } = effect;
    switch (effect.kind) {
      case "look":
        this.#look(pack);
        return;
      case "pull":
        this.#pull(pack, effect.segment);
        return;
      case "copy-seal":
        this.#copySeal(pack);
        return;
      case "serve":
        this.#serve(pack, effect.segment);
        return;
      case "drop":
        this.#options.packs.drop(this.#options.relay, pack);
        return;
      case "fetch":
        return;
      default:
        effect satisfies never;
    }
  }

  #look(pack: string): void {
    const { regionStore } = this.#options;
    regionStore.list(`${pack}/`, (keys, error) =>
      this.#tell(() => {
        if (error !== undefined) return { kind: "failed", pack, segment: "look", error };
        const segments = keys.flatMap((key) => {
          const name = key.slice(pack.length + 1);
          return name.startsWith("s-") ? [Number(name.slice(2))] : [];
        });
        return { kind: "found", pack, segments, sealed: keys.includes(sealKey(pack)) };
      }),
    );
  }

  #pull(pack: string, segment: number): void {
    const { origin, regionStore } = this.#options;
    const key = segmentKey(pack, segment);
    const failed = (error: string) => ({ kind: "failed", pack, segment, error }) as const;
    origin.get(key, (content, error) => {
      // Each piece is compared with its digest on the way: what is not the pack's is not put.
      if (content !== contentOf(pack, segment)) {
        this.#tell(() => failed(error ?? "not there, or not what it should be"));
        return;
      }
      regionStore.put(key, content, SEGMENT_BYTES, (refused) =>
        this.#tell(() =>
          refused === undefined ? { kind: "stored", pack, segment, by: "pull" } : failed(refused),
        ),
      );
    });
  }

  #copySeal(pack: string): void {
    const { regionStore, onWhole } = this.#options;
    regionStore.put(sealKey(pack), "seal", 1, (error) => {
      if (error !== undefined) this.#tell(() => ({ kind: "failed", pack, segment: "seal", error }));
      else this.#tell(() => ({ kind: "seal-stored", pack }), onWhole);
    });
  }

  #serve(pack: string, segment: number): void {
    const { packs, regionStore, relay, origin } = this.#options;
    const key = segmentKey(pack, segment);
    // A piece that has rotted in the store is found when it is opened, and its segment is put anew.
    if (regionStore.peek(key) !== contentOf(pack, segment) && origin.peek(key) !== undefined) {
      regionStore.rot(key, contentOf(pack, segment));
    }
    const peer = packs.peer(relay, pack, "relay");
    for (const piece of packs.piecesOf(segment)) {
      if (!peer.held.has(piece)) packs.world.mirror(peer, piece);
    }
    this.#options.onChange();
  }

  #tell(fact: () => MirrorInput, onTold = this.#options.onChange): void {
    this.#options.process.deliver(this.#life, () => {
      if (this.#isStopped) return;
      this.#stepper.input(fact());
      onTold();
    });
  }
}
