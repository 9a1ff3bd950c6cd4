// A real etcd for tests: one member or several, each a process with a data folder of its own, that can be
// stopped, killed and started again on the same ports. It knows nothing of the store that is tried on it.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "./free-ports.ts";
import type { MemberWays } from "./member-ways.ts";
import { until } from "./until.ts";

/** A command of etcdctl takes less; one that hangs is a failure. */
const ETCDCTL_MS_MAX = 30_000;
/** What etcd logs once its clients are served. */
const READY = /serving client traffic|ready to serve client requests/;
/** Lines of its log that are shown when it ends before it is ready. */
const LINES_SHOWN = 20;

/** What may differ from one plain member. */
export interface EtcdOptions {
  readonly members?: number;
  /** Further flags of every member, as `--auto-compaction-retention=1`. */
  readonly flags?: readonly string[];
  /** Set where `flags` make clients use TLS. */
  readonly secure?: boolean;
  /** Members reach each other by these ways. */
  readonly ways?: MemberWays;
}

/**
 * Starts a cluster of its own on free ports, and resolves once every member serves. Where etcd is missing the
 * test fails and says how to get it: a store that is not tried on the real thing proves nothing.
 */
export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  const { members: count = 1, flags = [], secure = false, ways } = options;
  const folder = await mkdtemp(join(tmpdir(), "millrace-etcd-"));
  const ports = await freePorts(2 * count);
  const places: { name: string; client: string; listen: string; peer: string }[] = [];
  for (let index = 0; index < count; index += 1) {
    const [client, listen] = [2 * index, 2 * index + 1].map((at) => `127.0.0.1:${ports[at]}`);
    if (client === undefined || listen === undefined) throw new Error("a member has two ports");
    const found = (await ways?.before(listen)) ?? listen;
    places.push({ name: `m${index}`, client, listen: `http://${listen}`, peer: `http://${found}` });
  }
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const members = places.map(({ name, client, listen, peer }) => {
    const url = `${secure ? "https" : "http"}://${client}`;
    const identity = [
      ...["--name", name, "--data-dir", join(folder, name)],
      ...["--initial-cluster", cluster, "--initial-cluster-token", folder],
      ...["--initial-advertise-peer-urls", peer],
    ];
    return new EtcdMember({ name, address: client, peer, data: join(folder, name), identity }, [
      ...["--logger", "zap", "--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", listen],
      ...flags,
    ]);
  });
  const etcd = new Etcd(members, folder);
  ways?.between(members);
  try {
    await Promise.all(members.map((member) => member.start()));
  } catch (error) {
    await etcd.dispose();
    throw error;
  }
  return etcd;
}

/** A running cluster. */
export class Etcd {
  readonly members: readonly EtcdMember[];
  readonly #folder: string;

  constructor(members: readonly EtcdMember[], folder: string) {
    this.members = members;
    this.#folder = folder;
  }

  /** The members' addresses as in `--store etcd://...`. */
  get hosts(): string {
    return this.members.map(({ address }) => address).join(",");
  }

  /** The member that leads the others. */
  leader(): EtcdMember {
    const endpoints = ["--endpoints", this.hosts];
    // address, id, version, size, whether it leads, ...
    const rows = etcdctl(...endpoints, "endpoint", "status").split("\n");
    const [address = ""] = rows.find((row) => row.split(", ")[4] === "true")?.split(", ") ?? [];
    const leader = this.members.find((member) => member.address === address);
    if (leader === undefined) throw new Error(`no member leads: ${rows.join("; ")}`);
    return leader;
  }

