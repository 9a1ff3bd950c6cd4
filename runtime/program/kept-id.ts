// A program's id: random at its first start, kept in its root folder from then on.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { readJson, writeJson } from "./json-file.ts";

/** Id of the program that owns `root`, made with `prefix` at the first start: "agent-0123456789ab". */
export function keptId(root: string, prefix: string): string {
  const path = join(root, `${prefix}.json`);
  const kept = readJson<{ id: string }>(path);
  if (kept !== undefined) return kept.id;
  const id = `${prefix}-${randomBytes(6).toString("hex")}`;
  writeJson(path, { id });
  return id;
}
