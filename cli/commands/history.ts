// `millrace history`: builds and rollouts that have ended, newest first, those that were archived too.
import { Command, InvalidArgumentError } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { parseDuration } from "../../runtime/recipe/duration.ts";
import { historyRecord, historyTable } from "../output/history-view.ts";
import { printRows } from "../output/print.ts";
import { listCommand, type RemoteFlags } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { readPages } from "../remote/pages.ts";

interface Flags extends RemoteFlags {
  readonly service?: string;
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
}

/** A page may read many segments of the archive. */
const PAGE_MS_MAX = 60_000;
const DAY_MS = 24 * 3_600_000;

/** The command. */
export function historyCommand(): Command {
  return listCommand(new Command("history"), 20)
    .description("List builds and rollouts that have ended, newest first, archived ones too.")
    .option("--service <name>", "only of this service")
    .option("--since <when>", 'not older than this: a date, or "36h" or "7d" ago', when)
    .option("--until <when>", "older than this", when)
    .action((flags: Flags) => withControlPlane(flags.addr, (plane) => list(plane, flags)));
}

async function list(plane: ControlPlane, flags: Flags): Promise<void> {
  const { service = "", since: sinceMs = 0, until: untilMs = 0 } = flags;
  const found = await readPages(flags.limit, async (page) => {
    const request = { service, sinceMs, untilMs, ...page };
    const options = { deadlineMs: PAGE_MS_MAX };
    const answer = await call(plane.history, plane.history.listHistory, request, options);
    return { rows: answer.items, nextPageToken: answer.nextPageToken };
  });
  printRows(flags, found, {
    name: "history",
    record: historyRecord,
    table: (items) => historyTable(items, Date.now()),
  });
}

/** Unix milliseconds of "2026-11-30", "2026-11-30T12:00:00Z", "36h" or "7d". */
function when(text: string): number {
  const days = /^(\d{1,5})d$/.exec(text)?.[1];
  const agoMs = days === undefined ? parseDuration(text) : Number(days) * DAY_MS;
  if (agoMs !== undefined) return Math.max(0, Date.now() - agoMs);
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs)) return Math.max(0, atMs);
  throw new InvalidArgumentError(
    'expected a date as 2026-11-30, a time as 2026-11-30T12:00:00Z, or "36h" or "7d" ago',
  );
}
