// Says a call again while no control plane leads, or answers: a machine that is busy with a benchmark may be late for
// its lease. Each call that is made so may be made twice.
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceError, status } from "@grpc/grpc-js";

const AGAIN_MS = 500;
const AWAY: readonly status[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];
/** How a deadline looks that the server noticed first: it ends the stream, and its status comes too late. */
const CUT_OFF = "Call ended without gRPC status";

/** What the call answers in the end; rejects with any other error. */
export async function whileAway<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const { code, details } = error as ServiceError;
      if (!AWAY.includes(code) && !details?.includes(CUT_OFF)) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
