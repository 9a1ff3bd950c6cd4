// What frames of the peer protocol are: u32le length of the rest, u8 type, fields little endian; their
// kinds and limits, and the head by which a reader knows what comes. `decode-frame.ts` and
// `encode-frame.ts` do the bodies; reading a stream belongs to `runtime/peer/frame-reader.ts`.
import { PIECE_BYTES_MAX, PIECES_MAX } from "../release/limits.ts";
import { BLOCK_BYTES_MAX, OFFERED_PIECES_MAX } from "./limits.ts";
import type { Message, PeerRole, RefuseReason } from "./message.ts";

/** Version of this protocol; a peer of another version is refused. */
export const PROTOCOL_VERSION = 3;
/** Bytes of an id in a hello, a pack's or a peer's. */
export const ID_BYTES_MAX = 128;
/** Bytes of the text of a bye. */
export const BYE_BYTES_MAX = 256;
/** Bytes of a frame before its fields: length and type. */
export const FRAME_HEAD_BYTES = 5;
/** Bytes of a block's frame without its payload: head, piece, offset. */
export const BLOCK_HEAD_BYTES = FRAME_HEAD_BYTES + 8;
/** Bytes of any frame after its head, without payload: `have` of every piece is the longest. */
export const FRAME_BODY_BYTES_MAX = 4 * PIECES_MAX;

/** Bytes of a note: what a reader has room for anyway. */
export const NOTE_BYTES_MAX = FRAME_BODY_BYTES_MAX;

/** The first frame in both directions. */
export interface Hello {
  readonly kind: "hello";
  readonly swarm: string;
  readonly peer: string;
  readonly role: PeerRole;
}

/** What a connection carries: messages of the machine, and what the transport itself says. */
export type Frame =
  | Hello
  | Message
  | { readonly kind: "bye"; readonly reason: string }
  | { readonly kind: "alive" }
  /** On a connection to a desk: bytes that its two ends understand. */
  | { readonly kind: "note"; readonly bytes: Uint8Array };

/** Bytes that are no frame; the connection they came on is of no further use. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** The type byte of each frame. */
export const TYPES = {
  hello: 1,
  bitfield: 2,
  have: 3,
  request: 4,
  cancel: 5,
  block: 6,
  refuse: 7,
  bye: 8,
  alive: 9,
  note: 10,
  offer: 11,
  got: 12,
  decline: 13,
} as const satisfies Record<Frame["kind"], number>;

/** The type byte of a block, whose fields are read by `blockHead`. */
export const BLOCK_TYPE: number = TYPES.block;

/** Least and most bytes after the head, by type; of a block without its payload. */
const BODY_BYTES: Readonly<Record<number, readonly [number, number]>> = {
  [TYPES.hello]: [6, 6 + 2 * ID_BYTES_MAX],
  [TYPES.bitfield]: [0, PIECES_MAX / 8],
  [TYPES.have]: [4, FRAME_BODY_BYTES_MAX],
  [TYPES.offer]: [8, 4 + 4 * OFFERED_PIECES_MAX],
  [TYPES.request]: [12, 12],
  [TYPES.cancel]: [4, 4],
  [TYPES.block]: [8 + 1, 8 + BLOCK_BYTES_MAX],
  [TYPES.refuse]: [5, 5],
  [TYPES.bye]: [0, BYE_BYTES_MAX],
  [TYPES.alive]: [0, 0],
  [TYPES.note]: [1, NOTE_BYTES_MAX],
  [TYPES.got]: [0, 0],
  [TYPES.decline]: [4, 4],
};

/** Roles by their byte. */
export const ROLES: readonly PeerRole[] = ["agent", "relay"];
/** Reasons by their byte. */
export const REASONS: readonly RefuseReason[] = ["absent", "busy"];

/** Reads the head of a frame, from `at` on: its type and the bytes that follow. Throws FrameError. */
export function frameHead(
  bytes: Uint8Array,
  at = 0,
): { readonly type: number; readonly bodyBytes: number } {
  const bodyBytes = u32At(bytes, at) - 1;
  const type = bytes[at + 4] ?? 0;
  const range = BODY_BYTES[type];
  if (range === undefined) throw new FrameError(`frame type ${type} is unknown`);
  if (bodyBytes < range[0] || bodyBytes > range[1]) {
    throw new FrameError(`frame of type ${type} has ${bodyBytes} bytes (limit ${range[1]})`);
  }
  return { type, bodyBytes };
}

/** Reads the fields of a block whose frame has `bodyBytes` after its head. Throws FrameError. */
export function blockHead(fields: Uint8Array, bodyBytes: number): Message & { kind: "block" } {
  const bytes = bodyBytes - 8;
  return {
    kind: "block",
    piece: pieceAt(fields, 0),
    offset: offsetAt(fields, 4, bytes),
    bytes,
  };
}

/** A piece's number, within the limit. Throws FrameError. */
export function pieceAt(body: Uint8Array, at: number): number {
  const number = u32At(body, at);
  if (number >= PIECES_MAX) throw new FrameError(`piece ${number} (limit ${PIECES_MAX - 1})`);
  return number;
}

/** An offset from which so many bytes lie within a piece. Throws FrameError. */
export function offsetAt(body: Uint8Array, at: number, bytes: number): number {
  const number = u32At(body, at);
  if (number + bytes > PIECE_BYTES_MAX) {
    throw new FrameError(`a block ends at ${number + bytes} (limit ${PIECE_BYTES_MAX})`);
  }
  return number;
}

/** The number at a place, u16le. */
export function u16At(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

/** Puts a number at a place, u16le. */
export function putU16(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = number;
  bytes[at + 1] = number >>> 8;
}

/** The number at a place, u32le. A DataView for each frame would cost more than all else of it. */
export function u32At(bytes: Uint8Array, at: number): number {
  return (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;
}

/** Puts a number at a place, u32le. */
export function putU32(bytes: Uint8Array, at: number, number: number): void {
  putU16(bytes, at, number);
  putU16(bytes, at + 2, number >>> 16);
}
