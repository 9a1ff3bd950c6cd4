// `millrace up` as a process: ready in one object, found by other commands, ended without a trace of a
// process, and clear where it cannot start.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isSameProcess } from "../../runtime/program/process-start.ts";
import { until } from "../lab/until.ts";
import { type Running, startMillrace, startMillraceByNpm } from "./cli-scripted-api.ts";

const scratch = mkdtempSync(join(tmpdir(), "millrace-up-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Up {
  readonly ok: boolean;
  readonly address: string;
  readonly processes: number;
}

interface Children {
  readonly children: readonly { name: string; pid: number; startTime: number }[];
}

const home = join(scratch, "home");
const small = ["--regions", "eu", "--agents", "1", "--port", "0"];

function startUp(root: string, ...args: string[]): Running {
  return startMillrace(["up", "--json", "--root", root, ...small, ...args], {
    MILLRACE_HOME: home,
  });
}

async function ready(up: Running): Promise<Up> {
  await up.printed('"ok":true');
  return JSON.parse(up.output.stdout) as Up;
}

function children(root: string): Children["children"] {
  return (JSON.parse(readFileSync(join(root, "up.json"), "utf8")) as Children).children;
}

const ended = (list: Children["children"]): Promise<true> =>
  until("no program outlives `up`", () =>
    list.every(({ pid, startTime }) => !isSameProcess(pid, startTime)),
  );

test("is found by other commands, refuses a second on its root, and ends all it started", async () => {
  const root = join(scratch, "one");
  const up = startUp(root);
  const { processes, address } = await ready(up);
  assert.equal(processes, 4);
  const started = children(root);
  assert.deepEqual(started.map(({ name }) => name).sort(), [
    "agent-eu-1",
    "controlplane",
    "relay-eu-1",
    "worker-1",
  ]);
  const status = await startMillrace(["status", "--json"], { MILLRACE_HOME: home }).ended;
  assert.equal(status.code, 0, status.stderr);
  assert.equal((JSON.parse(status.stdout) as { workers: number }).workers, 1);
  const agents = await startMillrace(["agents", "--json", "--addr", address]).ended;
  assert.equal((JSON.parse(agents.stdout) as { agents: unknown[] }).agents.length, 1);
  const second = await startUp(root).ended;
  assert.equal(second.code, 1);
  assert.match(second.stderr, /is in use by process \d+/);
  up.process.kill("SIGTERM");
  assert.equal((await up.ended).code, 0);
  await ended(started);
});

test("after kill -9 the next start ends what was left, on the ports it had", async () => {
  const root = join(scratch, "two");
  const first = startUp(root);
  const before = await ready(first);
  const left = children(root);
  first.process.kill("SIGKILL");
  await first.ended;
  const second = startUp(root);
  const now = await ready(second);
  assert.equal(now.address, before.address);
  await ended(left);
  second.process.kill("SIGINT");
  assert.equal((await second.ended).code, 0);
  await ended(children(root));
});

test("ends when npm that started it is ended, though npm tells its shell alone", async () => {
  const root = join(scratch, "npm");
  const up = startMillraceByNpm(["up", "--json", "--root", root, ...small], {
    MILLRACE_HOME: home,
  });
  await ready(up);
  const started = children(root);
  up.process.kill("SIGTERM");
  await up.ended;
  await ended(started);
});

test("a program that dies is started again", async () => {
  const root = join(scratch, "three");
  const up = startUp(root);
  await ready(up);
  const relay = children(root).find(({ name }) => name === "relay-eu-1");
  assert.ok(relay !== undefined);
  process.kill(relay.pid, "SIGKILL");
  await until("the relay is started again", () =>
    children(root).some(({ name, pid }) => name === "relay-eu-1" && pid !== relay.pid),
  );
  up.process.kill("SIGTERM");
  assert.equal((await up.ended).code, 0);
  await ended(children(root));
});

test("a port that is taken is said in one sentence, and nothing stays", async () => {
  const root = join(scratch, "four");
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    const { code, stderr } = await startUp(root, "--port", String(port)).ended;
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`controlplane failed to start: .*127\\.0\\.0\\.1:${port}`));
    assert.doesNotMatch(stderr, /at .*\.ts:\d+/);
    await ended(children(root));
  } finally {
    server.close();
  }
});

test("ends all it started also where it cannot write down what runs any more", async () => {
  const root = join(scratch, "unwritable");
  const up = startUp(root);
  await ready(up);
  const started = children(root);
  // Nothing can be renamed over a folder that holds something.
  rmSync(join(root, "up.json"));
  mkdirSync(join(root, "up.json", "in-the-way"), { recursive: true });
  up.process.kill("SIGTERM");
  assert.equal((await up.ended).code, 0);
  await ended(started);
});
