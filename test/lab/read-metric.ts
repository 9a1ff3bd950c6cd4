// What a program's Prometheus metrics say at this moment.

/** The sum of a metric over its attributes, its name without unit and `_total`; 0 where there is none. */
export async function readMetric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = text.split("\n").filter((line) => isOf(line, name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf("}") + 1).trim()), 0);
}

function isOf(line: string, name: string): boolean {
  return line.startsWith(name) && /^[a-z_]*[{ ]/.test(line.slice(name.length));
}
