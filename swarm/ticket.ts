// The ticket: a small text file that names a file's swarm, and all that is needed to trust what comes
// out of it. Of a whole file it has the size and the digest of the piece table; of one that still grows
// it has the seed's public key instead, by which the table is signed as it grows.
import { readFileSync } from "node:fs";
import { pathFault } from "../core/release/path-rules.ts";
import { parsePeerAddress } from "../runtime/peer/peer-address.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { writeJson } from "../runtime/program/json-file.ts";

const VERSION = 1;
/** Bytes of a ticket that is read: ten times what one has. */
const TICKET_BYTES_MAX = 8 * 1024;
const HEX_32 = /^[0-9a-f]{64}$/;

export type Ticket = WholeTicket | GrowingTicket;

interface AnyTicket {
  /** Name of the file, without folders. */
  readonly name: string;
  /** Names the swarm: 32 bytes in hex. */
  readonly swarm: string;
  /** Where the seed is, host:port. */
  readonly seed: string;
  /** It goes before the others of every process that is in several swarms. */
  readonly isUrgent?: boolean;
}

export interface WholeTicket extends AnyTicket {
  readonly kind: "whole";
  readonly bytes: number;
  /** BLAKE3 of the piece table, which has the BLAKE3 of each piece; in hex. */
  readonly table: string;
}

export interface GrowingTicket extends AnyTicket {
  readonly kind: "growing";
  /** Size that it will have, where that is known. */
  readonly bytes: number | undefined;
  /** Ed25519 public key that signs the piece table: 32 bytes in hex. */
  readonly key: string;
}

/** Writes a ticket; whoever reads it meanwhile sees the old one or the new one. */
export function writeTicket(path: string, ticket: Ticket): void {
  writeJson(path, { millraceTicket: VERSION, ...ticket });
}

/** Reads a ticket. Throws CommandError saying which field is wrong. */
export function readTicket(path: string): Ticket {
  const bytes = readFileSync(path);
  const wrong = (what: string) => new CommandError(EXIT.usage, `${path} is no ticket: ${what}`);
  if (bytes.length > TICKET_BYTES_MAX) {
    throw wrong(`it has ${bytes.length} bytes (limit ${TICKET_BYTES_MAX})`);
  }
  let fields: Record<string, unknown>;
  try {
    fields = Object(JSON.parse(bytes.toString("utf8")));
  } catch {
    throw wrong("it is not JSON");
  }
  const { millraceTicket, kind, name, swarm, seed, isUrgent = false } = fields;
  if (millraceTicket !== VERSION) {
    throw wrong(
      `"millraceTicket" is ${JSON.stringify(millraceTicket)}, this program reads ${VERSION}`,
    );
  }
  if (kind !== "whole" && kind !== "growing") throw wrong('"kind" is neither whole nor growing');
  if (typeof name !== "string" || nameFault(name) !== undefined) {
    throw wrong(`"name" ${nameFault(String(name)) ?? "is missing"}`);
  }
  if (!isHex(swarm)) throw wrong('"swarm" is not 32 bytes in hex');
  if (typeof seed !== "string" || parsePeerAddress(seed) === undefined) {
    throw wrong('"seed" is not host:port');
  }
  if (typeof isUrgent !== "boolean") throw wrong('"isUrgent" is neither true nor false');
  const any = { name, swarm, seed, ...(isUrgent && { isUrgent }) };
  if (kind === "whole") {
    if (!isSize(fields["bytes"])) throw wrong('"bytes" is not a whole number');
    if (!isHex(fields["table"])) throw wrong('"table" is not 32 bytes in hex');
    return { kind, ...any, bytes: fields["bytes"], table: fields["table"] };
  }
  const size = fields["bytes"];
  if (size !== undefined && !isSize(size)) throw wrong('"bytes" is not a whole number');
  if (!isHex(fields["key"])) throw wrong('"key" is not 32 bytes in hex');
  return { kind, ...any, bytes: size, key: fields["key"] };
}

/** Why a text cannot be the name of a file that somebody else chose; undefined: it can. */
export function nameFault(name: string): string | undefined {
  if (name.includes("/") || name.includes("\\")) return `${JSON.stringify(name)} names a folder`;
  return pathFault(name)?.detail;
}

function isHex(value: unknown): value is string {
  return typeof value === "string" && HEX_32.test(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
