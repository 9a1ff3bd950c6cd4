// Where a file: store keeps a blob. Keys are paths, but "a" and "a/b" may both be keys, so a blob's
// file is its last segment plus a mark that no segment can contain; directories are segments as they
// are. Temporary files name their writer, so that what a dead one left can be told from what is alive.
import { createHash, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";

/** Ends the name of every blob's file; not in the alphabet of keys. */
export const BLOB_MARK = "=";
/** How long another machine's temporary file is left alone: no put takes a day. */
const FOREIGN_TEMP_AGE_MS = 24 * 3600 * 1000;
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 16);

/** A blob's directory below the root ("" for the root itself), and its file's name. */
export interface BlobPlace {
  readonly directory: string;
  readonly name: string;
}

/** The place of a valid key. */
export function blobPlace(key: string): BlobPlace {
  const slash = key.lastIndexOf("/");
  return { directory: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1) + BLOB_MARK };
}

/** The path of a place below `blobsRoot`. */
export function placePath(blobsRoot: string, { directory, name }: BlobPlace): string {
  return join(blobsRoot, directory, name);
}

/** A new temporary file's name: host, process and chance. */
export function tempName(): string {
  return `${HOST}.${process.pid}.${randomUUID()}`;
}

/** Whether the writer of a temporary file must be gone; `isAlive` tells of processes here. */
export function isStaleTemp(
  name: string,
  modifiedMs: number,
  isAlive: (pid: number) => boolean,
): boolean {
  const [host, pidText] = name.split(".");
  const pid = Number(pidText);
  if (host !== HOST || !Number.isInteger(pid) || pid <= 0) {
    return modifiedMs < Date.now() - FOREIGN_TEMP_AGE_MS;
  }
  // In a container the next process often has the same id: what is older than we are is not ours.
  if (pid === process.pid) return modifiedMs < performance.timeOrigin;
  return !isAlive(pid);
}

/** Whether a process of this machine exists. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
