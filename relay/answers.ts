// Answers to what the control plane asks of one relay's machines: counts by hash, and machines by id.
import { countMachines } from "../core/rollout/census.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import {
  type AgentAnswer,
  AgentInfo,
  type AgentQuery,
  type CensusAnswer,
  type CensusRequest,
  ServicePhase,
  type UsesAnswer,
  type UsesQuery,
} from "../proto/gen/millrace/v1/fleet.ts";
import { MESSAGE_BYTES_MAX } from "../runtime/grpc/limits.ts";
import type { AgentSession } from "./agent-session.ts";

const QUERY_LIMIT_DEFAULT = 100;
const QUERY_LIMIT_MAX = 1_000;
/** Machines of one message; the rest of it is room for the envelope. */
const ANSWER_BYTES_MAX = MESSAGE_BYTES_MAX - 16 * 1024;
/** Digests in one message: 5,000 of 34 bytes are 170 KB. */
const USES_MAX = 5_000;
/** Services told of a machine that would not fit otherwise; each may have an error of 1,000 letters. */
const SERVICES_OF_LARGE_MAX = 50;

/** Counts the machines that the control plane asks for. */
export function censusOf(
  agents: Iterable<Candidate>,
  request: CensusRequest,
  isAway: (agentId: string) => boolean,
): CensusAnswer {
  const { query, rollout } = request;
  const { counts, lowest, total, away = 0 } = countMachines(agents, request, isAway);
  return { query, rollout, counts: [...counts], lowest: [...lowest], total, away };
}

/** A page of machines by id, in messages that stay within the limit; the last one says so. */
export function* agentAnswers(
  sessions: Iterable<AgentSession>,
  { query, prefix, after, limit, failingOnly }: AgentQuery,
  relay: string,
): Generator<AgentAnswer, void, void> {
  const count = Math.min(limit || QUERY_LIMIT_DEFAULT, QUERY_LIMIT_MAX);
  const chosen = [...sessions]
    .filter(({ id }) => id.startsWith(prefix) && id > after)
    .filter((session) => !failingOnly || isFailing(session))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, count);
  let agents: AgentInfo[] = [];
  let bytes = 0;
  for (const session of chosen) {
    const info = fitting(session.info(relay));
    const size = AgentInfo.encode(info).finish().length;
    if (bytes + size > ANSWER_BYTES_MAX) {
      yield { query, agents, last: false };
      agents = [];
      bytes = 0;
    }
    agents.push(info);
    bytes += size + 8;
  }
  yield { query, agents, last: true };
}

/** The releases that machines have, each once, in messages that stay within the limit; the last one says so. */
export function* usesAnswers(
  sessions: Iterable<AgentSession>,
  { query }: UsesQuery,
): Generator<UsesAnswer, void, void> {
  const digests = new Set<string>();
  for (const { services } of sessions) {
    for (const { release, running, lastGood } of services.values()) {
      for (const digest of [release, running, lastGood]) if (digest !== "") digests.add(digest);
    }
  }
  const all = [...digests].map((digest) => Buffer.from(digest, "hex"));
  for (let first = 0; ; first += USES_MAX) {
    const last = first + USES_MAX >= all.length;
    yield { query, releases: all.slice(first, first + USES_MAX), last };
    if (last) return;
  }
}

function isFailing(session: AgentSession): boolean {
  const statuses = [...session.services.values()];
  return statuses.some(({ phase }) => phase === ServicePhase.SERVICE_PHASE_FAILED);
}

function fitting(info: AgentInfo): AgentInfo {
  if (AgentInfo.encode(info).finish().length <= ANSWER_BYTES_MAX) return info;
  return { ...info, services: info.services.slice(0, SERVICES_OF_LARGE_MAX) };
}
