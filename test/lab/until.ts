// Waiting for what no event tells. The deadline is only reached by a test that fails.
import { setTimeout as sleep } from "node:timers/promises";

/** Between two looks, at least. */
const LOOK_MS = 20;

/** Looks until `read` gives something, and gives it; rejects, naming it, after the deadline; `what` may look then. */
export async function until<Value>(
  what: string | (() => string),
  read: () => Value | Promise<Value>,
  deadlineMs = 60_000,
): Promise<Exclude<Value, undefined | false>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const lookedAt = performance.now();
    const value = await read();
    if (value !== undefined && value !== false) return value as Exclude<Value, undefined | false>;
    if (performance.now() > end) {
      const said = typeof what === "string" ? what : what();
      throw new Error(`not within ${deadlineMs} ms: ${said}`);
    }
    // A look that starts a program takes a core, which what is waited for may need.
    await sleep(Math.max(LOOK_MS, performance.now() - lookedAt));
  }
}
