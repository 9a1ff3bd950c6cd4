// What a user installs: the package is packed, installed in an empty folder as npm does it, and its
// command run from there. It sees what the checkout hides: a file that is not in the tarball, or one
// that Node would have to strip types from.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Longest that npm may take: 90 MB from a registry at 1 MB/s. */
const COMMAND_TIMEOUT_MS = 90_000;
const scratch = mkdtempSync(join(tmpdir(), "millrace-package-"));
const installed = join(scratch, "app");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  version: string;
};
let shipped: readonly string[] = [];

before(() => {
  const packed = run(ROOT, "npm", "pack", "--json", "--pack-destination", scratch);
  const [tarball] = Object.values(JSON.parse(packed)) as {
    filename: string;
    files: { path: string }[];
  }[];
  assert.ok(tarball !== undefined, "npm pack names no tarball");
  shipped = tarball.files.map(({ path }) => path);
  mkdirSync(installed);
  writeFileSync(join(installed, "package.json"), '{ "name": "app", "private": true }\n');
  run(installed, "npm", "install", "--prefer-offline", join(scratch, tarball.filename));
});

after(() => rmSync(scratch, { recursive: true, force: true }));

test("the tarball holds the programs as JavaScript, the API, and no TypeScript", () => {
  for (const path of ["dist/cli/main.js", "cli/millrace.js", "proto/millrace/v1/builds.proto"]) {
    assert.ok(shipped.includes(path), `${path} is missing`);
  }
  const programs = shipped.filter((path) => !path.startsWith("examples/") && path.endsWith(".ts"));
  assert.deepEqual(programs, []);
});

test("npx millrace --version says the version, whatever Node the machine has", () => {
  assert.equal(run(installed, "npx", "millrace", "--version").trim(), manifest.version);
  // As a shell would call it that does not know of node_modules/.bin.
  const command = join(installed, "node_modules", "millrace", "cli", "millrace.js");
  assert.equal(run(installed, "node", command, "--version").trim(), manifest.version);
});

/** Runs a command as a user's shell would: with the machine's Node and npm, not the checkout's. */
function run(cwd: string, command: string, ...args: string[]): string {
  const checkout = dirname(process.execPath);
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== checkout && !folder.startsWith(ROOT))
    .join(delimiter);
  // What `npm test` tells its scripts; the user's own settings of npm and Node stay.
  const told = /^(npm_(?!config_)|npm_config_local_prefix$|NODE_OPTIONS$|MILLRACE_)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !told.test(name)));
  const result = spawnSync(command, args, {
    cwd,
    env: { ...env, PATH: path },
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    maxBuffer: 64 * 2 ** 20,
  });
  const output = `${result.error?.message ?? ""}\n${result.stdout}${result.stderr}`;
  assert.equal(result.status, 0, `${command} ${args.join(" ")}\n${output}`);
  return result.stdout;
}
