// Frames of the peer protocol as bytes: u32le length of the rest, u8 type, fields little endian.
// It bounds everything before it allocates; malformed bytes give FrameError. Reading a stream into
// frames, and the payload that follows the frame of a block, belong to `runtime/peer/frame-reader.ts`.
import { PIECE_BYTES_MAX, PIECES_MAX } from "../release/limits.ts";
import { BLOCK_BYTES_MAX } from "./limits.ts";
import type { Message, PeerRole, RefuseReason } from "./message.ts";

/** Version of this protocol; a peer of another version is refused. */
export const PROTOCOL_VERSION = 1;
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
  | { readonly kind: "alive" };

/** Bytes that are no frame; the connection they came on is of no further use. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

const TYPES = {
  hello: 1,
  bitfield: 2,
  have: 3,
  request: 4,
  cancel: 5,
  block: 6,
  refuse: 7,
  bye: 8,
  alive: 9,
} as const satisfies Record<Frame["kind"], number>;

/** The type byte of a block, whose fields are read by `blockHead`. */
export const BLOCK_TYPE: number = TYPES.block;

/** Least and most bytes after the head, by type; of a block without its payload. */
const BODY_BYTES: Readonly<Record<number, readonly [number, number]>> = {
  [TYPES.hello]: [6, 6 + 2 * ID_BYTES_MAX],
  [TYPES.bitfield]: [0, PIECES_MAX / 8],
  [TYPES.have]: [4, FRAME_BODY_BYTES_MAX],
  [TYPES.request]: [12, 12],
  [TYPES.cancel]: [4, 4],
  [TYPES.block]: [8 + 1, 8 + BLOCK_BYTES_MAX],
  [TYPES.refuse]: [5, 5],
  [TYPES.bye]: [0, BYE_BYTES_MAX],
  [TYPES.alive]: [0, 0],
};

const ROLES: readonly PeerRole[] = ["agent", "relay"];
const REASONS: readonly RefuseReason[] = ["absent", "busy", "lent"];

/** Reads the head of a frame: its type and the bytes that follow. Throws FrameError. */
export function frameHead(head: Uint8Array): { readonly type: number; readonly bodyBytes: number } {
  const view = viewOf(head);
  const bodyBytes = view.getUint32(0, true) - 1;
  const type = view.getUint8(4);
  const range = BODY_BYTES[type];
  if (range === undefined) throw new FrameError(`frame type ${type} is unknown`);
  if (bodyBytes < range[0] || bodyBytes > range[1]) {
    throw new FrameError(`frame of type ${type} has ${bodyBytes} bytes (limit ${range[1]})`);
  }
  return { type, bodyBytes };
}

/** Reads the fields of a block whose frame has `bodyBytes` after its head. Throws FrameError. */
export function blockHead(fields: Uint8Array, bodyBytes: number): Message & { kind: "block" } {
  const view = viewOf(fields);
  const bytes = bodyBytes - 8;
  return {
    kind: "block",
    piece: piece(view, 0),
    offset: offset(view, 4, bytes),
    bytes,
  };
}

/** Reads the body of any frame but a block. Throws FrameError. */
export function decodeFrame(type: number, body: Uint8Array): Frame {
  const view = viewOf(body);
  switch (type) {
    case TYPES.hello:
      return decodeHello(body, view);
    case TYPES.bitfield:
      return { kind: "bitfield", bits: body.slice() };
    case TYPES.have:
      return decodeHave(view);
    case TYPES.request:
      return decodeRequest(view);
    case TYPES.cancel:
      return { kind: "cancel", piece: piece(view, 0) };
    case TYPES.refuse: {
      const reason = REASONS[view.getUint8(4)];
      if (reason === undefined) throw new FrameError("reason of a refusal is unknown");
      return { kind: "refuse", piece: piece(view, 0), reason };
    }
    case TYPES.bye:
      return { kind: "bye", reason: text(body) };
    case TYPES.alive:
      return { kind: "alive" };
    default:
      throw new FrameError(`frame type ${type} has no body to decode`);
  }
}

