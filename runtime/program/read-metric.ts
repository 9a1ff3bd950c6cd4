// What a program's Prometheus metrics say at this moment.

/** The sum of a metric over its attributes, its name without unit and `_total`; 0 where there is none. */
export async function readMetric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return text.split("\n").reduce((sum, line) => sum + (readingOf(line, name) ?? 0), 0);
}

/** The value of a line, with or without attributes, if it is of that metric. */
function readingOf(line: string, name: string): number | undefined {
  if (!line.startsWith(name)) return undefined;
  const value = /^[a-z_]*(?:\{.*\})? (\S+)/.exec(line.slice(name.length))?.[1];
  return value === undefined ? undefined : Number(value);
}