  /** Loses a member with its data, and has another take its place at the same addresses, as an operator does. */
  async replace(lost: EtcdMember): Promise<void> {
    const endpoints = [
      "--endpoints",
      this.#besides(lost)
        .map(({ address }) => address)
        .join(","),
    ];
    await lost.stop("SIGKILL");
    await lost.wipe();
    const listed = etcdctl(...endpoints, "member", "list");
    const line = listed.split("\n").find((text) => text.includes(lost.peer));
    const [id = ""] = line?.split(",") ?? [];
    // Members are changed only while the others have been connected for 5 s.
    await this.#patiently(() => etcdctl(...endpoints, "member", "remove", id));
    await this.#patiently(() =>
      etcdctl(...endpoints, "member", "add", lost.name, "--peer-urls", lost.peer),
    );
    await lost.start(["--initial-cluster-state", "existing"]);
  }

  /** Writes a backup as an operator does. */
  save(path: string): void {
    etcdctl("--endpoints", this.members[0]?.address ?? "", "snapshot", "save", path);
  }

  /** Puts every member back to a backup; none runs meanwhile. */
  async restore(path: string): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop("SIGKILL")));
    for (const member of this.members) {
      await member.wipe();
      etcdctl("snapshot", "restore", path, ...member.identity);
    }
    await Promise.all(this.members.map((member) => member.start()));
  }

  /** Ends every member and removes its data. */
  async dispose(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop("SIGKILL")));
    await rm(this.#folder, { recursive: true });
  }

  #besides(lost: EtcdMember): readonly EtcdMember[] {
    return this.members.filter((member) => member !== lost);
  }

  async #patiently(change: () => void): Promise<void> {
    let refusal: unknown;
    const done = until("etcd to take the change", () => {
      try {
        change();
        return true;
      } catch (error) {
        refusal = error;
        return false;
      }
    });
    await done.catch(() => {
      throw refusal;
    });
  }
}

function etcdctl(...args: string[]): string {
  const env = { ...process.env, ETCDCTL_API: "3" };
  try {
    return execFileSync("etcdctl", args, {
      env,
      stdio: "pipe",
      encoding: "utf8",
      timeout: ETCDCTL_MS_MAX,
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new Error("etcdctl is not there: apt-get install etcd-client", { cause });
  }
}

/** Where a member is found, and where its data lie. */
interface EtcdPlace {
  readonly name: string;
  readonly address: string;
  readonly peer: string;
  readonly data: string;
  readonly identity: readonly string[];
}

/** One member: a process, its port and its data. */
export class EtcdMember {
  readonly address: string;
  readonly name: string;
  /** URL at which other members find it. */
  readonly peer: string;
  /** Flags that say which member of which cluster it is, as a restore takes them too. */
  readonly identity: readonly string[];
  readonly #data: string;
  readonly #flags: readonly string[];
  #process: ChildProcess | undefined;

  constructor(place: EtcdPlace, flags: readonly string[]) {
    this.address = place.address;
    this.name = place.name;
    this.peer = place.peer;
    this.identity = place.identity;
    this.#data = place.data;
    this.#flags = flags;
  }

  /** Its process; undefined before the first start. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it on its data and resolves once it serves; a member of several waits for the others. */
  async start(more: readonly string[] = []): Promise<void> {
    const flags = [...this.identity, ...this.#flags, ...more];
    const child = spawn("etcd", flags, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    const shown: string[] = [];
    await new Promise<void>((resolve, reject) => {
      child.once("error", (cause) => {
        reject(new Error("etcd does not start: apt-get install etcd-server", { cause }));
      });
      child.once("exit", (code, signal) => {
        reject(new Error(`etcd ended (${code ?? signal}):\n${shown.join("\n")}`));
      });
      createInterface(child.stderr).on("line", (line) => {
        if (shown.push(line) > LINES_SHOWN) shown.shift();
        if (READY.test(line)) resolve();
      });
    });
  }

  /** Sends the signal and waits for the end; one that does not run is no error. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Stops it without ending it, or lets it go on: its connections stay open and say nothing. */
  stall(stalled: boolean): void {
    this.#process?.kill(stalled ? "SIGSTOP" : "SIGCONT");
  }

  /** Removes the data of a member that does not run. */
  async wipe(): Promise<void> {
    await rm(this.#data, { recursive: true });
  }
}
