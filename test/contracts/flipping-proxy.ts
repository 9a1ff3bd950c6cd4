// A wire that is not to be trusted: a TCP proxy which turns one bit around on its way.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Passes bytes on, but flips a bit of one of those that come back from the target, once. */
export class FlippingProxy {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  hasFlipped = false;

  /** Listens before a target, `host:port`; the byte counts over all connections. */
  static async listen(target: string, atByte: number): Promise<FlippingProxy> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FlippingProxy(server, target, atByte);
  }

  private constructor(server: Server, target: string, atByte: number) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [host, port] = target.split(":");
    let passed = 0;
    server.on("connection", (near) => {
      const far = connect(Number(port), host);
      far.on("data", (bytes: Buffer) => {
        const place = atByte - passed;
        if (place >= 0 && place < bytes.length) {
          bytes[place] = (bytes[place] ?? 0) ^ 1;
          this.hasFlipped = true;
        }
        passed += bytes.length;
        near.write(bytes);
      });
      near.on("data", (bytes: Buffer) => far.write(bytes));
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => {});
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
