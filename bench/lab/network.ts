// Hosts in network namespaces behind one switch, each with a shaped NIC (Linux, root, iproute2). A
// process started on a host sees that host's NIC and nothing else; the disk is shared. There is no
// delay on the wires.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockRoot } from "../../runtime/program/root-lock.ts";

/** Names of all namespaces begin so. */
const PREFIX = "millrace-lab-";
const SWITCH = `${PREFIX}switch`;
/** A bucket of 4 ms, and a queue of 25 ms behind it. */
const BURST_S = 0.004;
const QUEUE_MS = 25;
const BURST_KIB_MIN = 32;
/** Hosts of one lab: 10.78.0.1 to 10.78.0.250. */
const HOSTS_MAX = 250;

/** What a NIC lets through, in Mbit/s; Infinity: everything. */
export interface NicRate {
  readonly upMbit: number;
  readonly downMbit: number;
}

/** Bytes that crossed a host's NIC so far, headers and all. */
export interface NicBytes {
  readonly sent: number;
  readonly received: number;
}

/** The lab cannot run here; the message says why. */
export class LabUnavailable extends Error {
  override readonly name = "LabUnavailable";
}

export class LabNetwork {
  readonly #hosts: number;
  readonly #unlock: () => void;

  /** Builds the network, one host a rate. Throws LabUnavailable. */
  static up(rates: readonly NicRate[]): LabNetwork {
    assertAvailable();
    if (rates.length > HOSTS_MAX)
      throw new RangeError(`${rates.length} hosts (limit ${HOSTS_MAX})`);
    const unlock = lockRoot(join(tmpdir(), "millrace-lab"));
    removeAll();
    const network = new LabNetwork(rates.length, unlock);
    try {
      network.#build(rates);
      return network;
    } catch (error) {
      network.down();
      throw error;
    }
  }

  private constructor(hosts: number, unlock: () => void) {
    this.#hosts = hosts;
    this.#unlock = unlock;
  }

  address(host: number): string {
    return `10.78.0.${host + 1}`;
  }

  /** Starts a process on a host, at the head of a process group; its stdout is a pipe. */
  start(host: number, argv: readonly string[], stdin: "ignore" | "pipe" = "ignore"): ChildProcess {
    return spawn("ip", ["netns", "exec", nameOf(host), ...argv], {
      stdio: [stdin, "pipe", "pipe"],
      detached: true,
    });
  }

  /** What crossed each host's NIC, as the switch counts it. */
  async counters(): Promise<NicBytes[]> {
    const child = spawn("ip", ["-n", SWITCH, "-s", "-j", "link", "show"]);
    let text = "";
    for await (const chunk of child.stdout) text += chunk;
    const links = JSON.parse(text) as {
      ifname: string;
      stats64: { rx: { bytes: number }; tx: { bytes: number } };
    }[];
    const byName = new Map(links.map((link) => [link.ifname, link.stats64]));
    return Array.from({ length: this.#hosts }, (_, host) => {
      const stats = byName.get(`port${host}`);
      // What the switch receives on a port is what the host there has sent.
      return { sent: stats?.rx.bytes ?? 0, received: stats?.tx.bytes ?? 0 };
    });
  }

  /** Removes the network; processes in it lose it. */
  down(): void {
    removeAll();
    this.#unlock();
  }

  #build(rates: readonly NicRate[]): void {
    run(`ip netns add ${SWITCH}`);
    run(`ip -n ${SWITCH} link add br0 type bridge`);
    run(`ip -n ${SWITCH} link set br0 up`);
    // A switch is no firewall: its packets would pass through this machine's rules (8 % of all CPU).
    const filter = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if (existsSync(filter)) run(`ip netns exec ${SWITCH} tee ${filter}`, "0");
    for (const [host, { upMbit, downMbit }] of rates.entries()) {
      const name = nameOf(host);
      run(`ip netns add ${name}`);
      run(`ip link add nic netns ${name} type veth peer name port${host} netns ${SWITCH}`);
      run(`ip -n ${name} addr add ${this.address(host)}/24 dev nic`);
      run(`ip -n ${name} link set nic up`);
      run(`ip -n ${name} link set lo up`);
      run(`ip -n ${SWITCH} link set port${host} master br0`);
      run(`ip -n ${SWITCH} link set port${host} up`);
      shape(name, "nic", upMbit);
      shape(SWITCH, `port${host}`, downMbit);
    }
  }
}

function nameOf(host: number): string {
  return `${PREFIX}host${host}`;
}

function shape(namespace: string, device: string, mbit: number): void {
  if (!Number.isFinite(mbit)) return;
  const burstKib = Math.max(BURST_KIB_MIN, Math.floor((mbit * 1e6 * BURST_S) / 8 / 1024));
  const shaped = `rate ${mbit}mbit burst ${burstKib}k latency ${QUEUE_MS}ms`;
  run(`tc -n ${namespace} qdisc add dev ${device} root tbf ${shaped}`);
}

function assertAvailable(): void {
  const needs = "the network lab needs Linux, root and iproute2 (ip, tc)";
  if (process.platform !== "linux")
    throw new LabUnavailable(`${needs}; this is ${process.platform}`);
  if (process.getuid?.() !== 0) throw new LabUnavailable(`${needs}; this is not root`);
  for (const tool of ["ip", "tc"]) {
    if (spawnSync(tool, ["-V"]).error !== undefined)
      throw new LabUnavailable(`${needs}; no ${tool}`);
  }
  const { status, stderr } = spawnSync("ip", ["netns", "add", `${PREFIX}probe`]);
  if (status !== 0) throw new LabUnavailable(`${needs}; no network namespaces: ${stderr}`.trim());
  run(`ip netns del ${PREFIX}probe`);
}

/** Removes what this or a killed lab has left. */
function removeAll(): void {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const line of stdout.split("\n")) {
    const [name = ""] = line.split(" ");
    if (name.startsWith(PREFIX)) run(`ip netns del ${name}`);
  }
}

function run(command: string, input = ""): void {
  const [program = "", ...args] = command.split(" ");
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8", input });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command}: ${stderr.trim()}`);
}
