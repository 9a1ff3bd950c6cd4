// An artifact through a bucket, on one machine with real processes: a worker uploads it, three regions of two
// relays mirror it, the worker is killed in the middle of its first try, and relays at random points meanwhile.
// What counts is what leaves the origin, and that each region ends with a pack whose every piece is right. The
// bucket is a fake-gcs-server on the same cores, so seconds tell little.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GcsCloud, strikeAt, verifiedBytes } from "../test/lab/gcs-cloud.ts";
import { Repository, recipe } from "../test/lab/repository.ts";
import { startSystem } from "../test/lab/system.ts";
import { printFigures } from "./lab/figures.ts";

const REGIONS = ["eu-west", "us-east", "ap-south"];
const RELAYS = 2;
/** Bytes of a segment, as the release format bounds them. */
const SEGMENT_MB = 67.1;

const { values } = parseArgs({
  options: { json: { type: "boolean" }, mb: { type: "string" }, kills: { type: "string" } },
});
const mb = Number(values.mb ?? 2_000);
const kills = Number(values.kills ?? 20);

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const cloud = await GcsCloud.start(folder);
try {
  printFigures("gcs", await ship());
} finally {
  await cloud.close();
  rmSync(folder, { recursive: true, force: true });
}

async function ship(): Promise<Record<string, number>> {
  const run = `mkdir dist && head -c ${mb}000000 /dev/urandom > dist/blob`;
  const activate = { hook: ["/bin/true"] };
  const repository = new Repository(join(folder, "repository"));
  repository.commit({
    "millrace.yaml": recipe({ service: "bench", run, timeout: "15m", activate }),
  });
  const { blobs, front } = cloud;
  const root = join(folder, "up");
  // The file is gone once a worker has died by it.
  const armed = join(folder, "failpoint");
  writeFileSync(armed, "worker.mid-pack");
  const env = { MILLRACE_FAILPOINT_FILE: armed };
  const system = await startSystem({ root, regions: 3, relays: RELAYS, agents: 0, blobs, env });
  let relayMb = 0;
  let killed = 0;
  const thresholds = Array.from({ length: kills }, () => Math.random() * mb * 1e6 * REGIONS.length);
  strikeAt(
    front,
    thresholds,
    () => cloud.regionBytes(),
    () => {
      const relays = system.children("relay-");
      const relay = relays[Math.floor(Math.random() * relays.length)];
      if (relay === undefined) return;
      relayMb = Math.max(relayMb, system.peakRssMb("relay"));
      process.kill(relay.pid, "SIGKILL");
      killed += 1;
      console.error(`killed ${relay.name}, ${Math.round(cloud.regionBytes() / 1e6)} MB in regions`);
    },
  );
  try {
    const startedAt = performance.now();
    const result = await system.ship(repository.path);
    const seconds = (performance.now() - startedAt) / 1_000;
    if (!result.ok) throw new Error(`the ship failed: ${JSON.stringify(result)}`);
    if (existsSync(armed)) throw new Error("the worker was not killed");
    const id = `${result.build?.id}.2`;
    const originMb = cloud.originBytes(id) / 1e6;
    let packMb = 0;
    for (const region of REGIONS) {
      packMb = (await verifiedBytes(await cloud.store(`regions/${region}/store`), id)) / 1e6;
    }
    return {
      ship_s: seconds,
      pack_mb: packMb,
      kills: killed,
      worker_kills: 1,
      origin_of_dead_attempt_mb: cloud.originBytes() / 1e6 - originMb,
      regions_verified: REGIONS.length,
      origin_mb: originMb,
      more_than_once_mb: originMb - packMb * REGIONS.length,
      more_a_kill_segments: (originMb - packMb * REGIONS.length) / SEGMENT_MB / Math.max(1, killed),
      relay_rss_mb: Math.max(relayMb, system.peakRssMb("relay")),
      worker_rss_mb: system.peakRssMb("worker"),
    };
  } finally {
    await system.stop();
  }
}
