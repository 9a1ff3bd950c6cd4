// What each command makes of the answers of a control plane: exit codes, sentences, JSON.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import {
  type PlanRolloutRequest,
  PlanRolloutResponse,
  Rollout,
  RolloutState,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { aborted, failedPrecondition, notFound, RpcError } from "../../runtime/grpc/rpc-error.ts";
import { millrace, type Script, ScriptedApi, startMillrace } from "./cli-scripted-api.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";
const repository = makeRepository();
after(() => rmSync(repository, { recursive: true, force: true }));

function makeRepository(): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-cli-"));
  writeFileSync(
    join(path, "millrace.yaml"),
    "service: hello\nbuild: { run: make, output: out }\nactivate: { hook: [make] }\n",
  );
  const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
  for (const args of [
    ["init", "-q"],
    ["add", "."],
    [...author, "commit", "-qm", "one"],
  ]) {
    execFileSync("git", args, { cwd: path });
  }
  return path;
}

const BUILD = { id: "b-0123456789abcdef", service: "hello", sha: SHA, createdAtMs: 1 };
const ROLLOUT = { id: "r-0123456789abcdef", service: "hello", sha: SHA, createdAtMs: 1 };

const queued = Build.fromPartial({ ...BUILD, state: BuildState.BUILD_STATE_QUEUED });
const built = Build.fromPartial({
  ...BUILD,
  state: BuildState.BUILD_STATE_SUCCEEDED,
  rollout: ROLLOUT.id,
  endedAtMs: 1_001,
  outputBytes: 20,
  packedBytes: 10,
});
const broken = Build.fromPartial({
  ...BUILD,
  state: BuildState.BUILD_STATE_FAILED,
  reason: "command",
  message: "the command ended with exit code 2",
  logBytes: 10,
  endedAtMs: 1_001,
});
const open = Rollout.fromPartial({ ...ROLLOUT, state: RolloutState.ROLLOUT_STATE_ACTIVATING });
const done = Rollout.fromPartial({
  ...ROLLOUT,
  state: RolloutState.ROLLOUT_STATE_SUCCEEDED,
  endedAtMs: 2_001,
  artifactBytes: 20,
  regions: [{ region: "eu", matching: 2, active: 2, bytes: { relay: 4, peer: 6 } }],
});
const undone = Rollout.fromPartial({
  ...ROLLOUT,
  state: RolloutState.ROLLOUT_STATE_ROLLED_BACK,
  reason: "budget",
  message: "over the budget",
  endedAtMs: 2_001,
});

/** A watch that says these and then stays open where the last is no end. */
async function* says(key: string, ...states: readonly { endedAtMs: number }[]) {
  for (const state of states) yield { [key]: state };
  if (states.at(-1)?.endedAtMs === 0) await new Promise(() => {});
}

function refuse(error: Error): () => never {
  return () => {
    throw error;
  };
}

