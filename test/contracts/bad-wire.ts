// A wire that is not to be trusted: a TCP proxy which turns one bit around on its way, or is cut.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Passes bytes on to a target; of those that come back it may turn a bit of one around, once. */
export class BadWire {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  hasFlipped = false;
  #isCut = false;

  /** Listens before a target, `host:port`; `flipAtByte` counts over all connections. */
  static async listen(target: string, flipAtByte = Number.POSITIVE_INFINITY): Promise<BadWire> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new BadWire(server, target, flipAtByte);
  }

  private constructor(server: Server, target: string, flipAtByte: number) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [host, port] = target.split(":");
    let passed = 0;
    server.on("connection", (near) => {
      near.on("error", () => {});
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect(Number(port), host);
      far.on("data", (bytes: Buffer) => {
        const place = flipAtByte - passed;
        if (place >= 0 && place < bytes.length) {
          bytes[place] = (bytes[place] ?? 0) ^ 1;
          this.hasFlipped = true;
        }
        passed += bytes.length;
        near.write(bytes);
      });
      near.on("data", (bytes: Buffer) => far.write(bytes));
      far.on("error", () => {});
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
  }

  /** Ends what passes and lets nothing pass until `mend`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }
}
