// How far two versions of Millrace are apart. Neighbouring ones work together, so that a cluster can be upgraded
// while it runs.

/** Releases between the two: 0, 1, or more than fits; undefined: one of them is no version. */
export function versionGap(one: string, other: string): number | undefined {
  const [a, b] = [parse(one), parse(other)];
  if (a === undefined || b === undefined) return undefined;
  if (a.major !== b.major) return Number.POSITIVE_INFINITY;
  return Math.abs(a.minor - b.minor);
}

function parse(text: string): { readonly major: number; readonly minor: number } | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}(?:-[0-9A-Za-z.-]+)?$/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]) };
}
