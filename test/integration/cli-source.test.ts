// What `ship` and `build` make of a repository before anything is asked of the control plane.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeDemoRepository } from "../../cli/demo/demo-repository.ts";
import { readSource } from "../../cli/ship/source.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";

const RECIPE = "service: hello\nbuild: { run: make, output: out }\nactivate: { hook: [make] }\n";
const root = mkdtempSync(join(tmpdir(), "millrace-source-"));
after(() => rmSync(root, { recursive: true, force: true }));

function git(path: string, ...args: string[]): string {
  const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
  return execFileSync("git", [...author, ...args], { cwd: path, encoding: "utf8" }).trim();
}

function repository(files: Readonly<Record<string, string>>): { path: string; sha: string } {
  const path = mkdtempSync(join(root, "repository-"));
  git(path, "init", "-q", "-b", "main");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  git(path, "add", ".");
  git(path, "commit", "-q", "-m", "one", "--allow-empty");
  return { path, sha: git(path, "rev-parse", "HEAD") };
}

const isUsage =
  (sentence: RegExp) =>
  (error: unknown): boolean =>
    error instanceof CommandError && error.exitCode === EXIT.usage && sentence.test(error.message);

test("a folder: the commit in full, the recipe of that commit", async () => {
  const { path, sha } = repository({ "millrace.yaml": RECIPE });
  // What is not committed is not shipped, and not looked at.
  writeFileSync(join(path, "millrace.yaml"), "service: [");
  const source = { repository: path, ref: sha, recipe: "", service: "hello" };
  assert.deepEqual(await readSource(path, {}), source);
  assert.deepEqual(await readSource(path, { ref: "main" }), source);
  assert.deepEqual(await readSource(path, { ref: sha.slice(0, 8) }), source);
});

test("a recipe of one's own wins, for folders and for URLs", async () => {
  const { path, sha } = repository({});
  const file = join(root, "own.yaml");
  writeFileSync(file, RECIPE.replace("hello", "own"));
  const recipe = RECIPE.replace("hello", "own");
  assert.deepEqual(await readSource(path, { recipe: file }), {
    repository: path,
    ref: sha,
    recipe,
    service: "own",
  });
  for (const url of ["https://example.org/a.git", "git@example.org:a.git", "file:///srv/a.git"]) {
    const source = { repository: url, ref: "v1", recipe, service: "own" };
    assert.deepEqual(await readSource(url, { ref: "v1", recipe: file }), source);
    const plain = { repository: url, ref: "HEAD", recipe: "", service: undefined };
    assert.deepEqual(await readSource(url, {}), plain);
  }
});

test("what is wrong is said with the place of it", async () => {
  const plain = repository({});
  const wrong = repository({ "millrace.yaml": `${RECIPE}rollout: { failures: many }\n` });
  await assert.rejects(
    readSource(plain.path, {}),
    isUsage(/no millrace\.yaml in .* at [0-9a-f]{12}/),
  );
  await assert.rejects(readSource(plain.path, { ref: "v9" }), isUsage(/has no commit "v9"/));
  await assert.rejects(readSource(plain.path, { ref: "--all" }), isUsage(/has no commit "--all"/));
  await assert.rejects(
    readSource(wrong.path, {}),
    isUsage(/millrace\.yaml:4:\d+: rollout\.failures/),
  );
  await assert.rejects(readSource(join(root, "none"), {}), isUsage(/no such folder/));
  await assert.rejects(readSource(root, {}), isUsage(/is not a git repository/));
});

test("the demo's commits are the same each time, and change what they should", async () => {
  const shas: string[][] = [];
  for (const name of ["demo-1", "demo-2"]) {
    const path = join(root, name);
    const made: string[] = [];
    for (const { commit } of makeDemoRepository(path)) made.push(await commit());
    assert.equal(git(path, "status", "--porcelain"), "");
    assert.equal(git(path, "rev-list", "--count", "HEAD"), "3");
    const second = git(path, "diff", "--name-only", "HEAD~2", "HEAD~1").split("\n");
    assert.deepEqual(second, ["assets.json", "version.json"]);
    const third = git(path, "diff", "--name-only", "HEAD~1", "HEAD");
    assert.equal(third, "version.json");
    assert.equal((await readSource(path, {})).service, "hello");
    shas.push(made);
  }
  assert.deepEqual(shas[0], shas[1]);
});
