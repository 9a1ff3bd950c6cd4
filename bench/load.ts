// `millrace load` as a benchmark: 100,000 virtual agents on ten relays and a leader, all of them sharing this machine.
// `--agents 100000`, `--relays 10`. It takes about 5 minutes and 8 GB.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../runtime/package-root.ts";
import { printFigures } from "./lab/figures.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    agents: { type: "string", default: "100000" },
    relays: { type: "string", default: "10" },
  },
});
const command = fileURLToPath(new URL("cli/millrace.js", packageRoot()));
const args = ["load", "--json", "--agents", values.agents, "--relays", values.relays];
const output = execFileSync(process.execPath, [command, ...args], { encoding: "utf8" });
const { ok, ...figures } = JSON.parse(output.trim().split("\n").at(-1) ?? "{}") as {
  readonly ok: boolean;
  readonly [name: string]: number | boolean;
};
if (!ok) throw new Error(`it failed: ${output}`);
printFigures("load", figures as Record<string, number>);
