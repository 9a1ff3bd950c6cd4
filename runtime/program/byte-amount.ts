// Amounts of bytes as people read them: "0 B", "12 kB", "1.3 GB"; units of 1000.

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** "0 B", "12 kB", "1.3 GB". */
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
