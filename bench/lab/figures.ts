// How benchmarks say what they measured: one JSON object as the last line, figures flat, unit last.

/** The middle one; the mean of the middle two where their number is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error("a median of nothing");
  const lower = sorted[middle - 1];
  return sorted.length % 2 === 1 || lower === undefined ? upper : (lower + upper) / 2;
}

/** Prints the figures of a benchmark as its last line, three digits behind the point. */
export function printFigures(bench: string, figures: Readonly<Record<string, number>>): void {
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(3))]),
  );
  console.log(JSON.stringify({ bench, figures: rounded }));
}
