// `millrace swarm get`: fetches the file of a ticket from the seed and from others who fetch it, gives
// it its name once it is whole, and gives pieces away for as long as it is told to.
import { randomBytes } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SwarmLog } from "../runtime/peer/swarm.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { Fetching } from "./fetching.ts";
import { type ListenFlags, type OwnAddress, ownAddress } from "./own-address.ts";
import type { Report } from "./report.ts";
import { SeededFile } from "./seeded-file.ts";
import { fileAppeared } from "./start-signal.ts";
import { tableDigest } from "./table-proof.ts";
import { stateFolder, TargetFile } from "./target-file.ts";
import type { Ticket } from "./ticket.ts";

export interface GetOptions extends ListenFlags {
  readonly ticket: Ticket;
  readonly out: string;
  /** Address to ask instead of the ticket's seed: of the seed, or of another who has the table. */
  readonly from: string | undefined;
  readonly force: boolean;
  /** Begin when this file appears. */
  readonly startFile: string | undefined;
  /** Infinity: no limit. */
  readonly timeoutMs: number;
  /** How long to serve when the file is whole; Infinity: until the signal. */
  readonly seedForMs: number;
  readonly log: SwarmLog;
}

/** Fetches, then serves. Throws CommandError, also at the signal where the file is not whole yet. */
export async function get(options: GetOptions, report: Report, stop: AbortSignal): Promise<void> {
  const { ticket, out, force, from = ticket.seed } = options;
  if (!force && (await isThere(ticket, out))) {
    const path = join(out, ticket.name);
    report.event("done", { path, bytes: ticket.bytes, ms: 0 }, `${path} is there already`);
    return;
  }
  const address = await ownAddress(options, from);
  const target = await TargetFile.open({ ticket, folder: out, force });
  let node: SwarmNode | undefined;
  let isDone = false;
  try {
    node = await listen(options, address);
    report.event("ready", { address: node.address }, `fetching ${ticket.name} from ${from}`);
    if (options.startFile !== undefined) await fileAppeared(options.startFile, stop);
    const fetching = new Fetching({ ...options, from, node, target }, report);
    try {
      await fetching.run(stop);
      isDone = true;
      await fetching.serve(stop);
    } finally {
      fetching.leave();
    }
  } finally {
    report.end();
    await node?.close();
    await target.close(isDone);
  }
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

async function listen({ log, listen: text }: GetOptions, address: OwnAddress): Promise<SwarmNode> {
  const peerId = `get-${randomBytes(6).toString("hex")}`;
  try {
    return await SwarmNode.listen({ peerId, role: "agent", ...address, log });
  } catch (error) {
    const what = `cannot listen on ${text ?? address.host}: ${(error as Error).message}`;
    throw new CommandError(EXIT.error, what);
  }
}
