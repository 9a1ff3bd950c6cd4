// Brings one release to disk: joins the swarms of its packs, gets manifest and layout, asks for the
// pieces that nothing here makes up for, and puts the tree together while they come. It ends with the
// whole tree under its name, or with nothing but the pieces that came.
import { chmodSync, existsSync } from "node:fs";
import { join } from "node:path";
import { DIGEST_BYTES } from "../../core/release/limits.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { Extent, Layout, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BytesGot } from "../../runtime/agent/wire.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { PiecesChangedError } from "../../runtime/peer/disk-piece-store.ts";
import { RottenPieceError } from "../../runtime/peer/piece-store.ts";
import { readManifestTotals } from "../../runtime/release/manifest-reader.ts";
import { type MetaKind, readMeta } from "../../runtime/release/read-meta.ts";
import { walkRelease } from "../../runtime/release/walk-release.ts";
import type { ServiceFolder } from "../service-folder.ts";
import type { PackShelf } from "../swarm/pack-shelf.ts";
import { type ShelvedPack, WrongTableError } from "../swarm/shelved-pack.ts";
import { assemble } from "./assemble.ts";
import { InstalledChunks } from "./installed-chunks.ts";
import { PieceReader, type ReadablePack } from "./piece-reader.ts";
import { TreeWriter } from "./tree-writer.ts";
import { findWholeFile, type WholeFile } from "./whole-file.ts";

/** Pieces of an attempt that failed are kept for the next, which comes within half a minute. */
const RETRY_HOLD_MS = 300_000;

/** The release cannot be put together from what its record names, here or anywhere. */
export class ReleaseFault extends Error {
  override readonly name = "ReleaseFault";
}

export interface StagingOptions {
  readonly record: Release;
  readonly folder: ServiceFolder;
  readonly shelf: PackShelf;
  /** Made for this attempt, deleted by whoever made it. */
  readonly workFolder: string;
  /** Release installed here to take chunks from. */
  readonly base: string | undefined;
  readonly signal: AbortSignal;
  /** Every piece that is needed is here. */
  readonly fetched: () => void;
  /** The tree is whole and becomes a release now. */
  readonly adopting: () => void;
}

/** How far it is; read whenever somebody asks. */
export interface StagingProgress {
  readonly bytes: BytesGot;
  /** Encoded bytes of pieces that are still to come. */
  readonly missingBytes: number;
}

/** One attempt. */
export class StagingAttempt {
  readonly #options: StagingOptions;
  readonly #layout: Layout;
  readonly #taken: ShelvedPack[] = [];
  #localBytes = 0;
  #writtenBytes = 0;

  /** Throws ReleaseFault for a record that lacks what staging needs. */
  constructor(options: StagingOptions) {
    this.#options = options;
    const { layout } = options.record;
    if (layout?.manifest === undefined || layout.table === undefined || layout.packs.length === 0) {
      throw new ReleaseFault(`the record of release ${options.record.release} has no layout`);
    }
    this.#layout = layout;
  }