/** Writes a frame; of a block only what comes before its payload. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case "hello":
      return encodeHello(frame);
    case "bitfield": {
      const bytes = start("bitfield", frame.bits.length);
      bytes.set(frame.bits, FRAME_HEAD_BYTES);
      return bytes;
    }
    case "have":
      return words("have", frame.pieces);
    case "request":
      return words("request", [frame.piece, frame.offset, frame.bytes]);
    case "cancel":
      return words("cancel", [frame.piece]);
    case "block": {
      const bytes = words("block", [frame.piece, frame.offset]);
      viewOf(bytes).setUint32(0, 1 + 8 + frame.bytes, true);
      return bytes;
    }
    case "refuse": {
      const bytes = start("refuse", 5);
      viewOf(bytes).setUint32(FRAME_HEAD_BYTES, frame.piece, true);
      bytes[FRAME_HEAD_BYTES + 4] = REASONS.indexOf(frame.reason);
      return bytes;
    }
    case "bye": {
      const reason = new TextEncoder().encode(frame.reason).subarray(0, BYE_BYTES_MAX);
      const bytes = start("bye", reason.length);
      bytes.set(reason, FRAME_HEAD_BYTES);
      return bytes;
    }
    case "alive":
      return start("alive", 0);
    default:
      return frame satisfies never;
  }
}

function decodeHello(body: Uint8Array, view: DataView): Hello {
  const version = view.getUint8(0);
  if (version !== PROTOCOL_VERSION) {
    throw new FrameError(`peer speaks version ${version}, expected ${PROTOCOL_VERSION}`);
  }
  const role = ROLES[view.getUint8(1)];
  if (role === undefined) throw new FrameError("role of a hello is unknown");
  const swarmBytes = view.getUint16(2, true);
  const peerBytes = view.getUint16(4, true);
  if (6 + swarmBytes + peerBytes !== body.length) throw new FrameError("ids of a hello overrun it");
  const swarm = text(body.subarray(6, 6 + swarmBytes));
  const peer = text(body.subarray(6 + swarmBytes));
  if (swarm === "" || peer === "") throw new FrameError("an id of a hello is empty");
  return { kind: "hello", swarm, peer, role };
}

function encodeHello(hello: Hello): Uint8Array {
  const swarm = id(hello.swarm);
  const peer = id(hello.peer);
  const bytes = start("hello", 6 + swarm.length + peer.length);
  const view = viewOf(bytes);
  view.setUint8(FRAME_HEAD_BYTES, PROTOCOL_VERSION);
  view.setUint8(FRAME_HEAD_BYTES + 1, ROLES.indexOf(hello.role));
  view.setUint16(FRAME_HEAD_BYTES + 2, swarm.length, true);
  view.setUint16(FRAME_HEAD_BYTES + 4, peer.length, true);
  bytes.set(swarm, FRAME_HEAD_BYTES + 6);
  bytes.set(peer, FRAME_HEAD_BYTES + 6 + swarm.length);
  return bytes;
}

function decodeHave(view: DataView): Message {
  if (view.byteLength % 4 !== 0) throw new FrameError("a have is not made of whole numbers");
  const pieces: number[] = [];
  for (let at = 0; at < view.byteLength; at += 4) pieces.push(piece(view, at));
  return { kind: "have", pieces };
}

function decodeRequest(view: DataView): Message {
  const bytes = view.getUint32(8, true);
  if (bytes === 0 || bytes > BLOCK_BYTES_MAX) {
    throw new FrameError(`a request asks for ${bytes} bytes (limit ${BLOCK_BYTES_MAX})`);
  }
  return { kind: "request", piece: piece(view, 0), offset: offset(view, 4, bytes), bytes };
}

function piece(view: DataView, at: number): number {
  const number = view.getUint32(at, true);
  if (number >= PIECES_MAX) throw new FrameError(`piece ${number} (limit ${PIECES_MAX - 1})`);
  return number;
}

function offset(view: DataView, at: number, bytes: number): number {
  const number = view.getUint32(at, true);
  if (number + bytes > PIECE_BYTES_MAX) {
    throw new FrameError(`a block ends at ${number + bytes} (limit ${PIECE_BYTES_MAX})`);
  }
  return number;
}

function words(kind: Frame["kind"], numbers: readonly number[]): Uint8Array {
  const bytes = start(kind, 4 * numbers.length);
  const view = viewOf(bytes);
  numbers.forEach((number, index) => {
    view.setUint32(FRAME_HEAD_BYTES + 4 * index, number, true);
  });
  return bytes;
}

function start(kind: Frame["kind"], bodyBytes: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + bodyBytes);
  viewOf(bytes).setUint32(0, 1 + bodyBytes, true);
  bytes[4] = TYPES[kind];
  return bytes;
}

function id(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  if (bytes.length === 0 || bytes.length > ID_BYTES_MAX) {
    throw new RangeError(`id of ${bytes.length} bytes (limit ${ID_BYTES_MAX})`);
  }
  return bytes;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
