// The ways between the members of an etcd, each through a proxy before the member that is dialled, so that a test can
// say who reaches whom, in which direction. Who dials is found in the kernel's tables: etcd does not say it itself.
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Of a line of /proc/net/tcp: our end, the other end, and the socket's inode; ends are hexadecimal address:port. */
const LOCAL = 1;
const REMOTE = 2;
const INODE = 9;

/** What is known of a member: its process, once it was started. */
export interface WayEnd {
  readonly pid: number | undefined;
}

interface Line {
  /** Members by index: who dialled, and whom. */
  readonly from: number;
  readonly to: number;
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes of it were dropped in some direction, so that it is of no use when all is well again. */
  isTorn: boolean;
}

/** One for all members; give it to `startEtcd`. */
export class MemberWays {
  readonly #servers: Server[] = [];
  readonly #lines = new Set<Line>();
  readonly #cut = new Set<string>();
  #members: readonly WayEnd[] = [];

  /** Listens before the next member, which listens for the others at `target`; gives where they find it. */
  async before(target: string): Promise<string> {
    const to = this.#servers.length;
    const server = createServer((near) => this.#join(near, to, target));
    this.#servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** The members as they run, in the order of `before`. */
  between(members: readonly WayEnd[]): void {
    this.#members = members;
  }

  /** From now on nothing of what the first sends comes to the second. */
  cut(from: WayEnd, to: WayEnd): void {
    this.#cut.add(wayOf(this.#members.indexOf(from), this.#members.indexOf(to)));
  }

  /** Cuts a member off from all others, in both directions. */
  isolate(member: WayEnd): void {
    for (const other of this.#members) {
      if (other === member) continue;
      this.cut(member, other);
      this.cut(other, member);
    }
  }

  /** All reach all again, by new connections where bytes were lost; gives how many these are. */
  heal(): number {
    this.#cut.clear();
    const torn = [...this.#lines].filter(({ isTorn }) => isTorn);
    for (const { near } of torn) near.destroy();
    return torn.length;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const { near } of this.#lines) near.destroy();
  }

  #join(near: Socket, to: number, target: string): void {
    const [host, port] = target.split(":");
    const far = connect(Number(port), host);
    const line: Line = { from: this.#dialler(near), to, near, far, isTorn: false };
    this.#lines.add(line);
    this.#pass(line, near, far, wayOf(line.from, to));
    this.#pass(line, far, near, wayOf(to, line.from));
  }

  #pass(line: Line, source: Socket, target: Socket, way: string): void {
    let isTorn = false;
    source.on("data", (bytes: Buffer) => {
      isTorn ||= this.#cut.has(way);
      line.isTorn ||= isTorn;
      if (!isTorn) target.write(bytes);
    });
    source.on("error", () => {});
    source.on("close", () => {
      target.destroy();
      this.#lines.delete(line);
    });
  }

  /** Whose socket it is: by its ends to its inode, and by that to a member's process. */
  #dialler({ remotePort, localPort }: Socket): number {
    const [own, other] = [hexPort(remotePort), hexPort(localPort)];
    const rows = readFileSync("/proc/net/tcp", "utf8").split("\n");
    const inode = rows
      .map((row) => row.trim().split(/\s+/))
      .find((row) => row[LOCAL]?.endsWith(own) && row[REMOTE]?.endsWith(other))?.[INODE];
    const link = `socket:[${inode}]`;
    return this.#members.findIndex(({ pid }) => pid !== undefined && holdsSocket(pid, link));
  }
}

const wayOf = (from: number, to: number): string => `${from} ${to}`;

const hexPort = (port = 0): string => `:${port.toString(16).toUpperCase().padStart(4, "0")}`;

function holdsSocket(pid: number, link: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === link;
    } catch {
      // Closed meanwhile.
      return false;
    }
  });
}
