// What a user installs: the tarball, installed as npm does it, and its command run from there. It sees
// what the checkout hides: a file that is not in the tarball, a module that is started and not imported,
// or one that Node would have to strip types from.
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Stranger } from "../integration/api-stranger.ts";
import { describeTree } from "../integration/tree-digest.ts";
import { machinesOf } from "../lab/machines.ts";
import { Repository } from "../lab/repository.ts";
import { until } from "../lab/until.ts";

import { InstalledPackage } from "./installed-package.ts";

const MANIFEST = fileURLToPath(new URL("../../package.json", import.meta.url));
const { version } = JSON.parse(readFileSync(MANIFEST, "utf8")) as { version: string };
let installed: InstalledPackage;

before(() => {
  installed = InstalledPackage.make();
});
after(() => installed?.remove());

test("the tarball holds the programs as JavaScript, the API, and no TypeScript", () => {
  const { shipped } = installed;
  for (const path of ["dist/cli/main.js", "cli/millrace.js", "proto/millrace/v1/builds.proto"]) {
    assert.ok(shipped.includes(path), `${path} is missing`);
  }
  const programs = shipped.filter((path) => !path.startsWith("examples/") && path.endsWith(".ts"));
  assert.deepEqual(programs, []);
  const strays = shipped.filter((path) => /^dist\/(test|bench|scripts)\//.test(path));
  assert.deepEqual(strays, []);
});

test("npx millrace --version says the version, whatever Node the machine has", () => {
  assert.equal(installed.run("npx", "millrace", "--version").trim(), version);
  // As a shell would call it that does not know of node_modules/.bin.
  const command = join(installed.path, "cli", "millrace.js");
  assert.equal(installed.run("node", command, "--version").trim(), version);
});

test("npx millrace up and ship bring its example to every machine, and nothing is left", async () => {
  const root = join(installed.scratch, "up");
  const { up, address } = await startUp(["npx", "millrace"], root, 2);
  try {
    const stranger = await Stranger.meet(address);
    assert.ok(stranger.services.includes("millrace.v1.BuildService"), "reflection has its files");
    stranger.close();

    const { repository, built } = exampleRepository();
    const flags = [repository, "--addr", address, "--json"];
    const shipped = installed.run("npx", "millrace", "ship", ...flags);
    const report = JSON.parse(shipped.trimEnd().split("\n").at(-1) ?? "");
    assert.equal(report.rollout.state, "succeeded", shipped);
    assert.deepEqual(report.agents, { total: 2, active: 2 });
    const machines = machinesOf(root);
    assert.equal(machines.length, 2);
    for (const machine of machines) {
      assert.equal(machine.release("hello"), report.release);
      assert.deepEqual(machine.tree("hello"), built, machine.name);
      const port = readFileSync(join(machine.path, "hello", "port"), "utf8").trim();
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      assert.match(await answer.text(), /^hello from 1\.0\.0 /);
    }
  } finally {
    // To all of the job, as a terminal and a supervisor do: the shell between npx and millrace
    // passes nothing on.
    await endUp(up, -(up.pid as number));
  }
  await assertNothingLeft();
});

test("a signal to the command alone ends all, also through the machine's older Node", async () => {
  const command = join(installed.path, "cli", "millrace.js");
  const root = join(installed.scratch, "small");
  const { up } = await startUp(["node", command], root, 0);
  await endUp(up, up.pid as number);
  assert.equal(up.exitCode, 0);
  await assertNothingLeft();
});

/** Starts `up` and resolves when it is up; rejects, with it ended, where it does not get up. */
async function startUp(command: readonly string[], root: string, agents: number) {
  const flags = ["--regions", "1", "--agents", `${agents}`, "--port", "0", "--json"];
  const [program, ...args] = [...command, "up", "--root", root, ...flags] as [string, ...string[]];
  const up = installed.start(program, ...args);
  assert.ok(up.stdout !== null, "stdout is a pipe");
  const line = await Promise.race([
    once(createInterface(up.stdout), "line"),
    once(up, "exit").then(([code]) => assert.fail(`up ended with ${code} before it was up`)),
  ]);
  return { up, address: (JSON.parse(line[0]) as { address: string }).address };
}

/** Sends SIGTERM and waits for the end of `up`. */
async function endUp(up: ChildProcess, target: number): Promise<void> {
  if (up.exitCode !== null || up.signalCode !== null) return;
  const exited = once(up, "exit");
  process.kill(target, "SIGTERM");
  await exited;
}

/** After the command that was signalled has ended, its children do: npx waits for none of them. */
async function assertNothingLeft(): Promise<void> {
  const isNone = (): boolean => installed.processes().length === 0;
  await until("all processes have ended", isNone).catch(({ message }: Error) =>
    assert.fail(`${message}\n${installed.processes().join("\n")}`),
  );
}

/** A repository of the installed example, and what its build gives. */
function exampleRepository(): { readonly repository: string; readonly built: readonly string[] } {
  const example = join(installed.path, "examples", "hello");
  const repository = new Repository(join(installed.scratch, "hello"));
  cpSync(example, repository.path, { recursive: true });
  repository.commit({});
  const expected = join(installed.scratch, "expected");
  cpSync(example, expected, { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, ["build.js"], { cwd: expected });
  assert.equal(status, 0, String(stderr));
  return { repository: repository.path, built: describeTree(join(expected, "dist")) };
}
