// Says a call again while no control plane leads, or answers: a machine that is busy with a benchmark may be late for
// its lease. Each call that is made so may be made twice.
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";

const AGAIN_MS = 500;
const AWAY: readonly unknown[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];

/** What the call answers in the end; rejects with any other error. */
export async function whileAway<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!AWAY.includes((error as { readonly code?: unknown }).code)) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
