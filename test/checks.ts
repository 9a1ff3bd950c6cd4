// The checks that come before any test: lint and format, types, protobuf style, and that the
// generated code in proto/gen is what proto/millrace gives. Each is one command or one comparison.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A check by name; `run` returns what is wrong, undefined when nothing is. */
export interface Check {
  readonly name: string;
  readonly run: (root: string) => string | undefined;
}

/** All checks, fastest first. */
export const CHECKS: readonly Check[] = [
  { name: "biome check", run: (root) => command(root, "biome", "check") },
  { name: "buf lint", run: (root) => command(root, "buf", "lint") },
  { name: "generated code is up to date", run: generatedDiffers },
  { name: "tsc", run: (root) => command(root, "tsc", "--noEmit") },
];

function command(root: string, name: string, ...args: string[]): string | undefined {
  const path = join(root, "node_modules", ".bin", name);
  const result = spawnSync(path, args, { cwd: root, encoding: "utf8" });
  if (result.error !== undefined) return `${path}: ${result.error.message}; run npm ci`;
  return result.status === 0 ? undefined : `${result.stdout}${result.stderr}`;
}

function generatedDiffers(root: string): string | undefined {
  const scratch = mkdtempSync(join(tmpdir(), "millrace-generated-"));
  try {
    const failure = command(root, "buf", "generate", "--output", scratch);
    if (failure !== undefined) return failure;
    const fresh = filesBelow(join(scratch, "proto", "gen"));
    const kept = filesBelow(join(root, "proto", "gen"));
    if (fresh.size === 0) return "buf generate made no file";
    const names = [...new Set([...fresh.keys(), ...kept.keys()])].sort();
    const wrong = names.filter((name) => fresh.get(name) !== kept.get(name));
    if (wrong.length === 0) return undefined;
    return `proto/gen is not what proto/millrace gives: run \`npm run generate\` and commit\n  ${wrong.join("\n  ")}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function filesBelow(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]),
  );
}
