// Builds that fail for what their users gave: each ends with a reason in a word, a sentence that says
// what to do, and nothing sealed at the origin.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { BuildLease } from "../../proto/gen/millrace/v1/workers.ts";
import { type RecipeFields, type Repository, recipe, WorkerWorld } from "./worker-world.ts";

let world: WorkerWorld;
let repository: Repository;
let sha: string;
let bare: string;
before(async () => {
  world = await WorkerWorld.open();
  repository = world.repository();
  bare = repository.commit({ file: { bytes: Buffer.from("x") } });
  const own = recipe({ run: "true", output: "file" });
  sha = repository.commit({
    file: { bytes: Buffer.from("x") },
    "millrace.yaml": { bytes: Buffer.from(own) },
  });
});
after(() => world.close());

/** Builds, and asserts how it failed; what does not matter of the lease is filled in. */
async function check(
  lease: Partial<BuildLease>,
  reason: string,
  message: RegExp | string,
): Promise<string> {
  const given = world.queue.give({ repository: repository.path, sha, ...lease });
  await world.queue.ended(given);
  const { failure } = given;
  if (typeof message === "string") assert.equal(failure.message, message);
  else assert.match(failure.message, message);
  assert.equal(failure.reason, reason);
  assert.ok(given.text.includes(`millrace: failed (${reason}): `), given.text);
  assert.equal(given.completions.length, 1);
  await world.assertNothingSealed(given);
  await world.queue.until("removed", () => readdirSync(join(world.root, "builds")).length === 0);
  return given.text;
}

const made = (run: string, output = "out"): Partial<BuildLease> => ({
  recipe: recipe({ run, output }),
});

