// A git server of one repository on a free port of loopback, which can stop in the middle of an answer.
import { spawn } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";

/** Serves `git://127.0.0.1:<port>/...`, whatever the path. */
export class GitServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Answers of a connection stop, without an end, after so many bytes. */
  bytesMax = Number.POSITIVE_INFINITY;
  /** Called when an answer has stopped. */
  onStall: () => void = () => {};
  /** Called when a connection has ended. */
  onClose: () => void = () => {};

  private constructor(path: string) {
    this.#server = createServer((socket) => this.#serve(socket, path));
  }

  static async start(path: string): Promise<GitServer> {
    const server = new GitServer(path);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    const address = this.#server.address() as { port: number };
    return `git://127.0.0.1:${address.port}/repository`;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket, path: string): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.onClose();
    });
    let request = Buffer.alloc(0);
    const onData = (data: Buffer): void => {
      request = Buffer.concat([request, data]);
      const length = Number.parseInt(request.toString("latin1", 0, 4), 16);
      if (!(request.length >= length)) return;
      socket.off("data", onData);
      this.#answer(socket, path, request.subarray(length));
    };
    socket.on("data", onData);
  }

  #answer(socket: Socket, path: string, rest: Buffer): void {
    const child = spawn("git", ["upload-pack", path], { stdio: ["pipe", "pipe", "ignore"] });
    child.stdin.on("error", () => {});
    child.stdin.write(rest);
    socket.pipe(child.stdin);
    socket.on("close", () => child.kill());
    let left = this.bytesMax;
    child.stdout.on("data", (data: Buffer) => {
      if (left > 0) socket.write(data.subarray(0, left));
      left -= data.length;
      if (left <= 0) this.onStall();
    });
    child.stdout.on("end", () => left > 0 && socket.end());
  }
}
