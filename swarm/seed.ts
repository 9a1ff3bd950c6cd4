// `millrace swarm seed`: cuts files into pieces, writes their tickets, introduces whoever comes, and gives
// the pieces away, until it is told to end.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { SwarmLog } from "../runtime/peer/swarm.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import type { RateFlags } from "../runtime/program/rate-limits.ts";
import { type ListenFlags, type OwnAddress, ownAddress } from "./own-address.ts";
import { type Report, sumOf, tellProgress } from "./report.ts";
import { SeededFile } from "./seeded-file.ts";
import { Seeding } from "./seeding.ts";
import { endOf } from "./start-signal.ts";
import { nameFault } from "./ticket.ts";

export interface SeedOptions extends ListenFlags, RateFlags {
  readonly files: readonly string[];
  /** Those of the files that go before the others. */
  readonly urgent: readonly string[];
  /** Where the ticket is written; of several files the folder of their tickets. */
  readonly ticket: string;
  readonly listen: string;
  /** Name that a single file gets elsewhere; left out: its own. */
  readonly name?: string;
  readonly isGrowing: boolean;
  readonly bytes: number | undefined;
  readonly quietMs: number;
  /** Infinity: until the signal. */
  readonly seedForMs: number;
  readonly log: SwarmLog;
}

/** Seeds until the time is over or the signal comes. Throws CommandError. */
export async function seed(options: SeedOptions, report: Report, stop: AbortSignal): Promise<void> {
  const names = namesOf(options);
  const urgent = urgentOf(options);
  const address = await ownAddress(options, options.listen);
  if (address.host === undefined) throw new CommandError(EXIT.usage, "a seed has to be reached");
  const { isGrowing, bytes, seedForMs } = options;
  const files: SeededFile[] = [];
  let node: SwarmNode | undefined;
  try {
    const tables: Uint8Array[] = [];
    for (const path of options.files) {
      const file = await SeededFile.open({ path, isGrowing, bytes });
      files.push(file);
      tables.push(await file.readOn(!isGrowing));
    }
    node = await listen(options, address);
    const seedings = files.map((file, at) => {
      const [name = "", rows = new Uint8Array()] = [names[at], tables[at]];
      const ticket = ticketOf(options, name);
      const isUrgent = urgent.has(resolve(file.path));
      const own = { name, file, rows, node: node as SwarmNode, ticket, isUrgent };
      return new Seeding({ ...options, ...own }, report);
    });
    const over = endOf(seedForMs, stop);
    const progress = () => sumOf(seedings.map((one) => one.progress()));
    await Promise.all([
      ...seedings.map((one) => one.run(over)),
      tellProgress(report, progress, over),
    ]);
  } finally {
    report.end();
    await node?.close();
    for (const file of files) await file.close();
  }
}

/** The names that the files get elsewhere. Throws CommandError for one that cannot be one. */
function namesOf({ files, name }: SeedOptions): string[] {
  const names = name === undefined ? files.map((file) => basename(resolve(file))) : [name];
  for (const [at, one] of names.entries()) {
    const fault = nameFault(one);
    if (fault !== undefined) throw new CommandError(EXIT.usage, `the name of the file ${fault}`);
    if (names.indexOf(one) < at) throw new CommandError(EXIT.usage, `two files are named ${one}`);
  }
  return names;
}

/** The paths of the urgent files. Throws CommandError for one that is none of the files. */
function urgentOf({ files, urgent }: SeedOptions): ReadonlySet<string> {
  const paths = new Set(files.map((file) => resolve(file)));
  for (const one of urgent) {
    if (paths.has(resolve(one))) continue;
    throw new CommandError(EXIT.usage, `--urgent ${one} is none of the files that are seeded`);
  }
  return new Set(urgent.map((one) => resolve(one)));
}

function ticketOf({ files, ticket }: SeedOptions, name: string): string {
  if (files.length === 1) return ticket;
  mkdirSync(ticket, { recursive: true });
  return join(ticket, `${name}.ticket`);
}

async function listen(options: SeedOptions, address: OwnAddress): Promise<SwarmNode> {
  const { listen: text, log, upLimit, downLimit } = options;
  const peerId = `seed-${randomBytes(6).toString("hex")}`;
  try {
    return await SwarmNode.listen({ peerId, role: "relay", ...address, upLimit, downLimit, log });
  } catch (error) {
    throw new CommandError(EXIT.error, `cannot listen on ${text}: ${(error as Error).message}`);
  }
}
