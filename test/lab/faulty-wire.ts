// A wire that a test breaks by hand: a TCP proxy whose connections can be cut, refused, or made to lose what
// is asked or what is answered while they look whole. What was held back can be delivered late.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { until } from "./until.ts";

/** Only a test that fails waits so long for an answer. */
const ANSWERED_MS = 60_000;

/** What happens to bytes: `mute` loses answers, `held` keeps requests back, `cut` refuses connections. */
export type WireState = "open" | "mute" | "held" | "cut";

interface Link {
  readonly near: Socket;
  readonly far: Socket;
  held: Buffer[];
}

/** A proxy before one target. */
export class FaultyWire {
  /** Whom to dial instead of the target, host:port. */
  readonly address: string;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #state: WireState = "open";

  /** Listens before a target, `host:port`. */
  static async listen(target: string): Promise<FaultyWire> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FaultyWire(server, target);
  }

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [host, port] = target.split(":");
    server.on("connection", (near) => {
      if (this.#state === "cut") near.destroy();
      else this.#join(near, connect(Number(port), host));
    });
  }

  /** Changes what happens to bytes from now on. */
  become(state: WireState): void {
    this.#state = state;
  }

  /** Cuts the connections of whoever dialled; the target does not hear of it where requests are held. */
  breakConnections(): void {
    for (const { near } of this.#links) near.destroy();
  }

  /** Resolves when a request is held back. */
  async heldSome(): Promise<void> {
    await until("a request to be held back", () =>
      [...this.#links].some(({ held }) => held.length > 0),
    );
  }

  /** Delivers what was held back, and resolves when the target has answered it. */
  async deliverHeld(): Promise<void> {
    for (const link of [...this.#links].filter(({ held }) => held.length > 0)) {
      const answered = once(link.far, "data", { signal: AbortSignal.timeout(ANSWERED_MS) });
      link.far.write(Buffer.concat(link.held));
      link.held = [];
      await answered;
      link.far.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const { near, far } of this.#links) {
      near.destroy();
      far.destroy();
    }
    await closed;
  }

  #join(near: Socket, far: Socket): void {
    const link: Link = { near, far, held: [] };
    this.#links.add(link);
    near.on("data", (bytes: Buffer) => {
      if (this.#state === "held" || link.held.length > 0) link.held.push(bytes);
      else far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      if (this.#state !== "mute" && !near.destroyed) near.write(bytes);
    });
    near.on("error", () => {});
    far.on("error", () => {});
    near.on("close", () => {
      if (link.held.length === 0) far.destroy();
    });
    far.on("close", () => {
      near.destroy();
      this.#links.delete(link);
    });
  }
}
