// How a peer of the simulator behaves towards others. All but the honest run the honest machine and say
// that they have every piece; what they then do with what it commands is told here.

import type { Message } from "../core/swarm/message.ts";

/**
 * `corrupt`: gives wrong bytes. `mute`: never answers a request. `liar`: refuses every request as
 * absent. `staller`: gives the first block of a piece and no other. `flooder`: repeats what it has told,
 * without end. `leech`: takes pieces, and tells and gives nothing.
 */
export type Conduct = "honest" | "corrupt" | "mute" | "liar" | "staller" | "flooder" | "leech";

/** True for those that say they have what they do not. */
export function claimsAll(conduct: Conduct): boolean {
  return conduct !== "honest" && conduct !== "leech";
}

/** True for a message that tells what a peer has. */
export function isTelling({ kind }: Message): boolean {
  return kind === "have" || kind === "bitfield" || kind === "offer";
}