const submits: Script = { submitBuild: () => ({ build: queued, attached: false, requester: "" }) };
const builds: Script = { ...submits, watchBuild: () => says("build", queued, built) };
const ships: Script = { ...builds, watchRollout: () => says("rollout", open, done) };

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly script: Script;
  readonly code: number;
  readonly stdout?: RegExp;
  readonly stderr?: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "ship that goes well",
    args: ["ship", repository],
    script: ships,
    code: 0,
    stdout: /build b-0123456789abcdef of hello.*: succeeded.*\n.*succeeded, 2 of 2 active\nfrom/s,
  },
  {
    name: "ship that is rolled back",
    args: ["ship", repository],
    script: { ...builds, watchRollout: () => says("rollout", undone) },
    code: 4,
    stdout: /rolled back: over the budget/,
  },
  {
    name: "ship whose build fails shows the end of the log",
    args: ["ship", repository],
    script: {
      ...submits,
      watchBuild: () => says("build", broken),
      tailLog: async function* () {
        yield { offset: 0, data: Buffer.from("make: boom"), attempt: 1 };
      },
    },
    code: 1,
    stderr: /make: boom/,
  },
  {
    name: "ship with --no-wait",
    args: ["ship", repository, "--no-wait"],
    script: submits,
    code: 0,
    stdout: /^build b-0123456789abcdef is queued\n$/,
  },
  {
    name: "waiting that times out",
    args: ["ship", repository, "--timeout", "300ms"],
    script: { ...submits, watchBuild: () => says("build", queued) },
    code: 124,
    stderr: /not done after 300ms; the work goes on\. Follow it with: millrace builds b-0123/,
  },
  {
    name: "build alone",
    args: ["build", repository],
    script: builds,
    code: 0,
    stdout: /succeeded/,
  },
  {
    name: "an unknown build",
    args: ["builds", "b-1"],
    script: { getBuild: refuse(notFound("no build of b-1")) },
    code: 2,
    stderr: /^millrace builds: no build of b-1\n$/,
  },
  {
    name: "an ambiguous SHA, with the candidates",
    args: ["releases", "abcd"],
    script: { getRelease: refuse(failedPrecondition("abcd names 2: abcd1, abcd2")) },
    code: 2,
    stderr: /^millrace releases: abcd names 2: abcd1, abcd2\n$/,
  },
  {
    name: "a plan that changes nothing",
    args: ["deploy", "abcd", "--plan"],
    script: { planRollout: () => PlanRolloutResponse.fromPartial({ noChange: true }) },
    code: 0,
    stdout: /already/,
  },
  {
    name: "a plan that has changes",
    args: ["deploy", "abcd", "--plan"],
    script: { planRollout: () => PlanRolloutResponse.fromPartial({ revision: 7 }) },
    code: 3,
    stdout: /--revision 7\n$/,
  },
  {
    name: "a plan that would take too long",
    args: ["deploy", "abcd", "--plan", "--machine-rate", "10mbit", "--machine-up-rate", "5mbit"],
    script: {
      planRollout: ({ rates }: PlanRolloutRequest) =>
        PlanRolloutResponse.fromPartial({
          estimate: { endMs: 3_600_000, latestMs: 7_200_000, sloMs: 1_800_000, rates },
        }),
    },
    code: 3,
    stdout:
      /about 1 h, NOT within 30 min; 2 h where .*\n.*\ntaken for +machines 0.01 Gbit\/s \(0.005 Gbit\/s up\)/,
  },
  {
    name: "a plan that is old",
    args: ["deploy", "abcd", "--revision", "7"],
    script: { startRollout: refuse(aborted("hello has moved since")) },
    code: 6,
    stderr: /hello has moved since/,
  },
  {
    name: "what policy refuses",
    args: ["pause", "hello"],
    script: {
      getRollout: () => ({ rollout: open }),
      pauseRollout: refuse(new RpcError(status.PERMISSION_DENIED, "not yours")),
    },
    code: 5,
    stderr: /not yours/,
  },
  {
    name: "going back",
    args: ["rollback", "hello"],
    script: { rollBack: () => ({ rollout: open }), watchRollout: () => says("rollout", undone) },
    code: 0,
    stdout: /rolled back/,
  },
  {
    name: "cancel that only lets go",
    args: ["cancel", BUILD.id, "--requester", "ci"],
    script: { cancelBuild: () => ({ build: queued, detached: true }) },
    code: 0,
    stdout: /it goes on, others want it/,
  },
  {
    name: "a list that is cut says so",
    args: ["builds", "--limit", "1"],
    script: { listBuilds: () => ({ builds: [queued], nextPageToken: "more" }) },
    code: 0,
    stdout: /the first 1; there are more: --limit/,
  },
];

for (const { name, args, script, code, stdout, stderr } of cases) {
  test(`${name}: exit code ${code}`, async () => {
    const api = new ScriptedApi();
    await api.start(script);
    try {
      const ended = await millrace([...args, "--addr", api.address]);
      assert.equal(ended.code, code, ended.stderr);
      if (stdout !== undefined) assert.match(ended.stdout, stdout);
      if (stderr !== undefined) assert.match(ended.stderr, stderr);
      else assert.equal(ended.stderr, "");
    } finally {
      await api.stop();
    }
  });
}

const reads: readonly { readonly args: readonly string[]; readonly script: Script; key: string }[] =
  [
    {
      args: ["builds"],
      script: { listBuilds: () => ({ builds: [built], nextPageToken: "" }) },
      key: "builds",
    },
    { args: ["builds", "b-1"], script: { getBuild: () => ({ build: built }) }, key: "build" },
    {
      args: ["releases", "abcd"],
      script: { getRelease: () => ({ release: Release.fromPartial({ sha: SHA }) }) },
      key: "release",
    },
    {
      args: ["rollouts", "--open"],
      script: { listRollouts: () => ({ rollouts: [open], nextPageToken: "" }) },
      key: "rollouts",
    },
    {
      args: ["rollouts", "r-1"],
      script: { getRollout: () => ({ rollout: done }) },
      key: "rollout",
    },
    { args: ["regions"], script: { listRegions: () => ({ regions: [] }) }, key: "regions" },
    {
      args: ["agents"],
      script: { listAgents: () => ({ agents: [], nextPageToken: "" }) },
      key: "agents",
    },
    {
      args: ["status"],
      script: {
        getStatus: () => GetStatusResponse.fromPartial({ rollouts: [open] }),
      },
      key: "rollouts",
    },
    {
      args: ["cancel", "b-1"],
      script: { cancelBuild: () => ({ build: queued, detached: false }) },
      key: "build",
    },
    { args: ["ship", repository], script: ships, key: "rollout" },
    { args: ["build", repository], script: builds, key: "build" },
  ];

