// GarbageService: has the collector look, and tells what it found, in messages that stay within their limit.

import type { Verdict } from "../../core/release/pack-verdict.ts";
import {
  type CollectGarbageResponse,
  type GarbageServiceServer,
  PackVerdict,
} from "../../proto/gen/millrace/v1/garbage.ts";
import { serverStream } from "../../runtime/grpc/handlers.ts";
import type { Log } from "../../runtime/log.ts";
import type { Collector } from "./collector.ts";

/** Packs of one message: a name, a reason and numbers are 200 bytes, in all 100 KB. */
const PACKS_MAX = 500;

const VERDICTS = {
  keep: PackVerdict.PACK_VERDICT_KEEP,
  mark: PackVerdict.PACK_VERDICT_MARK,
  unmark: PackVerdict.PACK_VERDICT_UNMARK,
  wait: PackVerdict.PACK_VERDICT_WAIT,
  delete: PackVerdict.PACK_VERDICT_DELETE,
  deleting: PackVerdict.PACK_VERDICT_DELETING,
  gone: PackVerdict.PACK_VERDICT_GONE,
  forget: PackVerdict.PACK_VERDICT_FORGET,
} as const satisfies Record<Verdict, PackVerdict>;

/** The handlers. */
export function garbageService(collector: Collector, log: Log): GarbageServiceServer {
  return {
    collectGarbage: serverStream(log, ({ dryRun }) => answers(collector, dryRun)),
  };
}

async function* answers(
  collector: Collector,
  isDry: boolean,
): AsyncGenerator<CollectGarbageResponse> {
  const { packs, held } = await collector.collect(isDry);
  const fates = packs.map(({ verdict, ...fate }) => ({ ...fate, verdict: VERDICTS[verdict] }));
  yield { packs: fates.slice(0, PACKS_MAX), held };
  for (let first = PACKS_MAX; first < fates.length; first += PACKS_MAX) {
    yield { packs: fates.slice(first, first + PACKS_MAX), held };
  }
}
