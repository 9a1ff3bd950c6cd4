// What makes a piece table the ticket's: of a whole file the digest of all its rows, of a growing one
// the seed's signature over the rows so far. A piece is then verified by its row, as in every swarm.
import { blake3 } from "@napi-rs/blake-hash";
import type { RowsProof } from "../core/introduction/desk-note.ts";
import { PIECES_MAX } from "../core/release/limits.ts";
import { PIECE_ROW_BYTES, PieceTable } from "../core/release/piece-table.ts";
import { isSigned, SigningKey } from "../runtime/signing-key.ts";
import type { Ticket } from "./ticket.ts";

const NO_SIGNATURE = new Uint8Array();
const NO_ROWS = new Uint8Array();

/** Rows that are proven, and by what. */
export interface ProvenTable {
  readonly rows: Uint8Array;
  readonly proof: RowsProof;
}

/** What was told is not what the ticket promises. */
export class TableRefused extends Error {
  override readonly name = "TableRefused";
}

/** Digest of a piece table, in hex. */
export function tableDigest(rows: Uint8Array): string {
  return blake3(Buffer.from(rows)).toString("hex");
}

/** The proof of a whole file's table. */
export function wholeTable(rows: Uint8Array): ProvenTable {
  return { rows, proof: { isSealed: true, signature: NO_SIGNATURE } };
}

/** Signs the table of a growing file; the private key lives as long as this does. */
export class TableSigner {
  /** Public key for the ticket, in hex. */
  readonly key: string;
  readonly #swarm: string;
  readonly #key = SigningKey.generate();

  constructor(swarm: string) {
    this.#swarm = swarm;
    this.key = this.#key.publicKey.toString("hex");
  }

  prove(rows: Uint8Array, isSealed: boolean): ProvenTable {
    const signature = this.#key.sign(signedBytes(this.#swarm, rows, isSealed));
    return { rows, proof: { isSealed, signature } };
  }
}

/** The rows that somebody tells, held back until what came with them proves them. */
export class TableClaim {
  readonly #ticket: Ticket;
  #proven: ProvenTable = {
    rows: NO_ROWS,
    proof: { isSealed: false, signature: NO_SIGNATURE },
  };
  #claimed: Uint8Array = NO_ROWS;

  /** `rows` are those that an earlier process proved. */
  constructor(ticket: Ticket, rows: Uint8Array) {
    this.#ticket = ticket;
    this.#claimed = rows;
    if (ticket.kind === "whole" && tableDigest(rows) === ticket.table) {
      this.#proven = wholeTable(rows);
    }
  }

  get proven(): ProvenTable {
    return this.#proven;
  }

  /** The row to ask for next. */
  get next(): number {
    return this.#claimed.length / PIECE_ROW_BYTES;
  }

  /** Forgets what is not proven. */
  restart(): void {
    this.#claimed = this.#proven.rows;
  }

  /** Takes rows; true when all of them are proven by that. Throws TableRefused. */
  take(first: number, rows: Uint8Array, proof: RowsProof | undefined): boolean {
    if (first !== this.next) throw new TableRefused(`rows from ${first} on, not from ${this.next}`);
    const all = Buffer.concat([this.#claimed, rows]);
    if (all.length > PIECES_MAX * PIECE_ROW_BYTES) {
      throw new TableRefused(`more than ${PIECES_MAX} rows`);
    }
    this.#claimed = all;
    if (proof === undefined) return false;
    this.#prove(all, proof);
    this.#proven = { rows: all, proof };
    return true;
  }

  #prove(rows: Uint8Array, proof: RowsProof): void {
    const ticket = this.#ticket;
    const isProven =
      ticket.kind === "whole"
        ? proof.isSealed && tableDigest(rows) === ticket.table
        : isSigned(
            signedBytes(ticket.swarm, rows, proof.isSealed),
            Buffer.from(ticket.key, "hex"),
            proof.signature,
          );
    if (!isProven) throw new TableRefused("a piece table that is not the ticket's");
    const table = new PieceTable(rows, "the ticket's piece table");
    for (let piece = 0; piece < table.count; piece += 1) {
      if (table.kind(piece) === "data" && table.codec(piece) === "stored") continue;
      throw new TableRefused(`piece ${piece} is not a part of a file as it is`);
    }
    const { bytes } = ticket;
    if (proof.isSealed && bytes !== undefined && table.encodedTotalBytes !== bytes) {
      throw new TableRefused(`pieces of ${table.encodedTotalBytes} bytes for a file of ${bytes}`);
    }
  }
}

/** The swarm and whether the table ends here are signed too, so that neither can be exchanged. */
function signedBytes(swarm: string, rows: Uint8Array, isSealed: boolean): Buffer {
  return Buffer.from(
    `millrace table ${swarm} ${isSealed ? "whole" : "so far"} ${tableDigest(rows)}`,
  );
}
