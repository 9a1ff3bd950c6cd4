// `millrace swarm seed`: cuts a file into pieces, writes the ticket, introduces whoever comes, and gives
// the pieces away. A growing file is followed until it is whole; then its ticket names the whole.
import { randomBytes } from "node:crypto";
import { basename, resolve } from "node:path";
import type { Swarm, SwarmLog } from "../runtime/peer/swarm.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { pause } from "../runtime/program/back-off.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { Desk } from "./desk.ts";
import { type ListenFlags, type OwnAddress, ownAddress } from "./own-address.ts";
import type { Report } from "./report.ts";
import { SeededFile } from "./seeded-file.ts";
import { type ProvenTable, TableSigner, tableDigest, wholeTable } from "./table-proof.ts";
import { nameFault, type Ticket, writeTicket } from "./ticket.ts";

/** How often a growing file is looked at: 250 KB come in it at 100 Mbit/s, one piece. */
const LOOK_MS = 20;
/** How often progress is told. */
const PROGRESS_MS = 200;

export interface SeedOptions extends ListenFlags {
  readonly file: string;
  /** Where the ticket is written. */
  readonly ticket: string;
  readonly listen: string;
  /** Name that the file gets elsewhere; left out: its own. */
  readonly name?: string;
  readonly isGrowing: boolean;
  /** Size that a growing file will have, where that is known. */
  readonly bytes: number | undefined;
  /** A growing file of unknown size is whole after so long without growth. */
  readonly quietMs: number;
  /** Infinity: until the signal. */
  readonly seedForMs: number;
  readonly log: SwarmLog;
}

/** Seeds until the time is over or the signal comes. Throws CommandError. */
export async function seed(options: SeedOptions, report: Report, stop: AbortSignal): Promise<void> {
  const name = options.name ?? basename(resolve(options.file));
  const fault = nameFault(name);
  if (fault !== undefined) throw new CommandError(EXIT.usage, `the name of the file ${fault}`);
  const address = await ownAddress(options, options.listen);
  if (address.host === undefined) throw new CommandError(EXIT.usage, "a seed has to be reached");
  const { file: path, isGrowing, bytes } = options;
  const file = await SeededFile.open({ path, isGrowing, bytes });
  let node: SwarmNode | undefined;
  try {
    const rows = await file.readOn(!isGrowing);
    node = await listen(options, address);
    await new Seeding(options, { name, file, node, rows }, report).run(stop);
  } finally {
    report.end();
    await node?.close();
    await file.close();
  }
}

async function listen({ listen: text, log }: SeedOptions, address: OwnAddress): Promise<SwarmNode> {
  const peerId = `seed-${randomBytes(6).toString("hex")}`;
  try {
    return await SwarmNode.listen({ peerId, role: "relay", ...address, log });
  } catch (error) {
    throw new CommandError(EXIT.error, `cannot listen on ${text}: ${(error as Error).message}`);
  }
}

interface Opened {
  readonly name: string;
  readonly file: SeededFile;
  readonly node: SwarmNode;
  /** Of the pieces that are there at the start. */
  readonly rows: Uint8Array;
}

class Seeding {
  readonly #options: SeedOptions;
  readonly #opened: Opened;
  readonly #report: Report;
  readonly #swarmId: string;
  /** Of a growing file. */
  readonly #signer: TableSigner | undefined;
  readonly #swarm: Swarm;
  readonly #desk: Desk;
  #table: ProvenTable;

  constructor(options: SeedOptions, opened: Opened, report: Report) {
    const { file, node, rows } = opened;
    this.#options = options;
    this.#opened = opened;
    this.#report = report;
    file.extend(rows);
    this.#swarmId = options.isGrowing ? randomBytes(32).toString("hex") : tableDigest(rows);
    this.#signer = options.isGrowing ? new TableSigner(this.#swarmId) : undefined;
    this.#table = this.#signer?.prove(rows, false) ?? wholeTable(rows);
    this.#swarm = node.join(this.#swarmId, file, []);
    this.#desk = new Desk({ node, swarm: this.#swarmId, table: () => this.#table });
  }

  async run(stop: AbortSignal): Promise<void> {
    const { seedForMs, ticket: path } = this.#options;
    const ends = Number.isFinite(seedForMs) ? [stop, AbortSignal.timeout(seedForMs)] : [stop];
    const over = AbortSignal.any(ends);
    const ticket = this.#ticket();
    writeTicket(path, ticket);
    this.#tellReady(ticket);
    await Promise.all([
      this.#watch(over),
      this.#signer === undefined ? undefined : this.#grow(this.#signer, over),
    ]);
  }

  #ticket(): Ticket {
    const { name, file, node } = this.#opened;
    const any = { name, swarm: this.#swarmId, seed: node.address };
    const { rows, proof } = this.#table;
    if (proof.isSealed || this.#signer === undefined) {
      return { kind: "whole", ...any, bytes: file.bytesRead, table: tableDigest(rows) };
    }
    return { kind: "growing", ...any, bytes: this.#options.bytes, key: this.#signer.key };
  }

  async #grow(signer: TableSigner, over: AbortSignal): Promise<void> {
    const { file } = this.#opened;
    const { bytes, quietMs } = this.#options;
    let grewAt = performance.now();
    let bytesBefore = file.bytesRead;
    while (!over.aborted) {
      const rows = await file.readOn(false);
      const now = performance.now();
      if (file.bytesRead > bytesBefore) grewAt = now;
      bytesBefore = file.bytesRead;
      const isWhole = bytes === undefined ? now - grewAt >= quietMs : file.bytesRead === bytes;
      const last = isWhole ? await file.readOn(true) : new Uint8Array();
      this.#extend(signer, Buffer.concat([rows, last]), isWhole);
      if (isWhole) return this.#tellWhole();
      await pause(LOOK_MS, over);
    }
  }

  #extend(signer: TableSigner, rows: Uint8Array, isWhole: boolean): void {
    if (rows.length === 0 && !isWhole) return;
    this.#swarm.extend(rows);
    this.#table = signer.prove(this.#opened.file.rows, isWhole);
    this.#desk.tableGrown();
  }

  async #watch(over: AbortSignal): Promise<void> {
    const { file } = this.#opened;
    while (!over.aborted) {
      if (file.isChanged) {
        const what = `${file.path} was changed while it was seeded`;
        throw new CommandError(EXIT.error, `${what}; seed it again, under a new ticket`);
      }
      this.#report.progress({
        bytesHave: file.bytesRead,
        bytesWanted: file.bytesRead,
        isSealed: this.#table.proof.isSealed,
        bytesSent: this.#swarm.bytes.sent,
        peers: this.#desk.members,
      });
      await pause(PROGRESS_MS, over);
    }
  }

  #tellReady(ticket: Ticket): void {
    const { file, node } = this.#opened;
    const { ticket: path } = this.#options;
    const size = formatBytes(file.bytesRead) + (ticket.kind === "whole" ? "" : " so far");
    const fields = { ticket: path, address: node.address, ...ticket };
    this.#report.event(
      "ready",
      fields,
      `seeding ${ticket.name} (${size}) at ${node.address}, ticket ${path}; whoever has the ticket ` +
        "and reaches that address can read the file",
    );
  }

  #tellWhole(): void {
    const { file } = this.#opened;
    const ticket = this.#ticket();
    writeTicket(this.#options.ticket, ticket);
    const text = `${ticket.name} is whole, ${formatBytes(file.bytesRead)}; its ticket says so now`;
    this.#report.event("whole", { ...ticket }, text);
  }
}
