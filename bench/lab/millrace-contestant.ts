// `millrace swarm` in a race: the command that users start, a seed and peers that serve on.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";
import type { Contestant, LabPeer, RaceSetting } from "./contestant.ts";
import { Lines } from "./host-process.ts";

/** Starts `millrace swarm` as users do. */
export const MILLRACE_ARGV: readonly string[] = [
  process.execPath,
  fileURLToPath(new URL("cli/millrace.js", packageRoot())),
  "swarm",
];
/** Where seeds and peers listen. */
export const MILLRACE_PORT = 7101;

export const millrace: Contestant = {
  name: "millrace",
  missing: () => undefined,

  async startSeed(setting) {
    const { network, file, fileBytes, isGrowing } = setting;
    const listen = ["--listen", `${network.address(0)}:${MILLRACE_PORT}`];
    const growing = isGrowing ? ["--growing", "--size", `${fileBytes}`] : [];
    const flags = [file, ...listen, "--ticket", ticketOf(setting), ...growing, "--json"];
    const seed = network.start(0, [...MILLRACE_ARGV, "seed", ...flags]);
    await new Lines("the seed", seed).starting('{"event":"ready"');
    return [seed];
  },

  async startPeer(setting, host, folder): Promise<LabPeer> {
    const { network, file } = setting;
    const go = join(folder, "go");
    const flags = [ticketOf(setting), "--out", folder, "--start-file", go, "--seed-for", "forever"];
    const listen = ["--listen", `${network.address(host)}:${MILLRACE_PORT}`, "--json"];
    const argv = [...MILLRACE_ARGV, "get", ...flags, ...listen];
    const peer = network.start(host, argv);
    const lines = new Lines(`peer ${host}`, peer);
    const done = lines.starting('{"event":"done"');
    done.catch(() => {});
    await lines.starting('{"event":"ready"');
    const copy = join(folder, file.slice(file.lastIndexOf("/") + 1));
    return { process: peer, copy, done, begin: () => writeFileSync(go, "") };
  },
};

function ticketOf({ folder }: RaceSetting): string {
  return join(folder, "ticket");
}
