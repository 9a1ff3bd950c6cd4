// FastCDC: cuts bytes where their content says so, so that an insertion moves no later cut. Normalised
// (two masks around the normal size) and skipping the shortest size. It works in place and owns no
// buffer; who calls it brings bytes up to the longest chunk or the end of the span.
import { GEAR } from "./gear-table.ts";
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_BYTES_NORMAL } from "./limits.ts";

/**
 * Before the normal size: 18 bits, four times as unwilling as 64 KiB asks for. High ones, as they
 * depend on the last 31 bytes, where low ones depend on few; not the highest, see `chunkEnd`.
 */
const STRICT = 0x7fffe000;
/** After it: 14 bits, four times as willing. */
const LOOSE = 0x7ffe0000;
const STRICT_TWICE = (STRICT << 1) | 0;
const LOOSE_TWICE = (LOOSE << 1) | 0;
const GEAR_TWICE = GEAR.map((word) => word << 1);

/**
 * End of the chunk that begins at `start`; at most `end`. The bytes up to `end` must reach the
 * longest chunk, or be the last of the span.
 *
 * The hash is shifted by one a byte. The loops take two bytes a shift: after the first byte they hold
 * twice the hash, compared with twice the mask (so the mask leaves the highest bit out). With four such
 * pairs a turn 1.9 GB/s against 1.1 of the plain loop (Node 26, one core of an EPYC).
 */
export function chunkEnd(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= CHUNK_BYTES_MIN) return end;
  const limit = Math.min(end, start + CHUNK_BYTES_MAX);
  const normal = Math.min(end, start + CHUNK_BYTES_NORMAL);
  const one = GEAR;
  const two = GEAR_TWICE;
  let hash = 0;
  let i = start + CHUNK_BYTES_MIN;
  for (const last = normal - 7; i < last; i += 8) {
    hash = ((hash << 2) + (two[bytes[i]!] as number)) | 0;
    if ((hash & STRICT_TWICE) === 0) return i + 1;
    hash = (hash + (one[bytes[i + 1]!] as number)) | 0;
    if ((hash & STRICT) === 0) return i + 2;
    hash = ((hash << 2) + (two[bytes[i + 2]!] as number)) | 0;
    if ((hash & STRICT_TWICE) === 0) return i + 3;
    hash = (hash + (one[bytes[i + 3]!] as number)) | 0;
    if ((hash & STRICT) === 0) return i + 4;
    hash = ((hash << 2) + (two[bytes[i + 4]!] as number)) | 0;
    if ((hash & STRICT_TWICE) === 0) return i + 5;
    hash = (hash + (one[bytes[i + 5]!] as number)) | 0;
    if ((hash & STRICT) === 0) return i + 6;
    hash = ((hash << 2) + (two[bytes[i + 6]!] as number)) | 0;
    if ((hash & STRICT_TWICE) === 0) return i + 7;
    hash = (hash + (one[bytes[i + 7]!] as number)) | 0;
    if ((hash & STRICT) === 0) return i + 8;
  }
  for (; i < normal; i += 1) {
    hash = ((hash << 1) + (one[bytes[i]!] as number)) | 0;
    if ((hash & STRICT) === 0) return i + 1;
  }
  for (const last = limit - 7; i < last; i += 8) {
    hash = ((hash << 2) + (two[bytes[i]!] as number)) | 0;
    if ((hash & LOOSE_TWICE) === 0) return i + 1;
    hash = (hash + (one[bytes[i + 1]!] as number)) | 0;
    if ((hash & LOOSE) === 0) return i + 2;
    hash = ((hash << 2) + (two[bytes[i + 2]!] as number)) | 0;
    if ((hash & LOOSE_TWICE) === 0) return i + 3;
    hash = (hash + (one[bytes[i + 3]!] as number)) | 0;
    if ((hash & LOOSE) === 0) return i + 4;
    hash = ((hash << 2) + (two[bytes[i + 4]!] as number)) | 0;
    if ((hash & LOOSE_TWICE) === 0) return i + 5;
    hash = (hash + (one[bytes[i + 5]!] as number)) | 0;
    if ((hash & LOOSE) === 0) return i + 6;
    hash = ((hash << 2) + (two[bytes[i + 6]!] as number)) | 0;
    if ((hash & LOOSE_TWICE) === 0) return i + 7;
    hash = (hash + (one[bytes[i + 7]!] as number)) | 0;
    if ((hash & LOOSE) === 0) return i + 8;
  }
  for (; i < limit; i += 1) {
    hash = ((hash << 1) + (one[bytes[i]!] as number)) | 0;
    if ((hash & LOOSE) === 0) return i + 1;
  }
  return limit;
}
