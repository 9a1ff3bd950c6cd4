// The desk of one swarm at a node: whoever comes is told the piece table and a few members. Who is told
// of whom is decided in `core/introduction`; the pieces go another way. A desk that closes is missed only
// by newcomers.
import { randomBytes } from "node:crypto";
import {
  type DeskNote,
  decodeNote,
  encodeNote,
  ROWS_TOLD_MAX,
} from "../core/introduction/desk-note.ts";
import {
  type DeskEffect,
  type DeskInput,
  IntroductionDesk,
} from "../core/introduction/introduction-desk.ts";
import { PIECE_ROW_BYTES } from "../core/release/piece-table.ts";
import type { Frame } from "../core/swarm/frame.ts";
import type { PeerId } from "../core/swarm/message.ts";
import { Driver } from "../runtime/driver.ts";
import type { Connection } from "../runtime/peer/connection.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import type { ProvenTable } from "./table-proof.ts";

export interface DeskOptions {
  readonly node: SwarmNode;
  readonly swarm: string;
  readonly table: () => ProvenTable;
}

interface Visitor {
  readonly connection: Connection;
  hasJoined: boolean;
  /** The row from which on it has asked, while there are none. */
  asksFrom: number | undefined;
}

/** Name of a swarm's desk in the hello of a connection to it. */
export function deskName(swarm: string): string {
  return `desk/${swarm}`;
}

export class Desk {
  readonly #table: () => ProvenTable;
  readonly #machine = new IntroductionDesk(randomBytes(4).readUInt32LE());
  readonly #driver: Driver<DeskInput, DeskEffect>;
  readonly #visitors = new Map<PeerId, Visitor>();

  constructor({ node, swarm, table }: DeskOptions) {
    this.#table = table;
    this.#driver = new Driver(this.#machine, { perform: (effect) => this.#introduce(effect) });
    node.openDesk(deskName(swarm), (connection, hello) => this.#welcome(hello.peer, connection));
  }

  /** Members now. */
  get members(): number {
    return this.#machine.size;
  }

  /** There are more rows, or they are all. */
  tableGrown(): void {
    for (const visitor of this.#visitors.values()) {
      if (visitor.asksFrom !== undefined) this.#asked(visitor, visitor.asksFrom);
    }
  }

  #welcome(peer: PeerId, connection: Connection): void {
    this.#visitors.get(peer)?.connection.close("came again");
    const visitor: Visitor = { connection, hasJoined: false, asksFrom: undefined };
    this.#visitors.set(peer, visitor);
    connection.greeted({
      frame: (frame) => this.#hear(peer, visitor, frame),
      block: (_, buffer) => {
        connection.release(buffer);
        connection.destroy();
      },
      closed: () => {
        if (this.#visitors.get(peer) !== visitor) return;
        this.#visitors.delete(peer);
        this.#driver.input({ kind: "left", peer });
      },
    });
  }

  #hear(peer: PeerId, visitor: Visitor, frame: Frame): void {
    if (frame.kind !== "note") return;
    const note = decodeNote(frame.bytes);
    if (note.kind === "join") this.#joined(peer, visitor, note.address);
    if (note.kind === "ask") this.#asked(visitor, note.first);
  }

  /** Who joins once more on the same connection lacks neighbours. */
  #joined(peer: PeerId, visitor: Visitor, address: string): void {
    const fact = visitor.hasJoined
      ? { kind: "seeks" as const }
      : { kind: "joined" as const, address };
    visitor.hasJoined = true;
    this.#driver.input({ ...fact, peer });
  }

  #asked(visitor: Visitor, first: number): void {
    visitor.asksFrom = this.#answer(visitor.connection, first) ? undefined : first;
  }

  /** Tells rows from the first on; false when there are none yet. */
  #answer(connection: Connection, first: number): boolean {
    const { rows, proof } = this.#table();
    const count = rows.length / PIECE_ROW_BYTES;
    if (first > count || (first === count && !proof.isSealed)) return false;
    const end = Math.min(count, first + ROWS_TOLD_MAX);
    tell(connection, {
      kind: "rows",
      first,
      rows: rows.subarray(first * PIECE_ROW_BYTES, end * PIECE_ROW_BYTES),
      proof: end === count ? proof : undefined,
    });
    return true;
  }

  #introduce({ to, members }: DeskEffect): void {
    const visitor = this.#visitors.get(to);
    if (visitor !== undefined) tell(visitor.connection, { kind: "members", members });
  }
}

/** Sends a note. */
export function tell(connection: Connection, note: DeskNote): void {
  connection.send({ kind: "note", bytes: encodeNote(note) });
}
