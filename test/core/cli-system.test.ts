// Which programs a system is made of, and what is refused before anything starts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import type { DemoShip } from "../../cli/demo/demo-ship.ts";
import { problemsOf } from "../../cli/demo/demo-story.ts";
import { readPages } from "../../cli/remote/pages.ts";
import { passedOn, takePassedOn } from "../../cli/up/passed-on.ts";
import {
  checkSystemOptions,
  planAgents,
  planControlPlane,
  planServers,
  regionNames,
  type SystemOptions,
} from "../../cli/up/system-plan.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";

const options: SystemOptions = {
  root: "/srv/up",
  port: 0,
  regions: ["eu", "us"],
  agents: 2,
  relays: 1,
  workers: 1,
  labels: ["zone=a"],
  metrics: false,
};

const isUsage = (error: unknown): boolean =>
  error instanceof CommandError && error.exitCode === EXIT.usage;

test("regions by number or by name", () => {
  assert.deepEqual(regionNames("3"), ["eu-west", "us-east", "ap-south"]);
  assert.deepEqual(regionNames("eu,us-2"), ["eu", "us-2"]);
  for (const wrong of ["0", "11", "", "eu,", "Eu", "-eu", "eu-", "a/b", "eu,eu", "x".repeat(64)]) {
    assert.throws(() => regionNames(wrong), isUsage, wrong);
  }
});

test("numbers out of bounds are refused", () => {
  checkSystemOptions(options);
  const wrong: Partial<SystemOptions>[] = [
    { port: 65_536 },
    { agents: 201 },
    { agents: Number.NaN },
    { relays: 0 },
    { relays: 9 },
    { workers: 17 },
    { workers: 0.5 },
  ];
  for (const part of wrong) {
    assert.throws(() => checkSystemOptions({ ...options, ...part }), isUsage, JSON.stringify(part));
  }
});

test("a system's programs, each with a folder of its own", () => {
  const all = [
    planControlPlane(options),
    ...planServers(options, "127.0.0.1:9"),
    ...planAgents(options, "127.0.0.1:9"),
  ];
  assert.deepEqual(
    all.map(({ name, program }) => `${name} ${program}`),
    [
      "controlplane controlplane",
      "worker-1 worker",
      "relay-eu-1 relay",
      "relay-us-1 relay",
      "agent-eu-1 agent",
      "agent-eu-2 agent",
      "agent-us-1 agent",
      "agent-us-2 agent",
    ],
  );
  const roots = all.flatMap(({ flags }) => flags["--root"] ?? []);
  assert.equal(new Set(roots).size, 7);
  const agent = all.at(-1);
  assert.equal(agent?.flags["--join"], "127.0.0.1:9");
  assert.deepEqual(agent?.extra.slice(-2), ["--label", "zone=a"]);
  // Relays of one region share its store; ports that were not asked for are kept from start to start.
  assert.equal(all[2]?.flags["--region-store"], "file:/srv/up/regions/eu/store");
  assert.deepEqual(all[2]?.listens, ["--listen", "--swarm-listen"]);
  assert.deepEqual(all[0]?.listens, ["--listen"]);
  assert.deepEqual(planControlPlane({ ...options, port: 7070 }).listens, []);
});

test("flags of programs are passed on to these, as they were given", () => {
  const command = takePassedOn(new Command("up"));
  const words = ["--gc-every", "50", "--keep-releases", "2", "--disk-budget", "nonsense"];
  command.parse(words, { from: "user" });
  const given = { ...options, passedOn: passedOn(command) };
  const { flags } = planControlPlane(given);
  assert.deepEqual([flags["--gc-every"], flags["--keep-releases"]], ["50", "2"]);
  assert.equal(flags["--history-hot"], undefined);
  for (const { flags: of } of planAgents(given, "127.0.0.1:9")) {
    assert.equal(of["--disk-budget"], "nonsense", "the agent says what is wrong with it");
  }
  for (const { flags: of } of planServers(given, "127.0.0.1:9")) {
    assert.deepEqual(
      Object.keys(of).filter((flag) => words.includes(flag)),
      [],
    );
  }
});

test("blobs lie below the root, or below a place that is named", () => {
  const origins = (blobs: string) =>
    [
      planControlPlane({ ...options, blobs }),
      ...planServers({ ...options, blobs }, "127.0.0.1:9"),
    ].map(({ flags }) => flags["--origin"]);
  assert.deepEqual(new Set(origins("gs://b/p/")), new Set(["gs://b/p/origin"]));
  assert.deepEqual(
    new Set(origins("gs://b?endpoint=h:1")),
    new Set(["gs://b/origin?endpoint=h:1"]),
  );
  const [, relay] = planServers({ ...options, blobs: "gs://b/p" }, "127.0.0.1:9");
  assert.equal(relay?.flags["--region-store"], "gs://b/p/regions/eu/store");
});

test("pages are read until there are enough rows", async () => {
  const asked: string[] = [];
  const read = async ({ limit, pageToken }: { limit: number; pageToken: string }) => {
    asked.push(`${pageToken}:${limit}`);
    const from = Number(pageToken);
    const rows = Array.from({ length: Math.min(limit, 400) }, (_, index) => from + index);
    return { rows, nextPageToken: from + rows.length >= 900 ? "" : String(from + rows.length) };
  };
  const some = await readPages(450, read);
  assert.deepEqual([some.rows.length, some.rows.at(-1), some.isCut], [450, 449, true]);
  assert.deepEqual(asked, [":450", "400:50"]);
  const all = await readPages(5_000, read);
  assert.equal(all.isCut, false);
});

test("the demo knows what went wrong", () => {
  const good: DemoShip = {
    service: "hello",
    sha: "",
    release: "",
    build: { state: "succeeded", seconds: 1 },
    rollout: { id: "r-1", state: "succeeded", seconds: 1 },
    agents: { total: 12, active: 12 },
    bytes: { artifact: 1_000, packed: 50, origin: 1, relay: 9, peer: 11, local: 0 },
  };
  assert.deepEqual(problemsOf(good, "first", "succeeded", 12), []);
  assert.deepEqual(problemsOf(good, "changed", "succeeded", 12), []);
  assert.deepEqual(problemsOf(good, "bad", "rolled_back", 12), [
    "bad: the rollout ended as succeeded, not rolled_back",
  ]);
  const few = { ...good, bytes: { ...good.bytes, peer: 10, packed: 100 } };
  assert.deepEqual(problemsOf(few, "first", "succeeded", 12), [
    "first: 10 bytes from peers, 10 from elsewhere",
  ]);
  assert.deepEqual(problemsOf(few, "changed", "succeeded", 12), [
    "changed: 100 of 1000 bytes were packed",
  ]);
  const one = { ...good, agents: { total: 12, active: 11 } };
  assert.deepEqual(problemsOf(one, "bad", "succeeded", 12), [
    "bad: 11 of 12 machines run the right release",
  ]);
});
