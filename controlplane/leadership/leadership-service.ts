// LeadershipService: who leads, how to have it hand over, and how to go on from a store that was restored.
import type { Leader, LeadershipServiceServer } from "../../proto/gen/millrace/v1/leadership.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { failedPrecondition, invalid, unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import { FenceLostError } from "../fence.ts";
import type { Candidate } from "./candidate.ts";
import type { RestoreReport } from "./held-term.ts";
import { type LeaderRow, markBehind } from "./leader-row.ts";
import type { Terms } from "./terms.ts";

/** Things told to be missing: of 250 bytes each they are 125 KB of the 256 allowed. */
const MISSING_MAX = 500;
/** An election after a resignation takes some 10 ms; one after a crash in between 4 s. */
const FOLLOWED_MS_MAX = 8_000;

export interface LeadershipServiceOptions {
  readonly candidate: Candidate;
  readonly terms: Pick<Terms, "current" | "held">;
  readonly store: Store;
  readonly log: Log;
}

/** The handlers; all but `getLeader` are the leader's to answer. */
export function leadershipService(options: LeadershipServiceOptions): LeadershipServiceServer {
  const { candidate, terms, store, log } = options;
  /** The leader, which is this replica, if its epoch is the one that the caller means. */
  const ownTerm = (epoch: number): LeaderRow => {
    const { leader, replica } = candidate;
    if (leader?.replica !== replica) throw unavailable("the leader has changed; ask again");
    if (epoch === 0) throw invalid("epoch: give that of the term to end");
    if (epoch !== leader.epoch) {
      throw failedPrecondition(`epoch ${epoch} is over: the leader has epoch ${leader.epoch}`);
    }
    return leader;
  };
  const next = async (after: LeaderRow, signal: AbortSignal, what: string): Promise<LeaderRow> => {
    const isNext = (one: LeaderRow | undefined): boolean =>
      one !== undefined && one.epoch > after.epoch;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(FOLLOWED_MS_MAX)]);
    await candidate.until(isNext, inTime).catch(() => {
      throw unavailable(`${what}, and none follows yet`);
    });
    return candidate.leader as LeaderRow;
  };
  return {
    getLeader: unary(log, async () => {
      const { replica, address } = candidate;
      // With etcd away nobody says so, but a leader knows for itself that its term has ended.
      const isOver = candidate.leader?.replica === replica && terms.current === undefined;
      const leader = isOver ? undefined : candidate.leader;
      return { leader: leader && messageOf(leader), replica, address, behind: leader?.behind };
    }),
    resignLeader: unary(log, async ({ epoch }, { signal }) => {
      const leader = ownTerm(epoch);
      candidate.resign();
      return { leader: messageOf(await next(leader, signal, "the leader has resigned")) };
    }),
    reportRestore: unary(log, async ({ epoch }, { signal }) => {
      const leader = ownTerm(epoch);
      if (leader.behind !== undefined) return { behind: leader.behind };
      const fence = terms.current?.fence;
      const seen = { relay: "", epoch: leader.epoch, revision: 0 };
      const behind = fence && (await markBehind(store, fence, seen));
      if (behind === undefined) throw unavailable("the leader has changed; ask again");
      candidate.fenced(epoch);
      await next(leader, signal, "the leader decides nothing any more");
      return { behind };
    }),
    reviewRestore: unary(log, async () => {
      const report = await terms.held?.report();
      if (report === undefined) {
        return { behind: undefined, missing: [], more: false, heard: [], silent: [] };
      }
      const { behind, heard, silent } = report;
      return { behind, ...lossesOf(report), heard: [...heard], silent: [...silent] };
    }),
    raiseIncarnation: unary(log, async ({ epoch }, { signal }) => {
      const leader = ownTerm(epoch);
      if (terms.held === undefined) {
        throw failedPrecondition(
          "the store is not known to be behind, so there is nothing to raise; where it was restored " +
            "from a backup, say so first: millrace leader --restored",
        );
      }
      const report = await terms.held.raise().catch((error: unknown) => {
        // By an earlier try whose answer was lost, or by another leader: this term is over, and holds nobody up.
        if (error instanceof FenceLostError) candidate.fenced(epoch);
        throw error;
      });
      candidate.fenced(epoch);
      const followed = await next(leader, signal, "the incarnation is raised");
      return { leader: messageOf(followed), ...lossesOf(report), kept: [...report.services] };
    }),
  };
}

function lossesOf({ missing }: RestoreReport) {
  return { missing: missing.slice(0, MISSING_MAX), more: missing.length > MISSING_MAX };
}

function messageOf({ replica, address, epoch, sinceMs }: LeaderRow): Leader {
  return { replica, address, epoch, sinceMs };
}
