// Which wave a machine belongs to is a rule, not a list: a hash of agent and rollout, compared with a
// threshold. Leader, relay, agent and simulator must get the same number, so it is defined here alone.

/** Hashes are integers in [0, WAVE_HASH_END): 48 bits, exact in a double. */
export const WAVE_HASH_END = 2 ** 48;

/**
 * 48-bit hash of (agent, rollout): 100,000 agents have a collision in one rollout of 56,000
 * (n^2 / 2^49 = 1.8e-5). FNV-1a in two 32-bit lanes over UTF-16 code units, each finished as in MurmurHash3 (fmix32).
 */
export function waveHash(agentId: string, rolloutId: string): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  const text = `${rolloutId}/${agentId}`;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit ^ (low >>> 15), 0x01000193);
  }
  return (finish(high) & 0xffff) * 2 ** 32 + finish(low);
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
