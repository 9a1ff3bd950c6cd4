// A long wire on this machine: a TCP proxy that delivers whatever it takes a given time later, in either
// direction, in order, and takes all that comes, so that it limits no rate. Others may look at what passes.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Hears of bytes: as they come from whoever dialled, and as they are delivered there. */
export interface WireTap {
  asked(bytes: Buffer): void;
  answered(bytes: Buffer): void;
}

interface Parcel {
  readonly bytes: Buffer;
  readonly dueAt: number;
}

export class DelayingWire {
  /** Whom to dial instead of the target, host:port. */
  readonly address: string;
  readonly #server: Server;
  readonly #delayMs: number;
  readonly #sockets = new Set<Socket>();

  /** Listens before a target, `host:port`; a round trip takes twice `delayMs`. */
  static async listen(target: string, delayMs: number, tap: WireTap): Promise<DelayingWire> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new DelayingWire(server, target, delayMs, tap);
  }

  private constructor(server: Server, target: string, delayMs: number, tap: WireTap) {
    this.#server = server;
    this.#delayMs = delayMs;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [host, port] = target.split(":");
    server.on("connection", (near) => {
      const far = connect(Number(port), host);
      near.on("data", (bytes: Buffer) => tap.asked(bytes));
      this.#carry(near, far, () => {});
      this.#carry(far, near, (bytes) => tap.answered(bytes));
    });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #carry(from: Socket, to: Socket, delivered: (bytes: Buffer) => void): void {
    const parcels: Parcel[] = [];
    let timer: NodeJS.Timeout | undefined;
    const deliver = (): void => {
      timer = undefined;
      const now = performance.now();
      let first = parcels[0];
      while (first !== undefined && first.dueAt <= now) {
        delivered(first.bytes);
        to.write(first.bytes);
        parcels.shift();
        first = parcels[0];
      }
      if (first !== undefined) timer = setTimeout(deliver, Math.ceil(first.dueAt - now));
    };
    from.setNoDelay(true);
    from.on("data", (bytes: Buffer) => {
      parcels.push({ bytes, dueAt: performance.now() + this.#delayMs });
      timer ??= setTimeout(deliver, this.#delayMs);
    });
    this.#sockets.add(from);
    from.on("error", () => {});
    from.on("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
