// The figures of a load run as people read them, with the limits that they are held against.
import { formatTable } from "../output/format.ts";
import { CONNECTION_AGENTS_MAX } from "./load-plan.ts";
import type { LoadFigures } from "./load-story.ts";

/** What 100,000 agents and ten relays are to keep on two cores. */
const LIMITS: { readonly [Name in keyof LoadFigures]?: number } = {
  connected_s: 60,
  ack_999_s: 10,
  ack_all_s: 20,
  bytes_per_session: 20_480,
  leader_rss_mb: 200,
  leader_streams: 32,
  dead_known_s: 30,
  storm_back_s: 60,
};

const WORDS: Readonly<Record<keyof LoadFigures, string>> = {
  sessions: "agents",
  connections: `connections, of ${CONNECTION_AGENTS_MAX} agents at most`,
  connected_s: "until all are connected, s",
  ack_99_s: "command to 99 % acknowledged, s",
  ack_999_s: "command to 99.9 % acknowledged, s",
  ack_all_s: "command to all acknowledged, s",
  permits_all_s: "command to the last permit at its agent, s",
  bytes_per_session: "memory of relays for a session, bytes",
  bytes_per_connection: "the same where each has its own connection, bytes",
  leader_rss_mb: "memory of the leader, MB",
  leader_streams: "streams at the leader",
  leader_calls_connecting: "calls at the leader while agents connect",
  leader_cpu_quiet: "processors of the leader, nothing going on",
  leader_cpu_ack: "processors of the leader, at the command",
  leader_writes_ack_per_s: "writes of the leader a second, at the command",
  reports_quiet_per_s: "reports of relays a second, nothing going on",
  reports_most_per_s: "reports of relays a second, at most",
  dead_known_s: "until the leader knows that a machine is dead, s",
  storm_agents: "agents whose relay was killed",
  storm_back_s: "until all are back, s",
  storm_rollout_s: "rollout meanwhile, s",
  storm_rollout_ok: "1: that rollout succeeded",
};

/** A table of the figures, those over their limit marked. */
export function describeLoad(figures: LoadFigures): string {
  const names = Object.keys(WORDS) as (keyof LoadFigures)[];
  const rows = names.flatMap((name) => {
    const value = figures[name];
    if (value === undefined) return [];
    const limit = LIMITS[name];
    const mark = limit !== undefined && value > limit ? "over" : "";
    return [[WORDS[name], String(value), limit === undefined ? "" : String(limit), mark]];
  });
  return formatTable(["FIGURE", "SEEN", "LIMIT", ""], rows);
}

/** The figures with three digits behind the point. */
export function rounded<Figures extends { readonly [Name in keyof Figures]?: number | undefined }>(
  figures: Figures,
): Figures {
  const entries = Object.entries(figures) as [string, number][];
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Number(value.toFixed(3))]),
  ) as Figures;
}
