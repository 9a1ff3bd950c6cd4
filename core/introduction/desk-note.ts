// What a peer and a desk say to each other, as bytes of a note frame: the peer says where it can be
// reached and asks for rows of the piece table, the desk tells rows and members. Little endian.
import { PIECES_MAX } from "../release/limits.ts";
import { PIECE_ROW_BYTES } from "../release/piece-table.ts";
import {
  FrameError,
  ID_BYTES_MAX,
  NOTE_BYTES_MAX,
  putU16,
  putU32,
  u16At,
  u32At,
} from "../swarm/frame.ts";
import type { DeskMember } from "./introduction-desk.ts";

/** Bytes of an address: a host name of 253, a colon and a port. */
export const ADDRESS_BYTES_MAX = 260;
/** Bytes of a signature (Ed25519); where a table needs none it has zero. */
export const SIGNATURE_BYTES = 64;
/** Kind, first row, flags. */
const ROWS_HEAD_BYTES = 1 + 4 + 1;
/** Rows in one note. */
export const ROWS_TOLD_MAX = Math.floor(
  (NOTE_BYTES_MAX - ROWS_HEAD_BYTES - SIGNATURE_BYTES) / PIECE_ROW_BYTES,
);

const KINDS = { join: 1, ask: 2, rows: 3, members: 4 } as const;
const SEALED = 1;
const PROVEN = 2;
const SIGNED = 4;

export type DeskNote =
  /** I am here; "": I cannot be dialled. Once more: I lack neighbours. */
  | { readonly kind: "join"; readonly address: string }
  /** Tell me the rows from this one on, as soon as there are any, or that there are no more. */
  | { readonly kind: "ask"; readonly first: number }
  /** `proof` goes with the last of the rows known now, and vouches for all of them from the first on. */
  | {
      readonly kind: "rows";
      readonly first: number;
      readonly rows: Uint8Array;
      readonly proof: RowsProof | undefined;
    }
  | { readonly kind: "members"; readonly members: readonly DeskMember[] };

/** What vouches for rows: the end of the table, or the seed's signature, or both. */
export interface RowsProof {
  /** These are all rows. */
  readonly isSealed: boolean;
  /** Empty where the ticket's digest is enough. */
  readonly signature: Uint8Array;
}

/** Writes a note. */
export function encodeNote(note: DeskNote): Uint8Array {
  switch (note.kind) {
    case "join":
      return joined([Uint8Array.of(KINDS.join), text(note.address)]);
    case "ask":
      return joined([Uint8Array.of(KINDS.ask), u32(note.first)]);
    case "rows": {
      const { proof } = note;
      const signature = proof?.signature ?? new Uint8Array();
      const flags =
        (proof?.isSealed === true ? SEALED : 0) |
        (proof === undefined ? 0 : PROVEN) |
        (signature.length > 0 ? SIGNED : 0);
      const head = [Uint8Array.of(KINDS.rows), u32(note.first), Uint8Array.of(flags)];
      return joined([...head, signature, note.rows]);
    }
    case "members":
      return joined([
        Uint8Array.of(KINDS.members),
        ...note.members.flatMap(({ peer, address }) => [text(peer), text(address)]),
      ]);
    default:
      return note satisfies never;
  }
}

/** Reads a note. Throws FrameError. */
export function decodeNote(bytes: Uint8Array): DeskNote {
  const reader = new Reader(bytes);
  const kind = reader.u8();
  switch (kind) {
    case KINDS.join: {
      const address = reader.text(ADDRESS_BYTES_MAX);
      reader.end();
      return { kind: "join", address };
    }
    case KINDS.ask: {
      const first = reader.row();
      reader.end();
      return { kind: "ask", first };
    }
    case KINDS.rows:
      return decodeRows(reader);
    case KINDS.members: {
      const members: DeskMember[] = [];
      while (!reader.isAtEnd) {
        members.push({ peer: reader.text(ID_BYTES_MAX), address: reader.text(ADDRESS_BYTES_MAX) });
      }
      return { kind: "members", members };
    }
    default:
      throw new FrameError(`a note of kind ${kind} is unknown`);
  }
}

function decodeRows(reader: Reader): DeskNote {
  const first = reader.row();
  const flags = reader.u8();
  const signature = reader.take((flags & SIGNED) === 0 ? 0 : SIGNATURE_BYTES);
  const rows = reader.rest();
  if (rows.length % PIECE_ROW_BYTES !== 0) throw new FrameError("a row of a note is cut off");
  const proof = { isSealed: (flags & SEALED) !== 0, signature };
  return { kind: "rows", first, rows, proof: (flags & PROVEN) === 0 ? undefined : proof };
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new FrameError("a note ends within a field");
    const taken = this.#bytes.slice(this.#at, end);
    this.#at = end;
    return taken;
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at);
  }

  u8(): number {
    return this.take(1)[0] as number;
  }

  row(): number {
    const row = u32At(this.take(4), 0);
    if (row > PIECES_MAX) throw new FrameError(`row ${row} of a note (limit ${PIECES_MAX})`);
    return row;
  }

  text(bytesMax: number): string {
    const count = u16At(this.take(2), 0);
    if (count > bytesMax) throw new FrameError(`a text of ${count} bytes (limit ${bytesMax})`);
    return new TextDecoder().decode(this.take(count));
  }

  end(): void {
    if (!this.isAtEnd) throw new FrameError("a note goes on behind its last field");
  }
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  const length = new Uint8Array(2);
  putU16(length, 0, bytes.length);
  return joined([length, bytes]);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  putU32(bytes, 0, value);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
