// Work that is mostly done at once, and sometimes takes a while: no promise is made where none is needed,
// as a peer does such work some hundred times a second for each of its neighbours.

export interface Settling<T> {
  readonly done: (value: T) => void;
  readonly failed: (error: unknown) => void;
  /** The work takes a while; the promise never rejects, and ends after one of the above was called. */
  readonly waiting: (end: Promise<void>) => void;
}

/** Calls back when the work is done: before it returns, or when its promise is settled. */
export function settle<T>(
  work: () => T | Promise<T>,
  { done, failed, waiting }: Settling<T>,
): void {
  let value: T | Promise<T>;
  try {
    value = work();
  } catch (error) {
    failed(error);
    return;
  }
  if (value instanceof Promise) waiting(value.then(done, failed));
  else done(value);
}
