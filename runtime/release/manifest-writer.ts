// Writes a manifest file frame by frame and hashes it as it goes. The same entries and rows always
// give the same bytes, as their digest is the release's identity. It checks nothing: the packer did.
import type { ReleaseEntry, ReleaseTotals } from "../../core/release/entry.ts";
import { DIGEST_BYTES, FRAME_BYTES_MAX } from "../../core/release/limits.ts";
import type { ManifestEntry, ManifestHeader } from "../../proto/gen/millrace/v1/release_format.ts";
import { EntryKind, ManifestSegment } from "../../proto/gen/millrace/v1/release_format.ts";
import { HashedFile } from "./hashed-file.ts";

/** Version of the manifest format. */
export const MANIFEST_FORMAT = 1;
/** A row takes 32 bytes of digest and a varint of at most 3 (256 KiB is 19 bits). */
const ROW_BYTES_MAX = DIGEST_BYTES + 3;
/** Tags, lengths, kind, mode, size and count of an entry, beside its path and target. */
const ENTRY_EXTRA_BYTES_MAX = 48;
/** Header, and the tags and lengths of the two row fields. */
const FRAME_EXTRA_BYTES_MAX = 128;
const KIND = {
  file: EntryKind.ENTRY_KIND_FILE,
  symlink: EntryKind.ENTRY_KIND_SYMLINK,
  directory: EntryKind.ENTRY_KIND_DIRECTORY,
} as const;

/** Takes the entries in order, each followed by its rows. */
export class ManifestWriter {
  readonly #file: HashedFile;
  readonly #digests = new Uint8Array(FRAME_BYTES_MAX);
  #header: ManifestHeader | undefined;
  #entries: ManifestEntry[] = [];
  #sizes: number[] = [];
  #estimate = FRAME_EXTRA_BYTES_MAX;

  /** Creates or empties the file at the path; the totals must be known already. */
  constructor(path: string, totals: ReleaseTotals) {
    this.#file = new HashedFile(path);
    this.#header = { format: MANIFEST_FORMAT, ...totals };
  }

  /** Adds an entry. */
  entry(entry: ReleaseEntry): void {
    const { path, mode, size, target, chunkCount } = entry;
    const bytes = Buffer.byteLength(path) + Buffer.byteLength(target) + ENTRY_EXTRA_BYTES_MAX;
    if (this.#estimate + bytes > FRAME_BYTES_MAX) this.#flush();
    this.#estimate += bytes;
    this.#entries.push({ path, kind: KIND[entry.kind], mode, size, target, chunkCount });
  }

  /** Adds a chunk row of the entry added last. */
  row(digest: Uint8Array, size: number): void {
    if (this.#estimate + ROW_BYTES_MAX > FRAME_BYTES_MAX) this.#flush();
    this.#estimate += ROW_BYTES_MAX;
    this.#digests.set(digest, this.#sizes.length * DIGEST_BYTES);
    this.#sizes.push(size);
  }

  /** Closes the file; its digest is the release id. */
  finish(): { readonly digest: Uint8Array; readonly bytes: number } {
    this.#flush();
    return this.#file.finish();
  }

  /** Closes the file without finishing it. */
  close(): void {
    this.#file.close();
  }

  #flush(): void {
    const message = ManifestSegment.encode({
      header: this.#header,
      entries: this.#entries,
      chunkDigests: Buffer.from(
        this.#digests.buffer,
        this.#digests.byteOffset,
        this.#sizes.length * DIGEST_BYTES,
      ),
      chunkSizes: this.#sizes,
      signature: Buffer.alloc(0),
    }).finish();
    const frame = Buffer.allocUnsafe(4 + message.length);
    frame.writeUInt32LE(message.length);
    frame.set(message, 4);
    this.#file.append(frame);
    this.#header = undefined;
    this.#entries = [];
    this.#sizes = [];
    this.#estimate = FRAME_EXTRA_BYTES_MAX;
  }
}
