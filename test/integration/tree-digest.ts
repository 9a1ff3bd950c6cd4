// What a tree holds, as text: paths, kinds, modes, targets and contents. Two trees are equal byte for
// byte where their texts are.
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** A line for each file, symlink and empty folder below `root`, sorted. */
export function describeTree(root: string, path = ""): string[] {
  const full = join(root, path);
  const names = readdirSync(full).sort();
  if (names.length === 0 && path !== "") return [`${path}/ ${modeOf(full)}`];
  return names.flatMap((name) => {
    const below = join(path, name);
    const stat = lstatSync(join(root, below));
    if (stat.isDirectory()) return describeTree(root, below);
    if (stat.isSymbolicLink()) return [`${below} -> ${readlinkSync(join(root, below))}`];
    const digest = createHash("sha256")
      .update(readFileSync(join(root, below)))
      .digest("hex");
    return [`${below} ${modeOf(join(root, below))} ${stat.size} ${digest}`];
  });
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o777).toString(8);
