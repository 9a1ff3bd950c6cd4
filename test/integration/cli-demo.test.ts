// `millrace demo --once --json` as a newcomer runs it: the object it prints, in full, and that nothing is
// left behind, however it ends.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startMillrace } from "./cli-scripted-api.ts";

const AGENTS = 12;
const temporary = mkdtempSync(join(tmpdir(), "millrace-demo-test-"));
after(() => rmSync(temporary, { recursive: true, force: true }));

interface Ship {
  readonly build: { readonly state: string; readonly seconds: number };
  readonly rollout: { readonly id: string; readonly state: string; readonly seconds: number };
  readonly agents: { readonly total: number; readonly active: number };
  readonly bytes: Readonly<Record<string, number>>;
  readonly sha: string;
  readonly release: string;
  readonly service: string;
}

/** Starts the demo with a temporary folder of its own, so that what it leaves can be seen. */
function startDemo(...args: string[]) {
  const { TMPDIR: _, ...own } = process.env;
  return startMillrace(["demo", ...args], { ...own, TMPDIR: temporary });
}

/** Processes that have the folder in their arguments, or work in it. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(folder);
      } catch {
        return false;
      }
    });
}

function assertNothingLeft(): void {
  assert.deepEqual(processesOf(temporary), []);
  assert.deepEqual(readdirSync(temporary), []);
}

test("three ships, as they should be, and nothing left", async () => {
  const { code, stdout, stderr } = await startDemo("--once", "--json").ended;
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n");
  const report = JSON.parse(lines.at(-1) ?? "") as { ok: boolean; seconds: number; ships: Ship[] };
  assert.deepEqual(Object.keys(report), ["ok", "seconds", "ships"]);
  assert.equal(report.ok, true);
  assert.ok(report.seconds > 0);
  const { ships } = report;
  for (const ship of ships) {
    assert.deepEqual(Object.keys(ship), [
      "service",
      "sha",
      "release",
      "build",
      "rollout",
      "agents",
      "bytes",
    ]);
    assert.equal(ship.service, "hello");
    assert.match(ship.sha, /^[0-9a-f]{40}$/);
    assert.match(ship.release, /^[0-9a-f]{64}$/);
    assert.match(ship.rollout.id, /^r-[0-9a-f]{16}$/);
    assert.deepEqual(Object.keys(ship.bytes), [
      "artifact",
      "packed",
      "origin",
      "relay",
      "peer",
      "local",
    ]);
    assert.ok((ship.bytes["artifact"] ?? 0) >= 16 * 1024 * 1024);
    assert.deepEqual(ship.agents, { total: AGENTS, active: AGENTS });
  }
  const states = ships.map(({ build, rollout }) => `${build.state} ${rollout.state}`);
  const done = "succeeded succeeded";
  assert.deepEqual(states, [done, done, "succeeded rolled_back"]);
  const [first, changed] = ships.map(({ bytes }) => bytes);
  const { peer = 0, relay = 0, origin = 0, artifact = 0 } = first ?? {};
  assert.ok(peer > relay + origin, "most bytes come from peers");
  assert.ok(peer + relay + origin >= artifact * AGENTS, "every machine got all of it");
  assert.ok((changed?.["packed"] ?? artifact) < artifact / 10, "only what changed is packed");
  assert.ok((changed?.["local"] ?? 0) > 0, "the rest is on the machines already");
  assertNothingLeft();
});

for (const [signal, moment] of [
  ["SIGINT", "Starting"],
  ["SIGTERM", "processes are up"],
  ["SIGINT", "wave 2 of 2"],
] as const) {
  test(`${signal} at "${moment}" leaves nothing either`, async () => {
    const demo = startDemo("--once");
    await demo.printed(moment);
    demo.process.kill(signal);
    const { code, stderr } = await demo.ended;
    assert.equal(code, 130, stderr);
    assert.equal(stderr, "millrace demo: interrupted\n");
    assertNothingLeft();
  });
}

test("--root is made where it is told, and --keep keeps it", async () => {
  const root = join(temporary, "kept");
  const demo = startDemo("--root", root, "--keep");
  await demo.printed("Starting");
  demo.process.kill("SIGTERM");
  assert.equal((await demo.ended).code, 130);
  assert.ok(existsSync(root));
  assert.deepEqual(processesOf(temporary), []);
  rmSync(root, { recursive: true });
});
