// Writes frames, of a block what comes before its payload.
import {
  BYE_BYTES_MAX,
  FRAME_HEAD_BYTES,
  type Frame,
  type Hello,
  ID_BYTES_MAX,
  PROTOCOL_VERSION,
  putU16,
  putU32,
  REASONS,
  ROLES,
  TYPES,
} from "./frame.ts";

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
    case "offer":
      return words("offer", [frame.count, ...frame.pieces]);
    case "request":
      return words("request", [frame.piece, frame.offset, frame.bytes]);
    case "cancel":
    case "decline":
      return words(frame.kind, [frame.piece]);
    case "block": {
      const bytes = words("block", [frame.piece, frame.offset]);
      putU32(bytes, 0, 1 + 8 + frame.bytes);
      return bytes;
    }
    case "refuse": {
      const bytes = start("refuse", 5);
      putU32(bytes, FRAME_HEAD_BYTES, frame.piece);
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
    case "got":
      return start(frame.kind, 0);
    case "note": {
      const bytes = start("note", frame.bytes.length);
      bytes.set(frame.bytes, FRAME_HEAD_BYTES);
      return bytes;
    }
    default:
      return frame satisfies never;
  }
}

function encodeHello(hello: Hello): Uint8Array {
  const swarm = id(hello.swarm);
  const peer = id(hello.peer);
  const bytes = start("hello", 6 + swarm.length + peer.length);
  bytes[FRAME_HEAD_BYTES] = PROTOCOL_VERSION;
  bytes[FRAME_HEAD_BYTES + 1] = ROLES.indexOf(hello.role);
  putU16(bytes, FRAME_HEAD_BYTES + 2, swarm.length);
  putU16(bytes, FRAME_HEAD_BYTES + 4, peer.length);
  bytes.set(swarm, FRAME_HEAD_BYTES + 6);
  bytes.set(peer, FRAME_HEAD_BYTES + 6 + swarm.length);
  return bytes;
}

function words(kind: Frame["kind"], numbers: readonly number[]): Uint8Array {
  const bytes = start(kind, 4 * numbers.length);
  let at = FRAME_HEAD_BYTES;
  for (const number of numbers) {
    putU32(bytes, at, number);
    at += 4;
  }
  return bytes;
}

function start(kind: Frame["kind"], bodyBytes: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + bodyBytes);
  putU32(bytes, 0, 1 + bodyBytes);
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
