// Makes dist/ before `npm pack`: the programs as JavaScript, because Node does not strip types from
// files under node_modules. What ships beside dist/ stands in `files` of package.json.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");

rmSync(DIST, { recursive: true, force: true });
const tsc = join(ROOT, "node_modules", ".bin", "tsc");
const { status, error } = spawnSync(tsc, ["-p", "tsconfig.build.json"], {
  cwd: ROOT,
  // Standard output is the tarball's name, for whoever called `npm pack`.
  stdio: ["ignore", 2, 2],
});
if (error !== undefined) throw error;
if (status !== 0 || !existsSync(join(DIST, "cli", "main.js"))) {
  console.error("prepack: the TypeScript compiler failed; nothing is packed");
  process.exit(1);
}
