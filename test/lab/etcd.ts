// A real etcd for tests: one member or several, each a process with a data folder of its own, that can be
// stopped, killed and started again on the same ports. It knows nothing of the store that is tried on it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "./free-ports.ts";

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
}

/**
 * Starts a cluster of its own on free ports, and resolves once every member serves. Where etcd is missing the
 * test fails and says how to get it: a store that is not tried on the real thing proves nothing.
 */
export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  const { members: count = 1, flags = [], secure = false } = options;
  const folder = await mkdtemp(join(tmpdir(), "millrace-etcd-"));
  const ports = await freePorts(2 * count);
  const places = Array.from({ length: count }, (_, index) => ({
    name: `m${index}`,
    client: `127.0.0.1:${ports[2 * index]}`,
    peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
  }));
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const members = places.map(({ name, client, peer }) => {
    const url = `${secure ? "https" : "http"}://${client}`;
    return new EtcdMember(client, join(folder, name), [
      ...["--name", name, "--data-dir", join(folder, name), "--logger", "zap"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", cluster, "--initial-cluster-token", folder],
      ...flags,
    ]);
  });
  const etcd = new Etcd(members, folder);
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

  /** Ends every member and removes its data. */
  async dispose(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop("SIGKILL")));
    await rm(this.#folder, { recursive: true });
  }
}

/** One member: a process, its port and its data. */
export class EtcdMember {
  readonly address: string;
  readonly #data: string;
  readonly #flags: readonly string[];
  #process: ChildProcess | undefined;

  constructor(address: string, data: string, flags: readonly string[]) {
    this.address = address;
    this.#data = data;
    this.#flags = flags;
  }

  /** Starts it on its data and resolves once it serves; a member of several waits for the others. */
  async start(): Promise<void> {
    const child = spawn("etcd", this.#flags, { stdio: ["ignore", "ignore", "pipe"] });
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
