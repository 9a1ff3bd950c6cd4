#!/usr/bin/env node
// The entry of the command `millrace`. Plain JavaScript, so that any Node can start it: where the
// machine's Node is older than Millrace needs, it runs the one that npm installed beside it. Compiled
// modules are kept for the next start of any command or program: without that each one strips its types
// anew, which is half of its start-up time and 30 MB of its memory.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { constants, homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const NODE_MAJOR_MIN = 26;
const here = dirname(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  // Programs inherit it.
  process.env["NODE_COMPILE_CACHE"] ??= join(cache, "millrace", "compile-cache");
  module.enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
  const built = join(here, "..", "dist", "cli", "main.js");
  const source = join(here, "main.ts");
  await import(pathToFileURL(existsSync(source) ? source : built).href);
} else {
  runUnder(bundledNode());
}

/** Runs this file under the given Node, passes signals on, and ends as it ends. */
function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal sends ^C to both processes; passing it on would make it two.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`millrace: cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(signal === null ? code : 128 + constants.signals[signal]);
  });
}

/** Path of the Node that the npm package of this platform holds. */
function bundledNode() {
  const name = `node-${process.platform}-${process.arch}`;
  try {
    const manifest = module.createRequire(import.meta.url).resolve(`${name}/package.json`);
    return join(dirname(manifest), "bin", "node");
  } catch {
    console.error(
      `millrace: needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.version}, and the npm package ${name} is not installed`,
    );
    process.exit(1);
  }
}
