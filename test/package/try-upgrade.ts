// Upgrades a small system from the version before to this checkout, program by program, and back: the version before is
// packed from the history of this repository, installed as a user has it, and its programs run beside those of today.
// After each step something is shipped to every machine. `npm run try-upgrade -- --from COMMIT`; some 3 min.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Daemon, DrainWorld, type MainOf } from "../integration/drain-world.ts";
import { httpSample } from "../lab/sample-service.ts";
import { mainOf } from "../lab/start-program.ts";
import { runMillrace, type ShipResult } from "../lab/system.ts";
import { InstalledPackage } from "./installed-package.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The version before: a release's tag, or until there is one, a commit whose relays say nothing of stores and of ends. */
const PREVIOUS = "e4d17ed10c9a";

const SERVICE = "upgraded";
const ROLLOUT = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };

const { values } = parseArgs({ options: { from: { type: "string", default: PREVIOUS } } });
const scratch = mkdtempSync(join(tmpdir(), "millrace-upgrade-"));
const installed = InstalledPackage.make(checkout(values.from));
const before: MainOf = (name) => join(installed.path, "dist", name, "main.js");
const world = await DrainWorld.open(before);
try {
  await tryAll();
} finally {
  world.close();
  installed.remove();
  rmSync(scratch, { recursive: true, force: true });
}

/** That commit in a folder of its own, with the dependencies of this checkout. */
function checkout(commit: string): string {
  const folder = join(scratch, "before");
  mkdirSync(folder);
  try {
    const tar = execFileSync("git", ["archive", commit], { cwd: ROOT, maxBuffer: 256 << 20 });
    execFileSync("tar", ["x", "-C", folder], { input: tar });
  } catch (cause) {
    throw new Error(`${commit} is not in this clone: git fetch --unshallow`, { cause });
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function tryAll(): Promise<void> {
  const { controlplane, worker, relays, agents } = world;
  const repository = world.repository(SERVICE);
  let version = 0;
  const ship = async (step: string): Promise<void> => {
    version += 1;
    const sample = { service: SERVICE, version: `${version}`, rollout: ROLLOUT };
    repository.commit(httpSample(sample));
    const args = ["ship", repository.path, "--json", "--addr", world.address];
    const { stdout, stderr } = await runMillrace(args);
    const report = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "{}") as ShipResult;
    assert.equal(report.rollout?.state, "succeeded", `${step}: ${stdout}${stderr}`);
    assert.deepEqual(report.agents, { total: agents.length, active: agents.length }, step);
    for (const machine of world.machines()) {
      assert.equal((await machine.ask(SERVICE))?.version, `${version}`, step);
    }
    console.log(`shipped with ${step}`);
  };
  /** Ends a program and starts it in the other version; services must not notice. */
  const change = async (daemon: Daemon, main: MainOf): Promise<void> => {
    const running = world.machines().map((machine) => machine.processes(SERVICE));
    await daemon.stop();
    await daemon.start(main);
    await daemon.isReady();
    assert.deepEqual(
      world.machines().map((machine) => machine.processes(SERVICE)),
      running,
    );
  };

  await ship("all of the version before");
  const order: readonly (readonly [string, readonly Daemon[]])[] = [
    ["relays", relays],
    ["the control plane", [controlplane]],
    ["the worker", [worker]],
    ["agents", agents],
  ];
  for (const [name, daemons] of order) {
    for (const daemon of daemons) await change(daemon, mainOf);
    await ship(`${name} of today too`);
  }
  for (const [name, daemons] of order.toReversed()) {
    for (const daemon of daemons) await change(daemon, before);
    await ship(`${name} of before again`);
  }
  await change(controlplane, mainOf);
  await ship("a control plane of today, and all else of before");
  for (const agent of agents.slice(1)) await change(agent, mainOf);
  await ship("one agent of today at a relay of before");
}
