// One race: a seed, peers that begin at one time, and how long it takes until each has a whole copy. The
// time of starting processes does not count; every copy is compared.
import type { ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contestant, LabPeer, RaceSetting } from "./contestant.ts";
import { fileDigest, grow } from "./file.ts";
import {
  type CpuSeconds,
  cpuOf,
  cpuSince,
  endGroup,
  idleSeconds,
  peakRssMb,
} from "./host-process.ts";
import { LabNetwork, type NicBytes, type NicRate } from "./network.ts";
import { boundS, type Profile, ratesOf } from "./profile.ts";
import { Uplinks } from "./uplinks.ts";
import { warmMemory } from "./warm-memory.ts";

/** A race that takes longer is lost. */
const RACE_MS_MAX = 400_000;
/** What a peer may receive before it begins: it may connect, but not fetch. */
const EARLY_BYTES_MAX = 1024 * 1024;

export interface RacePlan {
  readonly contestant: Contestant;
  readonly profile: Profile;
  readonly peers: number;
  readonly mbit: number;
  /** The file to bring, anywhere on this machine. */
  readonly source: string;
  readonly fileBytes: number;
  /** Share of the peers that is killed at half the bound; as many fresh ones begin then. */
  readonly churn?: number;
  /** The file grows at the seed at the rate of its NIC. */
  readonly isGrowing?: boolean;
  /** Memory that the machine has is there for all copies: where no NIC is the bound, writing to new memory would be. */
  readonly isWarm?: boolean;
  /** Folder for copies; emptied. */
  readonly folder: string;
}

export interface RaceResult {
  readonly contestant: string;
  readonly boundS: number;
  /** When the last peer that was not killed had its copy. */
  readonly lastS: number;
  readonly medianS: number;
  /** The longest time of a newcomer, from its own start; 0: there was none. */
  readonly newcomerS: number;
  /** When the last byte of a growing file was written; 0: it was whole. */
  readonly writtenS: number;
  /** Bytes that left the seed, in files. */
  readonly seedCopies: number;
  /** Share of the uplinks in use, in each fifth of the time until the last peer was done. */
  readonly seedBusy: readonly number[];
  readonly peersBusy: readonly number[];
  readonly peerRssMb: number;
  /** From the start of the race to its end, without the start of processes. */
  readonly seedCpu: CpuSeconds;
  /** Of all peers that live at the end. */
  readonly peersCpu: CpuSeconds;
  /** Share of the machine's cores that nobody used: with none the race is one for CPU. */
  readonly idle: number;
}

/** Runs a race. Throws LabUnavailable, or when a copy is wrong or late. */
export async function race(plan: RacePlan): Promise<RaceResult> {
  const { profile, peers, mbit, churn = 0 } = plan;
  const newcomers = Math.floor(peers * churn);
  const rates = ratesOf(profile, peers + newcomers, mbit);
  const network = LabNetwork.up(rates);
  const running: ChildProcess[] = [];
  try {
    return await new Running(plan, network, rates, newcomers, running).run();
  } finally {
    await Promise.all(running.map(endGroup));
    network.down();
    rmSync(plan.folder, { recursive: true, force: true });
  }
}

class Running {
  readonly #plan: RacePlan;
  readonly #network: LabNetwork;
  readonly #rates: readonly NicRate[];
  readonly #newcomers: number;
  readonly #running: ChildProcess[];
  readonly #bound: number;
  #startedAt = 0;

  constructor(
    plan: RacePlan,
    network: LabNetwork,
    rates: readonly NicRate[],
    newcomers: number,
    running: ChildProcess[],
  ) {
    this.#plan = plan;
    this.#network = network;
    this.#rates = rates;
    this.#newcomers = newcomers;
    this.#running = running;
    this.#bound = boundS(plan.fileBytes, rates.slice(0, 1 + plan.peers));
  }

