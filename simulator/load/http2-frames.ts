// Frames of HTTP/2 (RFC 9113) as bytes: cuts what is read into frames, and makes those that are written. What they mean
// to a connection is decided in grpc-connection.ts.

/** Length of 24 bits, type, flags, stream of 31 bits. */
const HEAD_BYTES = 9;
/** Of a frame, where nobody has agreed on more; nobody asks for more here. */
export const PAYLOAD_BYTES_MAX = 16_384;
/** Before each message of gRPC: whether it is compressed, and its length of 32 bits. */
export const MESSAGE_HEAD_BYTES = 5;

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;

export const SETTING = { headerTableSize: 1, enablePush: 2, initialWindowSize: 4 } as const;

/** What a client says first. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Lies in what was read: to be copied by whoever keeps it. */
  readonly payload: Buffer;
}

/** Cuts a stream of bytes into frames. */
export class FrameCutter {
  #rest: Buffer | undefined;

  /** The frames that are whole by now; throws where one is longer than it may be. */
  *cut(read: Buffer): Generator<Http2Frame, void, void> {
    let bytes = this.#rest === undefined ? read : Buffer.concat([this.#rest, read]);
    while (bytes.length >= HEAD_BYTES) {
      const length = bytes.readUIntBE(0, 3);
      if (length > PAYLOAD_BYTES_MAX) throw new Error(`a frame of ${length} bytes`);
      const end = HEAD_BYTES + length;
      if (bytes.length < end) break;
      yield {
        type: bytes[3] as number,
        flags: bytes[4] as number,
        stream: bytes.readUInt32BE(5) & 0x7fff_ffff,
        payload: bytes.subarray(HEAD_BYTES, end),
      };
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.length === 0 ? undefined : bytes;
  }
}

/** One frame. */
export function frameOf(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(0),
): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(stream, 5);
  frame.set(payload, HEAD_BYTES);
  return frame;
}

/** A number of 32 bits, as PING, RST_STREAM and WINDOW_UPDATE have it. */
export function word(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The payload of SETTINGS. */
export function settingsOf(settings: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.allocUnsafe(settings.length * 6);
  for (const [index, [id, value]] of settings.entries()) {
    bytes.writeUInt16BE(id, index * 6);
    bytes.writeUInt32BE(value, index * 6 + 2);
  }
  return bytes;
}

/** The settings in a payload. */
export function* readSettings(payload: Buffer): Generator<readonly [number, number], void, void> {
  for (let at = 0; at + 6 <= payload.length; at += 6) {
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
  }
}

/** The payload of DATA without its padding. */
export function dataOf({ flags, payload }: Http2Frame): Buffer {
  if ((flags & FLAG.padded) === 0) return payload;
  return payload.subarray(1, payload.length - (payload[0] as number));
}

/** Header fields, each as it is: none is put into the table that both ends would have to keep (RFC 7541, 6.2.2). */
export function headersOf(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => {
      const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
      if (Math.max(nameBytes.length, valueBytes.length) >= 0x7f) {
        throw new Error(`header ${name}: longer than 126 bytes`);
      }
      const lengths = [
        Buffer.from([0, nameBytes.length]),
        Buffer.from([valueBytes.length]),
      ] as const;
      return Buffer.concat([lengths[0], nameBytes, lengths[1], valueBytes]);
    }),
  );
}

/** A message with the head that gRPC gives it. */
export function messageOf(bytes: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(MESSAGE_HEAD_BYTES + bytes.length);
  message[0] = 0;
  message.writeUInt32BE(bytes.length, 1);
  message.set(bytes, MESSAGE_HEAD_BYTES);
  return message;
}
