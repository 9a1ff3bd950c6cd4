// A socket that reads into memory of its owner's choice. As Node reads otherwise, every 64 KiB have a buffer
// of their own: made, copied from, thrown away, and marked by the collector meanwhile (decision 0018). Who
// dials may say where to read to (`onread` of `net.Socket`), who accepts may not: so the connection is moved
// to a new socket, by a field that Node does not document.
import { Socket } from "node:net";

export interface DirectReads {
  /** Where the next bytes go; asked for after each read. */
  readonly space: () => Buffer;
  /** So many bytes were read there; false: no more are read until `resume` of the socket. */
  readonly filled: (bytes: number) => boolean;
  /** Bytes that had come before; told once the caller has returned. */
  readonly early: (bytes: Buffer) => void;
}

interface HandleOwner {
  _handle: object | null;
}

/** Moves a connected socket's connection to a new socket; nobody may use the old one any more. */
export function readDirectly(socket: Socket, { space, filled, early }: DirectReads): Socket {
  const owner = socket as unknown as HandleOwner;
  const handle = owner._handle;
  // Closed by now.
  if (handle === null) return socket;
  const bytes = socket.read() as Buffer | null;
  owner._handle = null;
  const options = { handle, onread: { buffer: space, callback: filled } };
  const direct = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  // The server that accepted the old one counts it until it is gone.
  direct.on("close", () => socket.destroy());
  if (bytes !== null) process.nextTick(early, bytes);
  return direct;
}