for (const { args, script, key } of reads) {
  test(`${args[0]} ${args.length > 1 ? "with an argument " : ""}--json prints one object`, async () => {
    const api = new ScriptedApi();
    await api.start(script);
    try {
      const ended = await millrace([...args, "--json", "--addr", api.address]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.equal(ended.stdout.trimEnd().split("\n").length, 1);
      assert.ok(key in JSON.parse(ended.stdout), ended.stdout);
    } finally {
      await api.stop();
    }
  });
}

test("ship --json has the keys that scripts read", async () => {
  const api = new ScriptedApi();
  await api.start(ships);
  try {
    const { stdout } = await millrace(["ship", repository, "--json", "--addr", api.address]);
    assert.deepEqual(JSON.parse(stdout), {
      ok: true,
      service: "hello",
      sha: SHA,
      release: "",
      build: { id: BUILD.id, state: "succeeded", seconds: 1 },
      rollout: { id: ROLLOUT.id, state: "succeeded", seconds: 2 },
      agents: { total: 2, active: 2 },
      bytes: { artifact: 20, packed: 10, origin: 0, relay: 4, peer: 6, local: 0 },
    });
    const { request } = api.requests[0] as { request: { ref: string; service: string } };
    assert.match(request.ref, /^[0-9a-f]{40}$/);
    assert.equal(request.service, "hello");
  } finally {
    await api.stop();
  }
});

test("Ctrl-C stops waiting with 130, says that the work goes on, and cancels nothing", async () => {
  const api = new ScriptedApi();
  await api.start({ ...submits, watchBuild: () => says("build", queued) });
  try {
    const running = startMillrace(["ship", repository, "--addr", api.address]);
    await running.printed("queued");
    running.process.kill("SIGINT");
    const { code, stderr } = await running.ended;
    assert.equal(code, 130);
    assert.match(
      stderr,
      /stopped waiting; the work goes on\. Follow it with: millrace builds b-0123/,
    );
    assert.ok(api.requests.every(({ method }) => method !== "cancelBuild"));
  } finally {
    await api.stop();
  }
});

test("what is never sent: wrong flags, wrong addresses, wrong repositories", async () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["bogus"], /no command "bogus"/],
    [["builds", "--nope"], /unknown option/],
    [["builds", "--limit", "0"], /whole number from 1/],
    [["status", "--addr", "here"], /expected host:port/],
    [["ship"], /missing required argument/],
    [["ship", "/nowhere/at/all"], /no such folder/],
    [["ship", tmpdir()], /is not a git repository/],
    [["ship", repository, "--ref", "nope"], /has no commit "nope"/],
    [["ship", repository, "--recipe", "/nope.yaml"], /--recipe \/nope.yaml/],
    [["ship", repository, "--timeout", "soon"], /--timeout soon/],
    [["deploy", "abcd", "--revision", "x"], /--revision x/],
    [["up", "--regions", "99"], /--regions 99: expected 1 to 10/],
    [["up", "--agents", "201", "--root", repository], /--agents 201/],
    [["demo", "--root", repository], /a new or an empty folder/],
  ];
  for (const [args, sentence] of wrong) {
    const { code, stderr } = await millrace(args);
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, sentence);
  }
});

test("--json gives an object where a command fails, too", async () => {
  const api = new ScriptedApi();
  await api.start({ getBuild: refuse(notFound("no build of b-1")) });
  try {
    const args = ["builds", "b-1", "--json", "--addr", api.address];
    const { code, stdout } = await millrace(args);
    assert.equal(code, 2);
    assert.deepEqual(JSON.parse(stdout), { ok: false, exitCode: 2, error: "no build of b-1" });
  } finally {
    await api.stop();
  }
});

test("proxies of the environment are for the world outside", async () => {
  const api = new ScriptedApi();
  await api.start({ listRegions: () => ({ regions: [] }) });
  try {
    const proxy = "http://127.0.0.1:1";
    const env = { http_proxy: proxy, https_proxy: proxy, grpc_proxy: proxy };
    const { code, stderr } = await millrace(["regions", "--addr", api.address], env);
    assert.equal(code, 0, stderr);
  } finally {
    await api.stop();
  }
});

test("a control plane that is not there", async () => {
  const { code, stderr } = await millrace(["builds"], { MILLRACE_ADDR: "127.0.0.1:1" });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /cannot reach the control plane at 127\.0\.0\.1:1; is `millrace up` running/,
  );
});
