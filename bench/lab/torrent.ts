// A torrent of a file, for the systems that are measured beside ours.
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readBytes } from "../../runtime/file-bytes.ts";

const KIB = 1024;
/** Up to this size pieces have 256 KiB, above 1 MiB. */
const SMALL_FILE_BYTES = 256 * KIB * KIB;

/** Writes `target`, the torrent of `file`, announced at `tracker`. */
export function writeTorrent(file: string, tracker: string, target: string): void {
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    const pieceBytes = size <= SMALL_FILE_BYTES ? 256 * KIB : KIB * KIB;
    const buffer = Buffer.alloc(pieceBytes);
    const hashes: Buffer[] = [];
    for (let at = 0; at < size; at += pieceBytes) {
      const count = readBytes(fd, buffer, at);
      hashes.push(createHash("sha1").update(buffer.subarray(0, count)).digest());
    }
    const info = dictionary([
      ["length", size],
      ["name", basename(file)],
      ["piece length", pieceBytes],
      ["pieces", Buffer.concat(hashes)],
    ]);
    writeFileSync(
      target,
      Buffer.concat([Buffer.from(`d8:announce${text(tracker)}4:info`), info, E]),
    );
  } finally {
    closeSync(fd);
  }
}

const E = Buffer.from("e");

function dictionary(fields: readonly (readonly [string, number | string | Buffer])[]): Buffer {
  const parts = fields.flatMap(([name, value]) => [Buffer.from(text(name)), encoded(value)]);
  return Buffer.concat([Buffer.from("d"), ...parts, E]);
}

function encoded(value: number | string | Buffer): Buffer {
  if (typeof value === "number") return Buffer.from(`i${value}e`);
  if (typeof value === "string") return Buffer.from(text(value));
  return Buffer.concat([Buffer.from(`${value.length}:`), value]);
}

function text(value: string): string {
  return `${Buffer.byteLength(value)}:${value}`;
}
