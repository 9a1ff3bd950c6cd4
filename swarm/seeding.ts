// One file being seeded: its swarm and desk, its ticket, and where it still grows, its growth, after which
// the ticket names the whole.
import { randomBytes } from "node:crypto";
import type { Swarm } from "../runtime/peer/swarm.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { pause } from "../runtime/program/back-off.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { Desk } from "./desk.ts";
import type { FileProgress, Report } from "./report.ts";
import type { SeededFile } from "./seeded-file.ts";
import { type ProvenTable, TableSigner, tableDigest, wholeTable } from "./table-proof.ts";
import { type Ticket, writeTicket } from "./ticket.ts";

/** A growing file is looked at so often at first: 250 KB come in it at 100 Mbit/s, one piece. */
const LOOK_MS_MIN = 20;
/** And so often later, as each look signs a table that all peers compare: 40 us here and 140 at each peer. */
const LOOK_MS_MAX = 100;
/** In between after a twentieth of the time that it has grown: so much later nobody is with the whole. */
const LOOK_SHARE = 1 / 20;

export interface SeedingOptions {
  readonly name: string;
  readonly file: SeededFile;
  readonly node: SwarmNode;
  /** Of the pieces that are there at the start. */
  readonly rows: Uint8Array;
  readonly isUrgent: boolean;
  /** Where the ticket is written. */
  readonly ticket: string;
  readonly isGrowing: boolean;
  /** Size that a growing file will have, where that is known. */
  readonly bytes: number | undefined;
  /** A growing file of unknown size is whole after so long without growth. */
  readonly quietMs: number;
}

export class Seeding {
  readonly #options: SeedingOptions;
  readonly #report: Report;
  readonly #swarmId: string;
  /** Of a growing file. */
  readonly #signer: TableSigner | undefined;
  readonly #swarm: Swarm;
  readonly #desk: Desk;
  #table: ProvenTable;

  /** Joins the swarm and opens its desk. */
  constructor(options: SeedingOptions, report: Report) {
    const { file, node, rows } = options;
    this.#options = options;
    this.#report = report;
    file.extend(rows);
    this.#swarmId = options.isGrowing ? randomBytes(32).toString("hex") : tableDigest(rows);
    this.#signer = options.isGrowing ? new TableSigner(this.#swarmId) : undefined;
    this.#table = this.#signer?.prove(rows, false) ?? wholeTable(rows);
    this.#swarm = node.join(this.#swarmId, file, [], options.isUrgent);
    this.#desk = new Desk({ node, swarm: this.#swarmId, table: () => this.#table });
  }

  /** Writes the ticket, and follows a growing file until it is whole or the signal comes. */
  async run(over: AbortSignal): Promise<void> {
    const ticket = this.#ticket();
    writeTicket(this.#options.ticket, ticket);
    this.#tellReady(ticket);
    if (this.#signer !== undefined) await this.#grow(this.#signer, over);
  }

  /** How far it is. Throws CommandError where the file was changed. */
  progress(): FileProgress {
    const { file } = this.#options;
    if (file.isChanged) {
      const what = `${file.path} was changed while it was seeded`;
      throw new CommandError(EXIT.error, `${what}; seed it again, under a new ticket`);
    }
    return {
      bytesHave: file.bytesRead,
      bytesWanted: file.bytesRead,
      isSealed: this.#table.proof.isSealed,
      bytesSent: this.#swarm.bytes.sent,
      peers: this.#desk.members,
    };
  }

  #ticket(): Ticket {
    const { name, file, node, isUrgent } = this.#options;
    const any = { name, swarm: this.#swarmId, seed: node.address, ...(isUrgent && { isUrgent }) };
    const { rows, proof } = this.#table;
    if (proof.isSealed || this.#signer === undefined) {
      return { kind: "whole", ...any, bytes: file.bytesRead, table: tableDigest(rows) };
    }
    return { kind: "growing", ...any, bytes: this.#options.bytes, key: this.#signer.key };
  }

  async #grow(signer: TableSigner, over: AbortSignal): Promise<void> {
    const { file, bytes, quietMs } = this.#options;
    let grewAt = performance.now();
    let beganAt: number | undefined;
    let bytesBefore = file.bytesRead;
    while (!over.aborted) {
      const rows = await file.readOn(false);
      const now = performance.now();
      if (file.bytesRead > bytesBefore) {
        grewAt = now;
        beganAt ??= now;
      }
      bytesBefore = file.bytesRead;
      const isWhole = bytes === undefined ? now - grewAt >= quietMs : file.bytesRead === bytes;
      const last = isWhole ? await file.readOn(true) : new Uint8Array();
      this.#extend(signer, Buffer.concat([rows, last]), isWhole);
      if (isWhole) return this.#tellWhole();
      const shareMs = LOOK_SHARE * (now - (beganAt ?? now));
      await pause(Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, shareMs)), over);
    }
  }

  #extend(signer: TableSigner, rows: Uint8Array, isWhole: boolean): void {
    if (rows.length === 0 && !isWhole) return;
    this.#swarm.extend(rows);
    this.#table = signer.prove(this.#options.file.rows, isWhole);
    this.#desk.tableGrown();
  }

  #tellReady(ticket: Ticket): void {
    const { file, node, ticket: path } = this.#options;
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
    const { file } = this.#options;
    const ticket = this.#ticket();
    writeTicket(this.#options.ticket, ticket);
    const text = `${ticket.name} is whole, ${formatBytes(file.bytesRead)}; its ticket says so now`;
    this.#report.event("whole", { ...ticket }, text);
  }
}
