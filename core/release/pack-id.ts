// What a pack may be called: `<build>.<attempt>`. The name becomes a folder and a part of a blob's key,
// on machines that are told it by others, so nothing else is ever taken for one.

const PACK_ID = /^b-[0-9a-f]{16}\.[1-9][0-9]{0,8}$/;

/** Whether a text names a pack. */
export function isPackId(text: string): boolean {
  return PACK_ID.test(text);
}
