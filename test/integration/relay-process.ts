// Real relay processes over file: stores in a temporary folder, and packs to mirror.
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { PieceTable } from "../../core/release/piece-table.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { readMetric } from "../../runtime/program/read-metric.ts";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import { encodeSeal, makeSeal } from "../../runtime/release/seal.ts";
import { SegmentWriter } from "../../runtime/release/segment-writer.ts";
import { samplePieces } from "../contracts/sample-pieces.ts";
import { startProgram } from "../lab/start-program.ts";
import { ScriptedControlPlane } from "./scripted-control-plane.ts";

interface Ready {
  readonly id: string;
  readonly address: string;
  readonly swarm: string;
  readonly metrics: number;
}

export interface RelayStart {
  readonly name: string;
  readonly origin?: string;
  readonly controlplane?: string;
  readonly regionStore?: string;
  readonly failpoint?: string;
  readonly capacity?: number;
  readonly regionBudget?: number;
}

/** A relay that runs. */
export interface RelayProcess extends Ready {
  readonly process: ChildProcess;
  /** Ends it; resolves with its exit code, or null where the signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

/** A control plane, an origin, and what belongs to them. */
export class RelayWorld {
  readonly root: string;
  readonly control: ScriptedControlPlane;
  readonly origin: BlobStore;
  readonly #relays = new Set<RelayProcess>();
  readonly #stores: BlobStore[] = [];

  private constructor(root: string, control: ScriptedControlPlane, origin: BlobStore) {
    this.root = root;
    this.control = control;
    this.origin = origin;
    this.#stores.push(origin);
  }

  static async start(epoch = 1): Promise<RelayWorld> {
    const root = mkdtempSync(join(tmpdir(), "millrace-relay-"));
    const origin = await openBlobStore(`file:${join(root, "origin")}`);
    return new RelayWorld(root, await ScriptedControlPlane.start(epoch), origin);
  }

  /** URL of a store by its name, or by its path where that is absolute. */
  url(name: string): string {
    return `file:${resolve(this.root, name)}`;
  }

  /** A store of this world, for the test's own use. */
  async store(name: string): Promise<BlobStore> {
    const store = await openBlobStore(this.url(name));
    this.#stores.push(store);
    return store;
  }

  /** Starts a relay process and waits until it is ready. */
  async relay(start: RelayStart): Promise<RelayProcess> {
    const flags = [
      ...["--region", "eu", "--controlplane", start.controlplane ?? this.control.address],
      ...["--root", join(this.root, start.name)],
      ...["--origin", this.url(start.origin ?? "origin")],
      ...["--region-store", this.url(start.regionStore ?? "eu")],
      ...["--listen", "127.0.0.1:0", "--swarm-listen", "127.0.0.1:0", "--metrics-port", "0"],
      ...["--capacity", String(start.capacity ?? 100)],
      ...["--region-budget", String(start.regionBudget ?? 0)],
    ];
    const env = { MILLRACE_FAILPOINT: start.failpoint ?? "", MILLRACE_LOG: "warn" };
    const program = await startProgram<Ready>("relay", flags, env);
    const relay: RelayProcess = {
      ...program.ready,
      process: program.process,
      exited: program.exited.then(([code]) => code),
      end: (signal) => program.end(signal).then(([code]) => code),
    };
    this.#relays.add(relay);
    return relay;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#relays].map((relay) => relay.end("SIGKILL")));
    this.control.stop();
    await Promise.all(this.#stores.map((store) => store.close()));
    rmSync(this.root, { recursive: true, force: true });
  }
}

export interface SamplePack {
  readonly pack: string;
  readonly segments: number;
  readonly pieces: readonly Buffer[];
  readonly rows: Uint8Array;
  readonly bytes: number;
}

/** Writes a sealed pack of incompressible pieces, so many in each segment. */
export async function writePack(
  store: BlobStore,
  pack: string,
  { pieces: count, pieceBytes, perSegment }: Record<"pieces" | "pieceBytes" | "perSegment", number>,
): Promise<SamplePack> {
  const { pieces, rows } = samplePieces(new Array<number>(count).fill(pieceBytes), count);
  const table = new PieceTable(rows, pack);
  const bodyBytesMax = perSegment * pieceBytes;
  const writer = new SegmentWriter({ store, pack, bodyBytesMax, onStored: () => {} });
  // The writer frees what it is given.
  for (const [index, piece] of pieces.entries()) {
    await writer.add(new Uint8Array(piece), table.row(index));
  }
  const { segments } = await writer.finish();
  await store.put(sealKey(pack), encodeSeal(makeSeal(pack, segments, rows)));
  return { pack, segments: segments.length, pieces, rows, bytes: count * pieceBytes };
}

/** Value of one of a relay's counters. */
export function metric(relay: RelayProcess, name: string): Promise<number> {
  return readMetric(relay.metrics, name);
}