  get progress(): StagingProgress {
    let relay = 0;
    let peer = 0;
    let missingBytes = 0;
    for (const pack of this.#taken) {
      const { fromRelay, fromPeers } = pack.bytesUncounted();
      const { bytesWanted, bytesHave } = pack.swarm.progress();
      relay += fromRelay;
      peer += fromPeers;
      missingBytes += Math.max(0, bytesWanted - bytesHave);
    }
    return { bytes: { relay, peer, local: this.#localBytes }, missingBytes };
  }

  /** Bytes this attempt got, once it has ended; the next attempt does not count them again. */
  settle(): BytesGot {
    const { bytes } = this.progress;
    for (const pack of this.#taken) pack.markCounted();
    return bytes;
  }

  /** Stages; rejects with ReleaseFault where trying again is of no use. */
  async run(): Promise<void> {
    const { shelf } = this.#options;
    let holdMs = RETRY_HOLD_MS;
    try {
      for (const { pack } of this.#layout.packs) this.#taken.push(await shelf.take(pack));
      for (const pack of this.#taken) pack.swarm.resume();
      await this.#stage();
      holdMs = 0;
    } catch (error) {
      // The next attempt reads them again; what came over the network it need not get again.
      this.#localBytes = 0;
      throw await this.#judged(error);
    } finally {
      for (const { pack } of this.#taken) shelf.release(pack, holdMs);
    }
  }

  async #stage(): Promise<void> {
    const { record, folder, workFolder, base, signal } = this.#options;
    const packs = await this.#tables();
    const reader = new PieceReader(packs, signal);
    const manifest = await this.#meta("manifest", this.#layout.manifest as Extent, packs, reader);
    const layout = await this.#meta("layout", this.#layout.table as Extent, packs, reader);
    const chunks = await this.#openBase(base);
    let writer: TreeWriter | undefined;
    try {
      const needed = await neededPieces(manifest, layout, packs, chunks);
      this.#want(packs, needed);
      const { bytes } = await readManifestTotals(manifest);
      const root = join(workFolder, "tree");
      writer = new TreeWriter(root);
      const whole = await findWholeFile(manifest, layout, packs);
      if (whole !== undefined && needed[whole.packIndex]?.length === whole.pieces.length) {
        await this.#takeWhole(whole, packs, writer);
      } else {
        await assemble({
          manifest,
          layout,
          packs,
          reader,
          base: chunks,
          writer,
          signal,
          progressed: (plainBytes) => this.#progressed(plainBytes, bytes),
          foundLocally: (plainBytes) => {
            this.#localBytes += plainBytes;
          },
        });
      }
      signal.throwIfAborted();
      this.#options.adopting();
      folder.adopt(root, record.release);
    } finally {
      writer?.end();
      chunks?.close();
    }
  }

  /** The pieces are the file: it gets its name once all of them are here. */
  async #takeWhole(
    { entry, packIndex, pieces }: WholeFile,
    packs: readonly ReadablePack[],
    writer: TreeWriter,
  ): Promise<void> {
    const { pack } = packs[packIndex] as ReadablePack;
    for (const piece of pieces) await pack.whenHas(piece, this.#options.signal);
    const path = writer.reserve(entry);
    await pack.store.lend(path);
    chmodSync(path, entry.mode);
    this.#progressed(entry.size, entry.size);
  }

  #tables(): Promise<ReadablePack[]> {
    const refs = this.#layout.packs;
    return Promise.all(
      this.#taken.map(async (pack, i) => {
        const table = await pack.whenTable(refs[i] as (typeof refs)[number], this.#options.signal);
        return { pack, table };
      }),
    );
  }

  /** The manifest or layout file, from its pieces unless it is here already. */
  async #meta(
    kind: MetaKind,
    extent: Extent,
    packs: readonly ReadablePack[],
    reader: PieceReader,
  ): Promise<string> {
    const { record, folder } = this.#options;
    const path = join(folder.metaPath(record.release), kind);
    if (existsSync(path)) return path;
    const { pack, table } = packs[extent.pack] ?? {};
    if (pack === undefined || table === undefined) {
      throw new ReleaseFault(`the ${kind} lies in pack ${extent.pack}, which the layout lacks`);
    }
    if (kind === "manifest" && toHex(extent.digest) !== record.release) {
      throw new ReleaseFault(`the manifest named by release ${record.release} is another one`);
    }
    pack.swarm.want(Array.from({ length: extent.pieces }, (_, i) => extent.firstPiece + i));
    const piece = (index: number, number: number) => reader.encoded(index, number);
    await readMeta({ kind, extent, table, piece }, path);
    return path;
  }

  async #openBase(base: string | undefined): Promise<InstalledChunks | undefined> {
    const { folder, workFolder } = this.#options;
    if (base === undefined) return undefined;
    const manifest = join(folder.metaPath(base), "manifest");
    if (!existsSync(manifest)) return undefined;
    return InstalledChunks.open(manifest, folder.releasePath(base), join(workFolder, "base-paths"));
  }

  #want(packs: readonly ReadablePack[], needed: readonly number[][]): void {
    for (const [i, { pack }] of packs.entries()) pack.swarm.want(needed[i] as number[]);
    const all = packs.map(({ pack }, i) => pack.swarm.whenHas(needed[i] as number[]));
    Promise.all(all).then(
      () => {
        failpoint("agent.after-fetch");
        this.#options.fetched();
      },
      () => {},
    );
  }

  #progressed(plainBytes: number, totalBytes: number): void {
    const half = totalBytes / 2;
    const isHalf = this.#writtenBytes < half && this.#writtenBytes + plainBytes >= half;
    this.#writtenBytes += plainBytes;
    if (isHalf) failpoint("agent.mid-stage");
  }

  /**
   * Bytes that are not what their digests say: a piece that has rotted on this disk is dropped and
   * fetched again; if none has, the release is wrong for everyone.
   */
  async #judged(error: unknown): Promise<unknown> {
    const { shelf } = this.#options;
    if (error instanceof WrongTableError) {
      for (const { pack } of this.#layout.packs) await shelf.drop(pack);
      return error;
    }
    const isGone = error instanceof PiecesChangedError || error instanceof RottenPieceError;
    if (!isGone && !(error instanceof WireError)) return error;
    const held = this.#taken.map(({ bytesHeld }) => bytesHeld);
    for (const { pack } of this.#taken) await shelf.verify(pack);
    for (const [i, { pack }] of this.#taken.entries()) {
      const again = await shelf.take(pack);
      shelf.release(pack);
      if (again.bytesHeld < (held[i] as number)) {
        return new Error(`a piece of pack ${pack} had rotted on disk: ${error.message}`);
      }
    }
    if (isGone) return error;
    return new ReleaseFault(`release ${this.#options.record.release} is wrong: ${error.message}`);
  }
}

/** Per pack, the pieces that hold chunks which no installed release has. */
async function neededPieces(
  manifest: string,
  layout: string,
  packs: readonly ReadablePack[],
  base: InstalledChunks | undefined,
): Promise<number[][]> {
  const needed = packs.map(({ table }) => new Uint8Array(table.count));
  for await (const parts of walkRelease(manifest, layout, packs.length)) {
    for (const { digests, places } of parts) {
      for (let i = 0; i < places.length; i += 1) {
        const { pack, piece } = places[i] as (typeof places)[number];
        const pieces = needed[pack] as Uint8Array;
        if (piece >= pieces.length) throw new WireError(`piece ${piece} is named`, layout);
        if (pieces[piece] === 0 && base?.has(digests, i * DIGEST_BYTES) !== true) pieces[piece] = 1;
      }
    }
  }
  return needed.map((pieces) => {
    const numbers: number[] = [];
    for (let piece = 0; piece < pieces.length; piece += 1) if (pieces[piece]) numbers.push(piece);
    return numbers;
  });
}

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
