// Bad input, end to end through the command line: a sentence that says what, where and which limit, an
// exit code that fits, and nothing half-written.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { Repository } from "../lab/repository.ts";
import { hookSample } from "../lab/sample-service.ts";
import { runMillrace } from "../lab/system.ts";

const lab = new Lab();
before(() => lab.start({ agents: 1 }));
after(() => lab.close());

const rollout = { waves: [{ percent: 100 }], failures: "100%", maxUnavailable: 100 };
const SHA = "0123456789abcdef0123456789abcdef01234567";

/** Runs a command; its exit code and a pattern of what it says. */
async function says(args: readonly string[], code: number, pattern: RegExp): Promise<void> {
  const ended = await lab.system.millrace(...args);
  const shown = `millrace ${args.join(" ")}: ${ended.code}\n${ended.stderr}${ended.stdout}`;
  assert.equal(ended.code, code, shown);
  assert.match(ended.stderr, pattern, shown);
  assert.doesNotMatch(ended.stderr, /^\s+at .*:\d+:\d+\)?$/m, `a stack: ${shown}`);
}

/** All at once, two at a time: each starts a process. */
async function sayAll(cases: readonly (readonly [string[], number, RegExp])[]): Promise<void> {
  const queue = [...cases];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await says(...next);
  };
  await Promise.all([lane(), lane()]);
}

test("recipes, references and repositories that are wrong", async () => {
  const good = lab.repository("good");
  good.commit(hookSample({ service: "good", version: "1", rollout }));
  const wrong = lab.repository("wrong");
  wrong.commit({
    "millrace.yaml": "service: wrong\nbuild:\n  run: make\n  output: ../up\nactivate: {}\n",
  });
  const broken = lab.repository("broken");
  broken.commit({ "millrace.yaml": "service: [\n" });
  const bare = lab.repository("bare");
  bare.commit({ "README.md": "no recipe" });
  mkdirSync(lab.path("folder"));
  const url = `file://${good.path}`;
  await sayAll([
    [
      ["ship", wrong.path],
      2,
      /millrace\.yaml:4:11: build\.output: .*outside[\s\S]*millrace\.yaml:5:/,
    ],
    [["ship", broken.path], 2, /millrace\.yaml:2:1: /],
    [["ship", bare.path], 2, /no millrace\.yaml in .*bare.*--recipe/],
    [["ship", bare.path, "--recipe", lab.path("none.yaml")], 2, /--recipe .*none\.yaml: .*ENOENT/],
    [["ship", lab.path("folder")], 2, /folder is not a git repository/],
    [["ship", lab.path("nowhere")], 2, /nowhere: no such folder/],
    [["ship", good.path, "--ref", "nobranch"], 2, /no commit "nobranch"/],
    [["ship", good.path, "--ref", SHA], 2, new RegExp(`no commit "${SHA}"`)],
    [["ship", good.path, "--service", "other"], 1, /"?good"?.*"?other"?|"?other"?.*"?good"?/],
    [["ship", url, "--ref", "nobranch"], 2, /nobranch/],
    [["ship", url, "--ref", SHA], 2, new RegExp(SHA)],
    [["ship", `file://${lab.path("nowhere")}`], 2, /nowhere/],
    [["ship", "http://127.0.0.1:9/x.git"], 2, /127\.0\.0\.1/],
    [["ship", "ext::sh -c touch% /tmp/x"], 2, /ext::|no such folder/],
    [["ship", `file://${wrong.path}`], 1, /millrace\.yaml:4:11: build\.output/],
    [["ship", `file://${bare.path}`], 1, /millrace\.yaml/],
  ]);
  const { releases } = await lab.system.read<{ releases: unknown[] }>("releases");
  assert.deepEqual(releases, []);
});

