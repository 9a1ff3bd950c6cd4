// The 256 random words of the chunker's rolling hash. They are part of the format: other words cut
// other chunks, and nothing would be found again. Derived from a seed, so that no one need trust a list.

/** "milr" in ASCII. */
const SEED = 0x6d696c72;

/** Word i is the murmur3 finaliser of SEED + (i + 1) x 0x9e3779b9, all modulo 2^32. */
export const GEAR: Int32Array = gearTable(SEED);

function gearTable(seed: number): Int32Array {
  const table = new Int32Array(256);
  for (let i = 0; i < table.length; i += 1) {
    let word = (seed + Math.imul(i + 1, 0x9e3779b9)) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    table[i] = word ^ (word >>> 16);
  }
  return table;
}
