// A whole system whose blobs lie in a bucket: programs are killed while packs move, a region's store refuses
// for a while, and each time every machine ends with verified bytes.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { SEGMENT_BYTES_MAX } from "../../core/release/limits.ts";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import { fakeGcsMissing } from "../lab/fake-gcs.ts";
import { GcsCloud, strikeAt, verifiedBytes } from "../lab/gcs-cloud.ts";
import { Lab } from "../lab/lab.ts";
import { hookSample } from "../lab/sample-service.ts";
import { until } from "../lab/until.ts";

/** Three of them, and 2 GB: bench/gcs.ts. */
const REGIONS = ["eu-west", "us-east"];
/** Two segments: one is whole when the other is on its way. */
const BIG_BYTES = 90_000_000;
const KILLS = 3;
/** Sooner than in production, and longer than a busy machine stands still. */
const DETECT_MS = 5_000;
/** Trailers, rows and seals, which every relay reads of its pack. */
const TABLES_BYTES = 1_000_000;

describe("a system on a bucket", { skip: fakeGcsMissing(), timeout: 280_000 }, () => {
  const lab = new Lab();
  const armed = lab.path("failpoint");
  let cloud: GcsCloud;

  before(async () => {
    cloud = await GcsCloud.start(lab.folder);
    const env = { MILLRACE_FAILPOINT_FILE: armed };
    await lab.start({
      ...{ regions: REGIONS.length, relays: 2, agents: 1, blobs: cloud.blobs, env },
      buildDetectMs: DETECT_MS,
    });
  });
  after(async () => {
    await lab.close();
    await cloud.close();
  });

  const ship = (version: string, bytes: number) => {
    const run = `head -c ${bytes} /dev/urandom > dist/big`;
    return lab.ship(lab.repository(version), hookSample({ service: "big", version, run }));
  };
  /** What each region is to hold. */
  const each = (bytes: number): number[] => REGIONS.map(() => bytes);
  const regionPacks = async (pack: string): Promise<number[]> => {
    const stores = REGIONS.map((region) => cloud.store(`regions/${region}/store`));
    return Promise.all(stores.map(async (store) => verifiedBytes(await store, pack)));
  };

  test("fault 21: a worker and relays are killed in mid-transfer, and all packs are whole", async () => {
    writeFileSync(armed, "worker.mid-pack");
    const thresholds = Array.from(
      { length: KILLS },
      () => Math.random() * BIG_BYTES * REGIONS.length,
    );
    let kills = 0;
    const strike = (): void => {
      const relays = lab.system.children("relay-");
      const { pid } = relays[Math.floor(Math.random() * relays.length)] ?? {};
      if (pid === undefined) return;
      process.kill(pid, "SIGKILL");
      kills += 1;
    };
    strikeAt(cloud.front, thresholds, () => cloud.regionBytes(), strike);
    const shipped = await ship("one", BIG_BYTES);
    assert(!existsSync(armed), "the worker was killed");
    assert(kills > 0, "relays were killed");
    assert.equal(shipped.rollout?.state, "succeeded", JSON.stringify(shipped));
    assert.deepEqual(shipped.agents, { total: REGIONS.length, active: REGIONS.length });
    const [dead, live] = [1, 2].map((attempt) => `${shipped.build?.id}.${attempt}`);
    const origin = await cloud.store("origin");
    assert.equal(await origin.head(sealKey(dead ?? "")), undefined);
    const bytes = await verifiedBytes(origin, live ?? "");
    assert.deepEqual(await regionPacks(live ?? ""), each(bytes));
    const left = cloud.originBytes(live);
    const most = bytes * REGIONS.length + kills * SEGMENT_BYTES_MAX + TABLES_BYTES;
    assert(left <= most, `${left} bytes left the origin of ${bytes}, ${kills} kills`);
  });

  test("fault 22: a region whose store refuses is waited for, and then gets the same bytes", async () => {
    let refused = 0;
    const region = encodeURIComponent("lab/regions/us-east/store/packs/");
    const error = {
      message: "no storage.objects.create access",
      errors: [{ reason: "forbidden" }],
    };
    cloud.front.rule = (purpose, path) => {
      if (purpose !== "begin" || !path.includes(region)) return undefined;
      refused += 1;
      return { kind: "answer", status: 403, body: JSON.stringify({ error }) };
    };
    const shipping = ship("two", 1_000_000);
    let isEnded = false;
    void shipping.then(() => (isEnded = true));
    await until("the region has been refused a few times", () => refused >= 3);
    const rollouts = JSON.stringify(await lab.system.read("rollouts", "big"));
    assert.match(rollouts, /"replicating"/);
    assert(!isEnded);
    cloud.front.rule = () => undefined;
    const shipped = await shipping;
    assert.equal(shipped.rollout?.state, "succeeded", JSON.stringify(shipped));
    const pack = `${shipped.build?.id}.1`;
    const bytes = await verifiedBytes(await cloud.store("origin"), pack);
    assert.deepEqual(await regionPacks(pack), each(bytes));
  });
});