test("outputs that cannot be a release", async () => {
  const ships: [string, string, RegExp][] = [
    ["missing", "rm -rf dist", /dist/],
    ["escape", "ln -s ../../../../etc/passwd dist/link", /dist\/link|link.*(out|tree)/],
    ["absolute", "ln -s /etc/passwd dist/link", /link/],
    ["outside", "rm -rf dist; ln -s /etc dist", /dist/],
    ["setuid", "chmod u+s dist/hook.sh", /hook\.sh/],
    ["pipe", "mkfifo dist/pipe", /pipe/],
    ["huge", "truncate -s 10000000001 dist/huge", /10[ ,.]?0?0?0?.*(GB|000)/],
  ];
  await sayAll(
    ships.map(([service, run, pattern]) => {
      const repository = lab.repository(service);
      repository.commit(hookSample({ service, version: "1", run, rollout }));
      return [["ship", repository.path], 1, pattern] as const satisfies [string[], number, RegExp];
    }),
  );
  const { releases } = await lab.system.read<{ releases: unknown[] }>("releases");
  assert.deepEqual(releases, []);
  const { rollouts } = await lab.system.read<{ rollouts: unknown[] }>("rollouts");
  assert.deepEqual(rollouts, []);
  const blobs = readdirSync(lab.path("up", "origin"), { recursive: true }).map(String);
  assert.deepEqual(
    blobs.filter((name) => /(^|\/)(seal|s-\d+)/.test(name)),
    [],
    "not a segment of them",
  );
  assert.deepEqual(
    lab.machines().flatMap((machine) => machine.services()),
    [],
  );
});

test("names of nothing", async () => {
  const verbs = ["builds", "rollouts", "releases", "agents", "logs", "deploy", "cancel"];
  const steers = ["pause", "resume", "abort", "rollback"];
  await sayAll([
    ...[...verbs, ...steers].map(
      (verb) => [[verb, "0badc0de"], 2, /0badc0de/] as [string[], number, RegExp],
    ),
    [["builds", "b-0123456789abcdef"], 2, /b-0123456789abcdef/],
    [["rollouts", "r-0123456789abcdef"], 2, /r-0123456789abcdef/],
    [["deploy", SHA, "--plan"], 2, new RegExp(SHA)],
    [["releases", "../../etc"], 2, /\.\.\/\.\.\/etc/],
    [["builds", "zz"], 2, /zz/],
  ]);
});

test("wrong flags", async () => {
  const good = lab.repository("flags");
  good.commit(hookSample({ service: "flags", version: "1" }));
  await sayAll([
    [["ship"], 2, /missing required argument/],
    [["ship", good.path, "--nonsense"], 2, /unknown option '--nonsense'/],
    [["build", good.path, "--timeout", "soon"], 2, /--timeout soon: expected/],
    [["builds", "--limit", "0"], 2, /--limit/],
    [["deploy", "abcd", "--revision", "x"], 2, /--revision x/],
    [["nonsense"], 2, /no command "nonsense"/],
  ]);
  for (const [flag, value, pattern] of [
    ["--regions", "0", /--regions 0: expected 1 to/],
    ["--regions", "eu,EU", /"EU" is no name/],
    ["--agents", "many", /--agents/],
    ["--port", "70000", /--port 70000: expected/],
  ] as const) {
    const { code, stderr } = await runMillrace(["up", flag, value, "--root", lab.path("other")]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, pattern);
  }
});

test("a short SHA that names two commits: both are said", async () => {
  const repository = lab.repository("twins");
  repository.commit(hookSample({ service: "twins", version: "1", rollout }));
  const [one, other] = twins(repository);
  for (const sha of [one, other]) {
    const ship = await lab.system.ship(repository.path, "--ref", sha);
    assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
  }
  for (const sha of [one, other]) {
    const { rollout } = await lab.system.read<{ rollout: { sha: string } }>("rollouts", sha);
    assert.equal(rollout.sha, sha);
  }
  const both = new RegExp(`${one}[\\s\\S]*${other}|${other}[\\s\\S]*${one}`);
  const short = one.slice(0, 4);
  await sayAll(
    ["deploy", "releases", "builds", "rollouts", "logs"].map((verb) => [[verb, short], 2, both]),
  );
});

/** Two commits of the same tree whose SHAs begin with the same four digits. */
function twins(repository: Repository): [string, string] {
  const tree = repository.git("rev-parse", "HEAD^{tree}").trim();
  const who = "t <t@localhost> 1 +0000";
  const known = new Map<string, string>();
  for (let number = 0; ; number += 1) {
    const text = `tree ${tree}\nauthor ${who}\ncommitter ${who}\n\n${number}\n`;
    const sha = createHash("sha1").update(`commit ${text.length}\0${text}`).digest("hex");
    const twin = known.get(sha.slice(0, 4));
    if (twin !== undefined) return [repository.keep(twin), repository.keep(text)];
    known.set(sha.slice(0, 4), text);
  }
}