  async run(): Promise<RaceResult> {
    const { contestant, folder, source, fileBytes, isGrowing = false, isWarm = false } = this.#plan;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "seed"), { recursive: true });
    const file = join(folder, "seed", basename(source));
    if (isGrowing) writeFileSync(file, "");
    else copyFileSync(source, file);
    const setting = { network: this.#network, folder, file, fileBytes, isGrowing };
    const seeding = await contestant.startSeed(setting);
    this.#running.push(...seeding);
    const all = await this.#startPeers(setting);
    if (isWarm) warmMemory(fileBytes * all.length);
    const before = await this.#network.counters();
    const early = Math.max(...before.slice(1).map(({ received }) => received));
    if (early > EARLY_BYTES_MAX) throw new Error(`a peer received ${early} bytes before the start`);
    const children = all.map((peer) => peer.process);
    const [seedBefore, peersBefore] = [seeding.map(cpuOf), children.map(cpuOf)];
    const idleBefore = idleSeconds();
    const result = await this.#race(all, file, before);
    const idleS = idleSeconds() - idleBefore;
    const [seedCpu, peersCpu] = [cpuSince(seeding, seedBefore), cpuSince(children, peersBefore)];
    const raceS = this.#nowS();
    const living = children.filter((child) => child.signalCode === null && child.exitCode === null);
    await this.#compare(all);
    return {
      contestant: contestant.name,
      boundS: this.#bound,
      ...result,
      peerRssMb: Math.max(...living.map(peakRssMb)),
      seedCpu,
      peersCpu,
      idle: idleS / (raceS * availableParallelism()),
    };
  }

  /** One after the other: many that start at once on few cores take longer than the sum. */
  async #startPeers(setting: RaceSetting): Promise<LabPeer[]> {
    const { contestant, folder, peers } = this.#plan;
    const all: LabPeer[] = [];
    for (let host = 1; host <= peers + this.#newcomers; host += 1) {
      const own = join(folder, `peer-${host}`);
      mkdirSync(own);
      const peer = await contestant.startPeer(setting, host, own);
      this.#running.push(peer.process);
      all.push(peer);
    }
    return all;
  }

  async #race(all: readonly LabPeer[], file: string, before: readonly NicBytes[]) {
    const { peers, source, fileBytes, isGrowing, mbit } = this.#plan;
    this.#startedAt = performance.now();
    const uplinks = new Uplinks(this.#network, this.#rates);
    const written = isGrowing
      ? grow({ source, target: file, bytesPerS: (mbit * 1e6) / 8, bytes: fileBytes })
      : Promise.resolve();
    const writtenAt = written.then(() => (isGrowing === true ? this.#nowS() : 0));
    const first = all.slice(0, peers);
    for (const peer of first) peer.begin();
    const times = first.slice(this.#newcomers).map((peer) => peer.done.then(() => this.#nowS()));
    const late = sleep(RACE_MS_MAX, undefined, { ref: false }).then(() => {
      throw new Error(`not all peers had their copy after ${RACE_MS_MAX} ms`);
    });
    late.catch(() => {});
    const newcomers = this.#replace(all);
    const survivorsS = await Promise.race([Promise.all(times), late]);
    const newcomersS = await Promise.race([newcomers, late]);
    const after = await this.#network.counters();
    await uplinks.end();
    const lastS = Math.max(...survivorsS);
    const seedSent = (after[0]?.sent ?? 0) - (before[0]?.sent ?? 0);
    const sorted = [...survivorsS].sort((a, b) => a - b);
    return {
      lastS,
      medianS: sorted[sorted.length >> 1] as number,
      newcomerS: Math.max(0, ...newcomersS),
      writtenS: await writtenAt,
      seedCopies: seedSent / fileBytes,
      seedBusy: uplinks.busy(0, 1, lastS),
      peersBusy: uplinks.busy(1, 1 + peers, lastS),
    };
  }

  /** Kills the first peers at half the bound, and lets the fresh ones begin. */
  async #replace(all: readonly LabPeer[]): Promise<number[]> {
    if (this.#newcomers === 0) return [];
    await sleep((this.#bound * 1000) / 2);
    const killed = all.slice(0, this.#newcomers);
    for (const { process: child } of killed) if (child.pid) process.kill(-child.pid, "SIGKILL");
    const startedS = this.#nowS();
    const fresh = all.slice(this.#plan.peers);
    for (const peer of fresh) peer.begin();
    return Promise.all(fresh.map((peer) => peer.done.then(() => this.#nowS() - startedS)));
  }

  async #compare(all: readonly LabPeer[]): Promise<void> {
    const want = await fileDigest(this.#plan.source);
    for (const { copy } of all.slice(this.#newcomers)) {
      if ((await fileDigest(copy)) !== want) throw new Error(`${copy} differs from the source`);
    }
  }

  #nowS(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }
}
