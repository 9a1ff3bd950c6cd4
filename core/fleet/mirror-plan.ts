// Who of a region's relays pulls which segment of a pack from the origin, so that each is pulled once.
// It is a rule that every relay evaluates alike; when and how it is pulled is the business of mirror.ts.
import { waveHash } from "../rollout/wave-hash.ts";

/**
 * Place of a relay in the order in which a segment is pulled, by rendezvous hash: 0 owns it. A relay
 * that comes or goes moves only its own share. A relay that is not among `relays` comes last.
 */
export function pullRank(
  pack: string,
  segment: number,
  relayId: string,
  relays: readonly string[],
): number {
  const own = weight(pack, segment, relayId);
  let rank = 0;
  for (const other of relays) {
    if (other === relayId) continue;
    const theirs = weight(pack, segment, other);
    if (theirs > own || (theirs === own && other < relayId)) rank += 1;
  }
  return relays.includes(relayId) ? rank : relays.length;
}

/** The relay that pulls the segment; undefined where there is none. */
export function segmentOwner(
  pack: string,
  segment: number,
  relays: readonly string[],
): string | undefined {
  return relays.find((relayId) => pullRank(pack, segment, relayId, relays) === 0);
}

function weight(pack: string, segment: number, relayId: string): number {
  return waveHash(relayId, `${pack}/${segment}`);
}
