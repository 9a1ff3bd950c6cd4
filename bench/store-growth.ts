// What the store holds and what is written to it, on a real etcd and a control plane as a process. First the
// control plane is grown: builds are submitted, leased, completed and rolled out over gRPC as fast as it goes, and
// ended ones archived; then all live keys and values are summed up. Then the design load: workers that heartbeat,
// relays that report for their machines, rollouts under way, and the writes of each second counted.
// `--builds 10000` and `--seconds 300` are the whole run; less is for trying.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { openStore } from "../runtime/store/open-store.ts";
import { startEtcd } from "../test/lab/etcd.ts";
import { underDesignLoad } from "./lab/design-load.ts";
import { printFigures } from "./lab/figures.ts";
import { type Grown, grownStore } from "./lab/grown-store.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    builds: { type: "string", default: "10000" },
    seconds: { type: "string", default: "300" },
  },
});
const root = mkdtempSync(join(tmpdir(), "millrace-bench-growth-"));
const etcd = await startEtcd();
const url = `etcd://${etcd.hosts}`;
const store = await openStore(url);
const origin = await openBlobStore(`file:${join(root, "origin")}`);
try {
  const say = (text: string): void => {
    if (!values.json) console.log(`${(performance.now() / 1_000).toFixed(0)} s: ${text}`);
  };
  const ground = { root, url, store, origin, say };
  const grown =
    Number(values.builds) === 0 ? {} : figuresOf(await grownStore(ground, Number(values.builds)));
  say(JSON.stringify(grown));
  const load = await underDesignLoad(ground, Number(values.seconds));
  printFigures("store-growth", {
    ...grown,
    writes_per_s_max: load.perSecondMax,
    writes_per_s: load.perSecond,
    rollouts: load.rollouts,
  });
} finally {
  await store.close();
  await origin.close();
  await etcd.dispose();
  rmSync(root, { recursive: true, force: true });
}

function figuresOf(grown: Grown): Readonly<Record<string, number>> {
  const { liveMb, liveKeys, archiveMb, archiveBlobs } = grown;
  return {
    live_mb: liveMb,
    live_keys: liveKeys,
    archive_mb: archiveMb,
    archive_blobs: archiveBlobs,
  };
}
