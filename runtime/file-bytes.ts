// Reads and writes of whole byte ranges of an open file: the system may do less than it was asked for.
// They block, which for the page cache is quicker than a thread's help.
import { readSync, writeSync } from "node:fs";

/** Fills `target` from `position` on; returns how many bytes there were, fewer only at the end. */
export function readBytes(fd: number, target: Uint8Array, position: number): number {
  let filled = 0;
  while (filled < target.length) {
    const count = readSync(fd, target, filled, target.length - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** Writes all of `bytes` at `position`; without one, behind what was written last. */
export function writeBytes(fd: number, bytes: Uint8Array, position?: number): void {
  for (let at = 0; at < bytes.length; ) {
    const place = position === undefined ? null : position + at;
    at += writeSync(fd, bytes, at, bytes.length - at, place);
  }
}
