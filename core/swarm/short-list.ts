// Lists of what is under way with one neighbour: they have a few entries, and change with each block. There
// are many of them, so they are made small, and `splice` would make a new list of what was taken each time.

/** An empty list that has room for four: one that grows from nothing takes room for seventeen. */
export function newShortList<T>(): T[] {
  const list: (T | undefined)[] = [undefined, undefined, undefined, undefined];
  while (list.length > 0) list.pop();
  return list as T[];
}

/** Takes an entry out of a list; those behind it move up. */
export function takeAt<T>(list: T[], at: number): void {
  for (let next = at + 1; next < list.length; next += 1) list[next - 1] = list[next] as T;
  list.pop();
}

/** Takes an entry out of a list; false when it is not there. */
export function take<T>(list: T[], entry: T): boolean {
  const at = list.indexOf(entry);
  if (at >= 0) takeAt(list, at);
  return at >= 0;
}
