// LeadershipService: who leads, and how to have it hand over.
import type { Leader, LeadershipServiceServer } from "../../proto/gen/millrace/v1/leadership.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { failedPrecondition, invalid, unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import type { Candidate } from "./candidate.ts";
import type { LeaderRow } from "./leader-row.ts";

/** An election after a resignation takes some 10 ms; one after a crash in between 4 s. */
const FOLLOWED_MS_MAX = 8_000;

export interface LeadershipServiceOptions {
  readonly candidate: Candidate;
  readonly log: Log;
}

/** The handlers; `resignLeader` is the leader's to answer. */
export function leadershipService(options: LeadershipServiceOptions): LeadershipServiceServer {
  const { candidate, log } = options;
  return {
    getLeader: unary(log, async () => {
      const { leader, replica, address } = candidate;
      return { leader: leader && messageOf(leader), replica, address };
    }),
    resignLeader: unary(log, async ({ epoch }, { signal }) => {
      const { leader, replica } = candidate;
      if (leader?.replica !== replica) throw unavailable("the leader has changed; ask again");
      if (epoch === 0) throw invalid("epoch: give that of the term to end");
      if (epoch !== leader.epoch) {
        throw failedPrecondition(`epoch ${epoch} is over: the leader has epoch ${leader.epoch}`);
      }
      candidate.resign();
      const isNext = (next: LeaderRow | undefined): boolean =>
        next !== undefined && next.epoch > leader.epoch;
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(FOLLOWED_MS_MAX)]);
      await candidate.until(isNext, inTime).catch(() => {
        throw unavailable("the leader has resigned, and none follows yet");
      });
      return { leader: candidate.leader && messageOf(candidate.leader) };
    }),
  };
}

function messageOf({ replica, address, epoch, sinceMs }: LeaderRow): Leader {
  return { replica, address, epoch, sinceMs };
}
