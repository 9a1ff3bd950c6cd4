// The files that are brought over: made of random bytes, written at a rate, compared.
import { randomFillSync } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { readBytes, writeBytes } from "../../runtime/file-bytes.ts";

const MIB = 1024 * 1024;
const TICK_MS = 5;

/** Writes a file of random bytes. */
export function writeRandom(path: string, bytes: number): void {
  const fd = openSync(path, "w");
  const buffer = Buffer.alloc(MIB);
  for (let at = 0; at < bytes; at += MIB) {
    const part = buffer.subarray(0, Math.min(MIB, bytes - at));
    writeBytes(fd, randomFillSync(part), at);
  }
  closeSync(fd);
}

/** BLAKE3 of a file, in hex. */
export async function fileDigest(path: string): Promise<string> {
  const file = await open(path);
  const hasher = new Blake3Hasher();
  const buffer = Buffer.alloc(MIB);
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, MIB, null);
      if (bytesRead === 0) return hasher.digest("hex");
      hasher.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

export interface Growth {
  readonly source: string;
  readonly target: string;
  readonly bytes: number;
  readonly bytesPerS: number;
}

/** Appends a file to another at a rate, from now on; resolves when the last byte is written. */
export async function grow({ source, target, bytes, bytesPerS }: Growth): Promise<void> {
  const [from, to] = [openSync(source, "r"), openSync(target, "a")];
  const startedAt = performance.now();
  const buffer = Buffer.alloc(MIB);
  try {
    for (let written = 0; written < bytes; ) {
      await sleep(TICK_MS);
      const dueS = (performance.now() - startedAt) / 1000;
      const due = Math.min(bytes, Math.floor(dueS * bytesPerS));
      while (written < due) {
        const part = buffer.subarray(0, Math.min(MIB, due - written));
        readBytes(from, part, written);
        writeBytes(to, part);
        written += part.length;
      }
    }
  } finally {
    closeSync(from);
    closeSync(to);
  }
}
