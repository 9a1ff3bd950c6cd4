// Several files at once from one seed to the same peers, one of them urgent: when each swarm is through,
// and how busy all uplinks were until the first was.

import type { ChildProcess } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileDigest, writeRandom } from "./file.ts";
import { endGroup, Lines } from "./host-process.ts";
import { MILLRACE_ARGV, MILLRACE_PORT } from "./millrace-contestant.ts";
import { LabNetwork, type NicRate } from "./network.ts";
import { ratesOf } from "./profile.ts";
import { Uplinks } from "./uplinks.ts";

export interface SeveralPlan {
  readonly swarms: number;
  readonly peers: number;
  readonly mbit: number;
  readonly fileBytes: number;
  /** Folder for files and copies; emptied. */
  readonly folder: string;
}

export interface SeveralResult {
  /** When the last peer had each file, the urgent one first. */
  readonly endS: readonly number[];
  /** Bytes sent until the first swarm was through, over what all uplinks could have sent. */
  readonly busy: number;
  /** The same in each fifth of that time. */
  readonly busyFifths: readonly number[];
}

/** Runs it. Throws LabUnavailable, or when a copy is wrong. */
export async function severalSwarms(plan: SeveralPlan): Promise<SeveralResult> {
  const rates = ratesOf("flat", plan.peers, plan.mbit);
  const network = LabNetwork.up(rates);
  const running: ChildProcess[] = [];
  try {
    return await run(plan, network, rates, running);
  } finally {
    await Promise.all(running.map(endGroup));
    network.down();
    rmSync(plan.folder, { recursive: true, force: true });
  }
}

async function run(
  { swarms, peers, mbit, fileBytes, folder }: SeveralPlan,
  network: LabNetwork,
  rates: readonly NicRate[],
  running: ChildProcess[],
): Promise<SeveralResult> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const names = Array.from({ length: swarms }, (_, index) => `file-${index}`);
  const files = names.map((name) => join(folder, name));
  for (const file of files) writeRandom(file, fileBytes);
  const tickets = join(folder, "tickets");
  const listen = (host: number) => ["--listen", `${network.address(host)}:${MILLRACE_PORT}`];
  const seed = network.start(0, [
    ...[...MILLRACE_ARGV, "seed", ...files, "--urgent", files[0] ?? "", ...listen(0)],
    ...["--ticket", tickets, "--json"],
  ]);
  running.push(seed);
  const ready = new Lines("the seed", seed);
  await Promise.all(names.map(() => ready.starting('{"event":"ready"')));
  const [urgent = "", ...others] = names.map((name) => join(tickets, `${name}.ticket`));
  const go = join(folder, "go");
  const done: Promise<void>[][] = names.map(() => []);
  for (let host = 1; host <= peers; host += 1) {
    const out = join(folder, `peer-${host}`);
    const flags = ["--out", out, "--start-file", go, "--seed-for", "forever", "--json"];
    const argv = [...MILLRACE_ARGV, "get", urgent, ...others, ...listen(host), ...flags];
    const peer = network.start(host, argv);
    running.push(peer);
    const lines = new Lines(`peer ${host}`, peer);
    for (const [index, name] of names.entries()) {
      const wait = lines.starting(`{"event":"done","path":${JSON.stringify(join(out, name))}`);
      wait.catch(() => {});
      done[index]?.push(wait);
    }
    await lines.starting('{"event":"ready"');
  }
  const before = await network.counters();
  const uplinks = new Uplinks(network, rates);
  const startedAt = performance.now();
  const nowS = () => (performance.now() - startedAt) / 1000;
  writeFileSync(go, "");
  const ends = done.map((waits) => Promise.all(waits).then(nowS));
  const firstS = await Promise.race(ends);
  const after = await network.counters();
  await uplinks.end();
  const sent = after.reduce((sum, one, host) => sum + one.sent - (before[host]?.sent ?? 0), 0);
  const endS = await Promise.all(ends);
  for (const [index, name] of names.entries()) {
    const want = await fileDigest(files[index] as string);
    for (let host = 1; host <= peers; host += 1) {
      const copy = join(folder, `peer-${host}`, name);
      if ((await fileDigest(copy)) !== want) throw new Error(`${copy} differs from its source`);
    }
  }
  const busy = (sent * 8) / 1e6 / ((peers + 1) * mbit * firstS);
  return { endS, busy, busyFifths: uplinks.busy(0, peers + 1, firstS) };
}
