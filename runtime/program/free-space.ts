// How much of the disk below a folder is free.
import { statfs } from "node:fs/promises";

export interface Space {
  readonly bytes: number;
  /** For this process's user. */
  readonly freeBytes: number;
}

/** Of the disk that the folder lies on; undefined where that cannot be told. */
export async function freeSpace(folder: string): Promise<Space | undefined> {
  try {
    const { bsize, blocks, bavail } = await statfs(folder);
    return { bytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}
