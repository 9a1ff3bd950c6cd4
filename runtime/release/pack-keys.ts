// The names of a pack's blobs. They are the only link between its segments and its seal.

/** Prefix of all packs. */
export const PACKS = "packs/";

/** Prefix of all blobs of a pack, to list or delete them. */
export function packPrefix(pack: string): string {
  return `${PACKS}${pack}/`;
}

/** Key of a segment, from 0. */
export function segmentKey(pack: string, index: number): string {
  return `${packPrefix(pack)}s-${String(index).padStart(6, "0")}`;
}

/** Key of the seal. */
export function sealKey(pack: string): string {
  return `${packPrefix(pack)}seal`;
}
