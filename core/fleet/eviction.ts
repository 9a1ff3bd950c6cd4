// What of things that may go does go, so that the rest is within a budget.

/** Takes from the front of `spare` until `bytes`, what it and all else takes, are within the budget; with what is left. */
export function evict<Spare extends { readonly bytes: number }>(
  spare: readonly Spare[],
  bytes: number,
  budgetBytes: number,
): { readonly evicted: readonly Spare[]; readonly leftBytes: number } {
  let leftBytes = bytes;
  let count = 0;
  for (; leftBytes > budgetBytes && count < spare.length; count += 1) {
    leftBytes -= (spare[count] as Spare).bytes;
  }
  return { evicted: spare.slice(0, count), leftBytes };
}
