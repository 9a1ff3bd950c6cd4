// Walks an output in the order of its paths' bytes, checks every entry against the rules of a
// release, and cuts the work of chunking it into spans. Runs on a thread: it holds one directory's
// names at a time and never waits.
import type { Stats } from "node:fs";
import { lstatSync, opendirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import {
  CHUNK_BYTES_MIN,
  ENTRIES_MAX,
  RELEASE_BYTES_MAX,
  SPAN_BYTES,
} from "../../core/release/limits.ts";
import { modeFault, pathFault, targetFault } from "../../core/release/path-rules.ts";
import { EntryFileWriter } from "./entry-file.ts";
import { PackError, unreadable } from "./pack-error.ts";

/** A batch of files is a span when it has so many bytes: 4 MiB are 5 ms of work. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** Or so many entries: opening 1,024 files takes about as long. */
const BATCH_ENTRIES = 1024;
/** Names of a directory are read so many at a time. */
const NAMES_BATCH = 256;

/** Consecutive entries, or a part of one long file: what one task chunks. */
export interface Span {
  /** Where the first entry's record begins in the entry file. */
  readonly place: number;
  readonly entries: number;
  /** Where in the file the part begins; 0 for a batch. */
  readonly offset: number;
  /** Bytes of the part, or of all files of the batch. */
  readonly bytes: number;
}

/** A walked output. */
export interface Tree {
  readonly singleFile: boolean;
  /** Folder that the entries' paths are relative to. */
  readonly root: string;
  readonly entries: number;
  readonly bytes: number;
  /** No more chunk rows than this. */
  readonly rowsMax: number;
  readonly spans: readonly Span[];
}

/** Walks the output and writes its entries to `entryFile`; throws PackError for what is refused. */
export function walkTree(output: string, entryFile: string): Tree {
  const walk = new Walk(entryFile);
  try {
    const stats = outputStats(output);
    const singleFile = stats.isFile();
    const root = singleFile ? join(output, "..") : output;
    if (singleFile) walk.entry(basename(output), root);
    else walk.directory("", root);
    if (walk.entries === 0) {
      throw new PackError("output-empty", `the output ${output} is an empty directory`);
    }
    return { singleFile, root, ...walk.end() };
  } finally {
    walk.close();
  }
}

function outputStats(output: string): Stats {
  const stats = lstatSync(output, { throwIfNoEntry: false });
  if (stats === undefined) {
    const advice = "name in build.output what the build makes";
    throw new PackError("output-missing", `the build made no output ${output}; ${advice}`);
  }
  if (stats.isFile() || stats.isDirectory()) return stats;
  const what = stats.isSymbolicLink()
    ? "a symlink; name what it points to"
    : "no file or directory";
  throw new PackError("output-kind", `the output ${output} is ${what}`);
}

class Walk {
  readonly #writer: EntryFileWriter;
  readonly #spans: Span[] = [];
  #batch: { place: number; entries: number; bytes: number } | undefined;
  #bytes = 0;
  #rowsMax = 0;
  entries = 0;

  constructor(entryFile: string) {
    this.#writer = new EntryFileWriter(entryFile);
  }

  /** Walks what is in a directory; `prefix` is its path and a slash. */
  directory(prefix: string, root: string): void {
    for (const key of sortedNames(prefix, root)) {
      const kind = key.at(-1);
      if (kind === "/") this.directory(prefix + key, root);
      else if (kind === "\0") this.#emptyDirectory(prefix + key.slice(0, -1), root);
      else this.entry(prefix + key, root);
    }
  }

  /** Takes a file or a symlink. */
  entry(path: string, root: string): void {
    const stats = attempt(path, () => lstatSync(join(root, path)));
    if (stats.isSymbolicLink()) {
      const target = attempt(path, () => readlinkSync(join(root, path), "latin1"));
      this.#add({ kind: "symlink", mode: 0o777, size: 0, path, target: utf8(target, path) });
    } else if (stats.isFile()) {
      const mode = stats.mode & 0o7777;
      this.#add({ kind: "file", mode, size: stats.size, path, target: "" });
    } else if (stats.isDirectory()) throw new PackError("changed", `${path} became a directory`);
    else {
      const what = `${JSON.stringify(path)} in the output is a device, a socket or a pipe`;
      throw new PackError("special-file", `${what}; a release holds files, symlinks, directories`);
    }
  }

  end(): Pick<Tree, "entries" | "bytes" | "rowsMax" | "spans"> {
    this.#endBatch();
    const { entries } = this;
    return { entries, bytes: this.#bytes, rowsMax: this.#rowsMax, spans: this.#spans };
  }

  close(): void {
    this.#writer.close();
  }

  #emptyDirectory(path: string, root: string): void {
    const directory = attempt(path, () => opendirSync(join(root, path)));
    const isEmpty = directory.readSync() === null;
    directory.closeSync();
    if (!isEmpty) return;
    // Only the bits of rwx: setgid and sticky mean nothing on a directory that agents own.
    const mode = attempt(path, () => lstatSync(join(root, path))).mode & 0o777;
    this.#add({ kind: "directory", mode, size: 0, path, target: "" });
  }

  #add(entry: Parameters<EntryFileWriter["add"]>[0]): void {
    const { path, size } = entry;
    const refused = pathFault(path);
    if (refused !== undefined) throw new PackError("bad-path", `path ${refused.detail}`);
    const badMode = modeFault(path, entry.mode);
    if (badMode !== undefined) throw new PackError("bad-mode", `file ${badMode.detail}`);
    if (entry.kind === "symlink") {
      const badLink = targetFault(path, entry.target);
      if (badLink !== undefined) throw new PackError("bad-symlink", badLink.detail);
    }
    this.entries += 1;
    if (this.entries > ENTRIES_MAX) {
      const what = `the output has more than ${ENTRIES_MAX} files, symlinks and empty directories`;
      throw new PackError("too-many-entries", `${what}; pack many small files into fewer`);
    }
    this.#bytes += size;
    if (this.#bytes > RELEASE_BYTES_MAX) {
      const what = `the output has more than ${RELEASE_BYTES_MAX} bytes (at ${JSON.stringify(path)})`;
      throw new PackError("release-too-large", `${what}; leave out what is not needed to run`);
    }
    this.#rowsMax += Math.ceil(size / CHUNK_BYTES_MIN) + Math.ceil(size / SPAN_BYTES);
    this.#plan(this.#writer.add(entry), size);
  }

  #plan(place: number, size: number): void {
    if (size > SPAN_BYTES) {
      this.#endBatch();
      for (let offset = 0; offset < size; offset += SPAN_BYTES) {
        const bytes = Math.min(SPAN_BYTES, size - offset);
        this.#spans.push({ place, entries: 1, offset, bytes });
      }
      return;
    }
    this.#batch ??= { place, entries: 0, bytes: 0 };
    this.#batch.entries += 1;
    this.#batch.bytes += size;
    if (this.#batch.bytes >= BATCH_BYTES || this.#batch.entries >= BATCH_ENTRIES) this.#endBatch();
  }

  #endBatch(): void {
    if (this.#batch !== undefined) this.#spans.push({ ...this.#batch, offset: 0 });
    this.#batch = undefined;
  }
}

