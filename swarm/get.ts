// `millrace swarm get`: fetches the files of tickets from their seeds and from others who fetch them,
// gives each its name once it is whole, and gives pieces away for as long as it is told to.
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, statSync } from "node:fs";
import { join } from "node:path";
import { rehearse } from "../runtime/peer/rehearsal.ts";
import type { SwarmLog } from "../runtime/peer/swarm.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import type { RateFlags } from "../runtime/program/rate-limits.ts";
import { Fetching } from "./fetching.ts";
import { type ListenFlags, type OwnAddress, ownAddress } from "./own-address.ts";
import { type Report, sumOf, tellProgress } from "./report.ts";
import { SeededFile } from "./seeded-file.ts";
import { endOf, fileAppeared } from "./start-signal.ts";
import { tableDigest } from "./table-proof.ts";
import { stateFolder, TargetFile } from "./target-file.ts";
import type { Ticket } from "./ticket.ts";

export interface GetOptions extends ListenFlags, RateFlags {
  readonly tickets: readonly Ticket[];
  readonly out: string;
  /** Address to ask instead of the tickets' seeds: of a seed, or of another who has the table. */
  readonly from: string | undefined;
  readonly force: boolean;
  /** Begin when this file appears. */
  readonly startFile: string | undefined;
  /** Infinity: no limit. */
  readonly timeoutMs: number;
  /** How long to serve when all files are whole; Infinity: until the signal. */
  readonly seedForMs: number;
  readonly log: SwarmLog;
}

/** Fetches all, then serves. Throws CommandError, also at the signal where one is not whole yet. */
export async function get(options: GetOptions, report: Report, stop: AbortSignal): Promise<void> {
  const tickets = await missingOf(options, report);
  const [first] = tickets;
  if (first === undefined) return;
  const address = await ownAddress(options, options.from ?? first.seed);
  const targets: TargetFile[] = [];
  const fetchings: Fetching[] = [];
  let node: SwarmNode | undefined;
  let isDone = false;
  try {
    const { out: folder, force, startFile, from, timeoutMs } = options;
    for (const ticket of tickets) targets.push(await TargetFile.open({ ticket, folder, force }));
    node = await listen(options, address);
    for (const target of targets) {
      const { ticket } = target;
      const asked = { ticket, from: from ?? ticket.seed, node, target, timeoutMs };
      fetchings.push(new Fetching(asked, report));
    }
    if (startFile !== undefined) await getReady(options);
    const names = tickets.map(({ name }) => name).join(", ");
    report.event("ready", { address: node.address }, `fetching ${names}`);
    if (startFile !== undefined) await fileAppeared(startFile, stop);
    await fetchAll(fetchings, { ...options, done: () => (isDone = true) }, report, stop);
  } finally {
    report.end();
    for (const one of fetchings) one.leave();
    await node?.close();
    for (const target of targets) await target.close(isDone);
  }
}

/** Has all of them end; `done` is called when all files are whole. */
async function fetchAll(
  fetchings: readonly Fetching[],
  { seedForMs, done }: { readonly seedForMs: number; readonly done: () => void },
  report: Report,
  stop: AbortSignal,
): Promise<void> {
  const progress = () => sumOf(fetchings.map((one) => one.progress()));
  const fetched = new AbortController();
  const telling = tellProgress(report, progress, fetched.signal);
  try {
    await Promise.all(fetchings.map((one) => one.run(stop)));
    done();
    fetched.abort();
    await telling;
    if (seedForMs > 0) await tellProgress(report, progress, endOf(seedForMs, stop));
  } finally {
    fetched.abort();
  }
}

/** What can be done before the start; where it fails the start is only slower. */
async function getReady({ out, log }: GetOptions): Promise<void> {
  try {
    await rehearse(mkdtempSync(join(out, ".millrace-rehearsal-")));
  } catch (error) {
    log.debug({ err: error }, "no rehearsal");
  }
}

/** The tickets whose files are not there yet. Throws CommandError where two have one name. */
async function missingOf(options: GetOptions, report: Report): Promise<Ticket[]> {
  const { tickets, out, force } = options;
  const missing: Ticket[] = [];
  for (const ticket of tickets) {
    if (missing.some(({ name }) => name === ticket.name)) {
      throw new CommandError(EXIT.usage, `two tickets are of a file ${ticket.name}; get one alone`);
    }
    if (force || !(await isThere(ticket, out))) {
      missing.push(ticket);
      continue;
    }
    const path = join(out, ticket.name);
    report.event("done", { path, bytes: ticket.bytes, ms: 0 }, `${path} is there already`);
  }
  return missing;
}

/** Whether the file has its name and is the ticket's, and nothing of a fetch is left to go on with. */
async function isThere(ticket: Ticket, out: string): Promise<boolean> {
  const path = join(out, ticket.name);
  if (existsSync(stateFolder(ticket, out))) return false;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (ticket.kind !== "whole" || stat?.isFile() !== true || stat.size !== ticket.bytes)
    return false;
  const file = await SeededFile.open({ path, isGrowing: false, bytes: undefined });
  try {
    return tableDigest(await file.readOn(true)) === ticket.table;
  } finally {
    await file.close();
  }
}

async function listen(options: GetOptions, address: OwnAddress): Promise<SwarmNode> {
  const { log, listen: text, upLimit, downLimit } = options;
  const peerId = `get-${randomBytes(6).toString("hex")}`;
  try {
    return await SwarmNode.listen({ peerId, role: "agent", ...address, upLimit, downLimit, log });
  } catch (error) {
    const what = `cannot listen on ${text ?? address.host}: ${(error as Error).message}`;
    throw new CommandError(EXIT.error, what);
  }
}
