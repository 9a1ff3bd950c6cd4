// The source files of the repository with what the tidy tests ask of them: text, folder, and the files
// they import or start. Generated code is left out; `buf` answers for it.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { moduleReferences } from "./source-text.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The folders with one program each. */
export const PROGRAMS = [
  "controlplane",
  "worker",
  "relay",
  "agent",
  "swarm",
  "simulator",
  "cli",
  "console",
];
const FOLDERS = ["core", "runtime", ...PROGRAMS, "test", "bench", "scripts"];

/** A reference from a file to another; `target` is its path from the root, or a package's name. */
export interface Reference {
  readonly target: string;
  readonly isFile: boolean;
  readonly line: number;
  readonly how: "import" | "start";
}

/** One source file; `path` is from the root, with slashes. */
export interface SourceFile {
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  readonly references: readonly Reference[];
}

/** All source files, sorted by path. */
export const SOURCES: readonly SourceFile[] = globSync(`{${FOLDERS.join(",")}}/**/*.{ts,js}`, {
  cwd: ROOT,
  exclude: ["**/node_modules/**"],
})
  .sort()
  .map(readSource);

/** Whether a path from the root names a file that exists. */
export function isInRepository(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** Fails with one line for each violation: `path:line what is wrong`. */
export function assertNone(violations: readonly string[], rule: string): void {
  // A rule that looked at nothing would always hold.
  assert.ok(SOURCES.length > 20, `found only ${SOURCES.length} source files`);
  assert.ok(violations.length === 0, `${rule}\n  ${violations.join("\n  ")}`);
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), "utf8");
  const references = moduleReferences(text).map(({ name, line, how }) => {
    const isFile = name.startsWith(".");
    return { target: isFile ? join(dirname(path), name) : name, isFile, line, how };
  });
  return { path, folder: path.split("/")[0] as string, text, references };
}
