// Disks that fail a whole system: one that is full, and one that gives back other bytes than were written.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { programPath } from "../../cli/up/program-path.ts";
import { mountSmallDisk, type SmallDisk } from "../contracts/small-disk.ts";
import { Lab } from "../lab/lab.ts";
import { Machine } from "../lab/machines.ts";
import { httpSample } from "../lab/sample-service.ts";
import { until } from "../lab/until.ts";

const MIB = 1024 * 1024;
const REGION = "eu-west";
const rollout = { waves: [{ percent: 100 }], failures: "50%", maxUnavailable: 100 };

const lab = new Lab();
let disk: SmallDisk;
let late: ChildProcess | undefined;

before(async () => {
  disk = mountSmallDisk(24 * 1024, 5_000);
  mkdirSync(join(lab.root, "regions", REGION), { recursive: true });
  symlinkSync(disk.path, join(lab.root, "regions", REGION, "agent-1"));
  await lab.start({ agents: 2 });
});
after(async () => {
  late?.kill("SIGTERM");
  await lab.close();
  disk.remove();
});

interface Rollouts {
  readonly rollouts: { id: string; failing: { error: string }[] }[];
}
interface Agents {
  readonly agents: { services: { error: string }[] }[];
}

const isFull = (error: string): boolean => /ENOSPC|no space/.test(error);

test("fault 12: a disk is full: the old version runs on, and the rest comes when there is room", async () => {
  const repository = lab.repository("growing");
  const sample = { service: "growing", rollout };
  const first = await lab.ship(repository, httpSample({ ...sample, version: "small" }));
  assert.equal(first.rollout?.state, "succeeded", JSON.stringify(first));
  const [cramped] = lab.machines() as [Machine];
  const running = await cramped.ask("growing");

  const files = { "dist/big": randomBytes(20 * MIB) };
  repository.commit(httpSample({ ...sample, version: "big", files }));
  const shipping = lab.system.millrace("ship", repository.path, "--json");
  const open = await until("the rollout says what it waits for", async () => {
    const { rollouts } = await lab.system.read<Rollouts>("rollouts", "--open");
    return rollouts.find(({ failing }) => failing.some(({ error }) => isFull(error)));
  });
  const shown = await lab.system.millrace("rollouts", open.id);
  assert.match(shown.stdout, /FAILING AGENT[\s\S]*no space/i, shown.stdout);
  const { agents } = await lab.system.read<Agents>("agents");
  assert.ok(agents.some(({ services }) => services.some(({ error }) => isFull(error))));
  assert.deepEqual(await cramped.ask("growing"), running);
  disk.resize(128 * 1024);
  const { code, stdout, stderr } = await shipping;
  assert.equal(code, 0, `${stdout}${stderr}`);
  assert.deepEqual(JSON.parse(stdout).agents, { total: 2, active: 2 });
  for (const machine of lab.machines())
    assert.equal((await machine.ask("growing"))?.version, "big");
});

test("fault 14: bytes rot everywhere but at the origin: who comes late gets the right ones", async () => {
  const store = join(lab.root, "regions", REGION, "store");
  const segments = filesBelow(store).filter((path) => path.includes("s-"));
  const packs = lab.machines().flatMap(({ path }) => filesBelow(join(path, ".packs")));
  const kept = packs.filter((path) => path.endsWith("/pieces"));
  assert.ok(segments.length > 4 && kept.length > 1);
  for (const path of segments) flip(path);
  for (const path of kept) writeFileSync(path, Buffer.alloc(statSync(path).size));

  const root = lab.path("late");
  const flags = ["--join", lab.system.address, "--region", REGION, "--root", root];
  const argv = [programPath("agent"), ...flags, "--stop-services"];
  late = spawn(process.execPath, argv, { stdio: "ignore" });
  const machine = new Machine("late", root);
  const [, right] = lab.machines();
  await until("it runs the release", async () => (await machine.ask("growing"))?.version === "big");
  assert.deepEqual(machine.tree("growing"), right?.tree("growing"));
  const exited = once(late, "exit");
  late.kill("SIGTERM");
  await exited;
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

/** Turns a few bits in the middle of a file around. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = bytes[at]! ^ 0xff;
  // The store shares the file with the origin here, as both lie on one disk; rot is of the one that has its own.
  rmSync(path);
  writeFileSync(path, bytes);
}
