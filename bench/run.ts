// The runner behind `npm run bench -- NAME [--json] [flags]`: starts bench/NAME.ts with the other
// arguments and passes its exit code on. It measures nothing itself.
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = dirname(fileURLToPath(import.meta.url));

const [name, ...flags] = process.argv.slice(2);
const names = globSync("*.ts", { cwd: FOLDER })
  .map((file) => basename(file, ".ts"))
  .filter((found) => found !== "run")
  .sort();

if (name === undefined || !names.includes(name)) {
  const wrong = name === undefined ? "no benchmark named" : `no benchmark ${name}`;
  console.error(`${wrong}\nusage: npm run bench -- NAME [--json] [flags]`);
  console.error(`benchmarks: ${names.length === 0 ? "none yet" : names.join(" ")}`);
  process.exitCode = 2;
} else {
  const args = ["--disable-warning=ExperimentalWarning", join(FOLDER, `${name}.ts`), ...flags];
  const child = spawn(process.execPath, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
  });
}