test("a command that fails: its log tells why", async () => {
  const lease = made("echo before; echo trouble >&2; exit 7");
  const log = await check(lease, "command", /^the build's command ended with 7/);
  assert.match(log, /^before\ntrouble\n/m);
});

test("a command that a signal ends", async () => {
  await check(made("kill -SEGV $$"), "command", /ended by SIGSEGV/);
});

const MISSING = "0123456789012345678901234567890123456789";

test("a commit that is not there", async () => {
  const message = `the repository has no commit ${MISSING}; push it, or correct the SHA`;
  await check({ sha: MISSING }, "source", message);
});

test("a SHA that is a file, a tree or a tag", async () => {
  const tree = repository.git("rev-parse", "HEAD^{tree}");
  await check({ sha: tree }, "source", `${tree} is a tree, not a commit`);
});

for (const [name, text] of [
  ["short", "abc"],
  ["an option", "--upload-pack=touch pwned"],
  ["a ref", "HEAD"],
  ["with a newline", `${MISSING}\n`],
] as const) {
  test(`a SHA that is none: ${name}`, async () => {
    await check({ sha: text }, "source", /is no full SHA of 40 hex digits/);
  });
}

const REPOSITORIES: readonly [name: string, repository: string, message: RegExp][] = [
  ["not there", "/nonexistent/repository", /cannot fetch .*nonexistent/],
  ["no repository", "/etc", /cannot fetch .*not appear to be a git repository/s],
  ["nobody listens", "http://127.0.0.1:9/x.git", /cannot fetch .*(connect|refused)/is],
  ["runs a command", "ext::sh -c touch% pwned", /transport 'ext' not allowed/],
  ["an option", "--upload-pack=touch pwned", /is neither a URL nor a path/],
  ["an option of ssh", "ssh://-oProxyCommand=touch pwned/x", /cannot fetch/],
  ["with a newline", "/tmp\nx", /is neither a URL nor a path/],
];

for (const [name, url, message] of REPOSITORIES) {
  test(`a repository that cannot be reached: ${name}`, async () => {
    await check({ repository: url }, "source", message);
    assert.equal(readdirSync(process.cwd()).includes("pwned"), false);
  });
}

test("a repository's password shows nowhere", async () => {
  const url = "http://user:secret@127.0.0.1:9/x.git";
  const log = await check({ repository: url }, "source", /^((?!secret).)*$/s);
  assert.equal(log.includes("secret"), false);
});

test("no recipe", async () => {
  await check({ sha: bare }, "recipe", /^no millrace.yaml at [0-9a-f]{40}; commit one, or pass/);
});

test("a recipe with faults, each with its line and column", async () => {
  const faulty = "service: demo\nbuild:\n  run: true\n  output: out\n  tiemout: 5s\n";
  await check({ recipe: faulty }, "recipe", /^millrace.yaml:3:8: .*millrace.yaml:5:3: .*tiemout/s);
});

test("a recipe in the repository with faults", async () => {
  const text = "service: [\n";
  const faulty = repository.commit({ "millrace.yaml": { bytes: Buffer.from(text) } });
  await check({ sha: faulty }, "recipe", /^millrace.yaml:2:1: /);
});

test("a recipe that is no file of its own", async () => {
  const link = repository.commit({ "millrace.yaml": { target: "/etc/passwd" } });
  await check({ sha: link }, "recipe", /is a symlink; commit the file itself/);
  const folder = repository.commit({ "millrace.yaml/x": { bytes: Buffer.from("") } });
  await check({ sha: folder }, "recipe", /is a folder; commit a file/);
});

test("a recipe that is too large", async () => {
  const bytes = Buffer.alloc(300_000, "#\n");
  const large = repository.commit({ "millrace.yaml": { bytes } });
  await check({ sha: large }, "recipe", /the limit is 262144/);
});

test("a recipe of another service than was asked for", async () => {
  const message = 'the recipe is of service "demo", asked for "other"';
  await check({ service: "other" }, "recipe", message);
});

for (const output of ["../x", "/etc", "a/../../b", ".git", "./.git/config", "a\0b"]) {
  test(`an output outside the repository: ${JSON.stringify(output)}`, async () => {
    await check(
      made("true", output),
      "recipe",
      /^millrace.yaml:1:\d+: build.output: (is out|holds)/,
    );
  });
}

const OUTPUTS: readonly [name: string, fields: RecipeFields, message: RegExp][] = [
  ["missing", { run: "true" }, /^the build left no "out" \(build.output\)$/],
  ["a dangling link", { run: "ln -s nothing out" }, /^the build left no "out"/],
  ["a link out of the checkout", { run: "ln -s /etc out" }, /leads to \/etc, outside the checkout/],
  [
    "below a link out of the checkout",
    { run: "ln -s /etc out", output: "out/passwd" },
    /outside the checkout/,
  ],
  ["empty", { run: "mkdir out" }, /^the output "out" is an empty directory/],
  ["a pipe", { run: "mkfifo out" }, /is no file or directory/],
  [
    "with a link out of the tree",
    { run: "mkdir out; ln -s ../file out/l" },
    /^"l" is a symlink to "..\/file", outside of the tree$/,
  ],
  ["with an absolute link", { run: "mkdir out; ln -s /etc/passwd out/l" }, /"l" .*absolute/],
  ["with a pipe", { run: "mkdir out; mkfifo out/p" }, /"p" in the output is a device, a socket or/],
  [
    "with a socket",
    {
      run: `mkdir out; "${process.execPath}" -e 'process.chdir("out");require("net").createServer().listen("s",()=>process.kill(process.pid,9))'; test -S out/s`,
    },
    /"s" in the output is a device, a socket or a pipe/,
  ],
  [
    "with a set-user-id file",
    { run: "mkdir out; touch out/s; chmod 4755 out/s" },
    /^file "s" has mode 0o4755; setuid/,
  ],
  [
    "one byte over the limit",
    { run: "mkdir out; truncate -s 10000000000 out/a; printf x > out/b" },
    /more than 10000000000 bytes/,
  ],
  [
    "one file over the limit",
    { run: "truncate -s 10000000001 out" },
    /more than 10000000000 bytes/,
  ],
  [
    "with a name that is not UTF-8",
    { run: "mkdir out; touch \"out/$(printf '\\377')\"" },
    /is not UTF-8/,
  ],
  ["with a newline in a name", { run: "mkdir out; touch 'out/a\nb'" }, /control character/],
];

for (const [name, fields, message] of OUTPUTS) {
  test(`an output that is refused: ${name}`, async () => {
    await check({ recipe: recipe(fields) }, "output", message);
  });
}

test("a release that the control plane refuses is a failure, not a lost build", async () => {
  const given = world.give(repository, sha);
  given.releaseFault = "pack is not what its seal says";
  await world.queue.until("told twice", () => given.completions.length === 1);
  assert.deepEqual(given.failure, {
    reason: "worker",
    message: "the control plane refused the release: pack is not what its seal says",
  });
});
