// Bars of text, for pages that are drawn as a whole; waiting commands redraw theirs with cli-progress.

/** A bar of `width` cells, `part` of `whole` of them filled; full only where `part` is the whole. */
export function formatBar(part: number, whole: number, width: number): string {
  const share = whole <= 0 ? 0 : Math.min(1, Math.max(0, part / whole));
  const filled = Math.floor(share * width);
  return `[${"█".repeat(filled)}${"░".repeat(width - filled)}]`;
}