/**
 * Names of a directory in the order in which their paths' bytes sort. A directory stands there twice:
 * as "name\0" (its path, if it is empty) and as "name/" (what the paths in it begin with). Names are
 * sorted as Latin-1, a unit a byte, then read as UTF-8.
 */
function sortedNames(prefix: string, root: string): string[] {
  const keys: string[] = [];
  const directory = attempt(prefix, () =>
    opendirSync(join(root, prefix), { encoding: "latin1", bufferSize: NAMES_BATCH }),
  );
  try {
    for (let found = directory.readSync(); found !== null; found = directory.readSync()) {
      if (!found.isDirectory()) keys.push(found.name);
      else keys.push(`${found.name}\0`, `${found.name}/`);
    }
  } finally {
    directory.closeSync();
  }
  keys.sort();
  for (let i = 0; i < keys.length; i += 1) keys[i] = utf8(keys[i] as string, prefix);
  return keys;
}

const ASCII = /^[\0-\x7f]*$/;
const decoder = new TextDecoder("utf-8", { fatal: true });

function utf8(latin1: string, near: string): string {
  if (ASCII.test(latin1)) return latin1;
  try {
    return decoder.decode(Buffer.from(latin1, "latin1"));
  } catch {
    const what = `a name or a link's target in ${JSON.stringify(near)} of the output is not UTF-8`;
    throw new PackError("bad-path", `${what}: ${JSON.stringify(latin1)} (shown as Latin-1)`);
  }
}

function attempt<Result>(path: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw unreadable(path, error);
  }
}
