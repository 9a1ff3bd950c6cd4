// libtorrent and aria2 in a race, set up as well as we know how: all peers in reach, many unchoked, TCP.
import { type ChildProcess, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../../runtime/module-url.ts";
import type { Contestant, LabPeer, RaceSetting } from "./contestant.ts";
import { Lines } from "./host-process.ts";
import { writeTorrent } from "./torrent.ts";

const PYTHON = "/usr/bin/python3";
const LIBTORRENT_PEER = join(import.meta.dirname, "libtorrent-peer.py");
const TRACKER = fileURLToPath(moduleUrl("./tracker.ts", import.meta.url));
const LOOK_MS = 10;
/** A listener of a seed that says nothing of being up: it checks its file first. */
const ARIA2_SEED_MS = 4_000;

/** libtorrent, from the Debian package python3-libtorrent. */
export const libtorrent: Contestant = libtorrentAs("libtorrent", "0");
/** The same, its seed in super-seeding mode. */
export const libtorrentSuper: Contestant = libtorrentAs("libtorrent-super", "1");

function libtorrentAs(name: string, superSeeding: string): Contestant {
  const argv = (role: string, setting: RaceSetting, folder: string, host: number) => [
    ...[PYTHON, LIBTORRENT_PEER, role, torrentOf(setting), folder],
    ...[setting.network.address(host), superSeeding],
  ];
  return {
    name,
    missing: () =>
      spawnSync(PYTHON, ["-c", "import libtorrent"]).status === 0
        ? undefined
        : "no libtorrent here: apt-get install python3-libtorrent",

    async startSeed(setting) {
      const tracker = await startTracker(setting);
      const folder = dirname(setting.file);
      const seed = setting.network.start(0, argv("seed", setting, folder, 0));
      await new Lines("the seed", seed).starting("ready");
      return [tracker, seed];
    },

    async startPeer(setting, host, folder): Promise<LabPeer> {
      const peer = setting.network.start(host, argv("peer", setting, folder, host));
      const lines = new Lines(`peer ${host}`, peer);
      const done = lines.starting("done");
      done.catch(() => {});
      await lines.starting("ready");
      const copy = join(folder, basename(setting.file));
      const begin = () => writeFileSync(join(folder, "go"), "");
      return { process: peer, copy, done, begin };
    },
  };
}

/** aria2, from the Debian package of that name. It cannot be held: it is started by `begin`. */
export const aria2: Contestant = {
  name: "aria2",
  missing: () =>
    spawnSync("aria2c", ["--version"]).status === 0
      ? undefined
      : "no aria2c here: apt-get install aria2",

  async startSeed(setting) {
    const { network, file } = setting;
    const tracker = await startTracker(setting);
    const flags = ["-d", dirname(file), "-V", "--bt-hash-check-seed=true", ...ARIA2_FLAGS];
    const seed = network.start(0, ["aria2c", ...flags, torrentOf(setting)]);
    seed.stdout?.resume();
    await sleep(ARIA2_SEED_MS);
    return [tracker, seed];
  },

  async startPeer(setting, host, folder): Promise<LabPeer> {
    const copy = join(folder, basename(setting.file));
    const mark = join(folder, "done");
    const hook = join(folder, "done.sh");
    writeFileSync(hook, `#!/bin/sh\n: >"${mark}"\n`, { mode: 0o755 });
    const held = Promise.withResolvers<void>();
    // A shell waits for the word, in a host of its own already; then aria2 takes its place.
    const wait = `read -r word; exec aria2c "$@"`;
    const flags = ["-d", folder, `--on-bt-download-complete=${hook}`, ...ARIA2_FLAGS];
    const argv = ["sh", "-c", wait, "sh", ...flags, torrentOf(setting)];
    const peer = setting.network.start(host, argv, "pipe");
    peer.stdout?.resume();
    let isOver = false;
    peer.once("close", () => {
      isOver = true;
      held.reject(new Error(`peer ${host} ended`));
    });
    held.promise.catch(() => {});
    const look = async () => {
      while (!isOver && !existsSync(mark)) await sleep(LOOK_MS);
      held.resolve();
    };
    const begin = () => {
      peer.stdin?.end("go\n");
      void look();
    };
    return { process: peer, copy, done: held.promise, begin };
  },
};

const ARIA2_FLAGS = [
  ...["--enable-dht=false", "--bt-enable-lpd=false", "--listen-port=6881", "--seed-time=600"],
  ...["--file-allocation=none", "--bt-max-peers=100", "--summary-interval=0", "--seed-ratio=0"],
  ...["--bt-request-peer-speed-limit=100M", "--bt-tracker-interval=2", "--allow-overwrite=true"],
  "--console-log-level=warn",
];

function torrentOf({ folder }: RaceSetting): string {
  return join(folder, "file.torrent");
}

async function startTracker(setting: RaceSetting): Promise<ChildProcess> {
  const { network, file } = setting;
  const address = network.address(0);
  writeTorrent(file, `http://${address}:6969/announce`, torrentOf(setting));
  const tracker = network.start(0, [process.execPath, TRACKER, address]);
  await new Lines("the tracker", tracker).starting("ready");
  return tracker;
}
