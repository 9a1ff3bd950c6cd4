// Numbers for people: bytes, shares, short ids, and tables with aligned columns.

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** "0 B", "12 kB", "1.3 GB"; units of 1000. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/** The first 12 digits of a digest or SHA; "-" for none. */
export function shortId(id: string): string {
  return id === "" ? "-" : id.slice(0, 12);
}

/** How long ago a time of day in milliseconds was: "12 s", "3 min", "2 h", "5 d"; "-" for never. */
export function formatAge(atMs: number, nowMs: number): string {
  if (atMs === 0) return "-";
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Lines of a table: a head, then rows, columns as wide as their widest cell. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      widths
        .map((width, column) => (row[column] ?? "").padEnd(width))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
