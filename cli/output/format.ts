// Numbers for people: ages, times of day, short ids, and columns that are aligned.

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

/** Lines of "name  value", values aligned; a field with an empty value is left out. */
export function formatFields(fields: readonly (readonly [string, string])[]): string {
  const shown = fields.filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

/** A time of day: "2026-03-01 12:00:05 UTC"; "-" for none. */
export function formatTime(atMs: number): string {
  if (atMs === 0) return "-";
  return `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** At most `columnsMax` columns of the first line of a text, cut with "…". */
export function clip(text: string, columnsMax: number): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length <= columnsMax ? line : `${line.slice(0, columnsMax - 1)}…`;
}
