// Reads the bodies of frames. Malformed bytes give FrameError; lengths were checked with the head.
import {
  type Frame,
  FrameError,
  type Hello,
  offsetAt,
  PROTOCOL_VERSION,
  pieceAt,
  REASONS,
  ROLES,
  TYPES,
  u16At,
  u32At,
} from "./frame.ts";
import { BLOCK_BYTES_MAX } from "./limits.ts";
import type { Message } from "./message.ts";

/** Reads the body of any frame but a block. Throws FrameError. */
export function decodeFrame(type: number, body: Uint8Array): Frame {
  switch (type) {
    case TYPES.hello:
      return decodeHello(body);
    case TYPES.bitfield:
      return { kind: "bitfield", bits: body.slice() };
    case TYPES.have:
      return { kind: "have", pieces: decodePieces(body, 0) };
    case TYPES.offer:
      return { kind: "offer", count: u32At(body, 0), pieces: decodePieces(body, 4) };
    case TYPES.request:
      return decodeRequest(body);
    case TYPES.cancel:
      return { kind: "cancel", piece: pieceAt(body, 0) };
    case TYPES.refuse: {
      const reason = REASONS[body[4] ?? 0];
      if (reason === undefined) throw new FrameError("reason of a refusal is unknown");
      return { kind: "refuse", piece: pieceAt(body, 0), reason };
    }
    case TYPES.bye:
      return { kind: "bye", reason: text(body) };
    case TYPES.alive:
      return { kind: "alive" };
    case TYPES.note:
      return { kind: "note", bytes: body.slice() };
    case TYPES.got:
      return { kind: "got" };
    case TYPES.decline:
      return { kind: "decline", piece: pieceAt(body, 0) };
    default:
      throw new FrameError(`frame type ${type} has no body to decode`);
  }
}

function decodeHello(body: Uint8Array): Hello {
  const [version, roleByte = 0] = body;
  if (version !== PROTOCOL_VERSION) {
    throw new FrameError(`peer speaks version ${version}, expected ${PROTOCOL_VERSION}`);
  }
  const role = ROLES[roleByte];
  if (role === undefined) throw new FrameError("role of a hello is unknown");
  const swarmBytes = u16At(body, 2);
  const peerBytes = u16At(body, 4);
  if (6 + swarmBytes + peerBytes !== body.length) throw new FrameError("ids of a hello overrun it");
  const swarm = text(body.subarray(6, 6 + swarmBytes));
  const peer = text(body.subarray(6 + swarmBytes));
  if (swarm === "" || peer === "") throw new FrameError("an id of a hello is empty");
  return { kind: "hello", swarm, peer, role };
}

function decodePieces(body: Uint8Array, from: number): number[] {
  if (body.length % 4 !== 0) throw new FrameError("pieces are not made of whole numbers");
  const pieces: number[] = [];
  for (let at = from; at < body.length; at += 4) pieces.push(pieceAt(body, at));
  return pieces;
}

function decodeRequest(body: Uint8Array): Message {
  const bytes = u32At(body, 8);
  if (bytes === 0 || bytes > BLOCK_BYTES_MAX) {
    throw new FrameError(`a request asks for ${bytes} bytes (limit ${BLOCK_BYTES_MAX})`);
  }
  return { kind: "request", piece: pieceAt(body, 0), offset: offsetAt(body, 4, bytes), bytes };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
