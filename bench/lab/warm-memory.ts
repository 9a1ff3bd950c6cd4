// Memory for what is to be timed. A virtual machine gives freed memory back to its host within seconds, and the first
// write to a page that it gets anew costs five times as much (10 GiB of copies: 4-6 s on memory that it still has,
// 10-24 s else). What is compared has to find the same, so each begins right after as much was touched and freed.
import { execFileSync } from "node:child_process";
import { freemem } from "node:os";

const PART_BYTES = 64 * 1024 * 1024;
/** Of the free memory at most, where less than what is asked for is free. */
const TOUCHED_SHARE = 0.75;
/** Run in a process of its own, whose end frees it. */
const TOUCH = `const kept = []; for (let n = process.argv[1]; n > 0; n--) kept.push(Buffer.alloc(${PART_BYTES}, 1))`;

/** Leaves nothing to be written back to disks, and `bytes` of free memory that the machine has; takes seconds. */
export function warmMemory(bytes: number): void {
  execFileSync("sync");
  const parts = Math.floor(Math.min(bytes, TOUCHED_SHARE * freemem()) / PART_BYTES);
  execFileSync(process.execPath, ["-e", TOUCH, String(parts)]);
}
