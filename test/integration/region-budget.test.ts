// A region's store within its budget: packs that are not needed stay while there is room, go where there is none or
// where the origin has collected them, and what is needed stays and is said to be too much.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";
import { metric, RelayWorld, type SamplePack, writePack } from "./relay-process.ts";
import type { Command, RelayLine } from "./scripted-control-plane.ts";

const SIZES = { pieces: 4, pieceBytes: 256 * 1024, perSegment: 2 };
const PACK_BYTES = SIZES.pieces * SIZES.pieceBytes;

const told = ({ pack, segments }: SamplePack): Command => ({
  $case: "pack",
  pack: { pack, segments, sealed: true, dropped: false, spare: false },
});
const unneeded = ({ pack }: SamplePack): Command => ({
  $case: "pack",
  pack: { pack, segments: 0, sealed: false, dropped: true, spare: true },
});

const world = await RelayWorld.start();
world.control.snapshot = (line) => [
  { $case: "siblings", siblings: { relays: [line.info()] } },
  ...needed.map(told),
  { $case: "snapshotEnd", snapshotEnd: { epoch: 1 } },
];
after(() => world.stop());
/** What the control plane's snapshot names. */
let needed: SamplePack[] = [];

const brought = (line: RelayLine, ...packs: SamplePack[]) =>
  line.report(`${packs.length} packs whole`, (report) =>
    packs.every(({ pack }) => report.packs.some((one) => one.pack === pack && one.whole)),
  );
const gone = (line: RelayLine, { pack }: SamplePack) =>
  line.report(`${pack} not needed`, ({ packs }) => packs.every((one) => one.pack !== pack));

test("old packs stay within a region's budget and are used again; needed ones stay beyond it", async () => {
  const packs: SamplePack[] = [];
  for (let nth = 1; nth <= 5; nth += 1) {
    packs.push(await writePack(world.origin, `b-000000000000000${nth}.1`, SIZES));
  }
  const [one, two, three, four, five] = packs as [
    SamplePack,
    SamplePack,
    SamplePack,
    SamplePack,
    SamplePack,
  ];
  const region = await world.store("eu");
  const held = async ({ pack }: SamplePack): Promise<number> =>
    (await region.list(`packs/${pack}/`)).blobs.length;
  const start = { name: "relay", regionBudget: 2.5 * PACK_BYTES };
  const relay = await world.relay(start);
  const line = await world.control.line(relay.id);
  line.send(told(one), told(two));
  await brought(line, one, two);
  const pulled = await metric(relay, "millrace_relay_mirrored");

  line.send(unneeded(one));
  await gone(line, one);
  assert.equal(await held(one), one.segments + 1, "there is room for it");
  line.send(told(one));
  await brought(line, one);
  assert.equal(await metric(relay, "millrace_relay_mirrored"), pulled);

  // Known over a restart: not needed any more, and no room for it beside the next.
  line.send(unneeded(one));
  await gone(line, one);
  assert.equal(await relay.end("SIGTERM"), 0);
  needed = [two];
  const linesBefore = world.control.lines.all.length;
  const again = await world.relay(start);
  const next = await world.control.line(again.id, linesBefore);
  await brought(next, two);
  assert.equal(await held(one), one.segments + 1);
  next.send(told(three));
  await brought(next, two, three);
  await until("the first to make room", async () => (await held(one)) === 0);
  assert.equal(await held(two), two.segments + 1);

  // Collected at the origin: nobody will need it again.
  await world.origin.delete(sealKey(three.pack));
  next.send(unneeded(three));
  await gone(next, three);
  await until("what was collected to go", async () => (await held(three)) === 0);

  next.send(told(four), told(five));
  const over = await next.report("too much", ({ packs: all }) =>
    all.some(({ error }) => /more than its budget of 2.6 MB: raise --region-budget/.test(error)),
  );
  assert.ok(over.packs.length === 3);
  await brought(next, two, four, five);
  const metricOver = await metric(again, "millrace_relay_store_over");
  assert.equal(metricOver, 3 * PACK_BYTES - 2.5 * PACK_BYTES);
  for (const pack of [two, four, five]) assert.equal(await held(pack), pack.segments + 1);
});

test("a region's store that is the origin is refused: what the region needs no more would be lost to all", async () => {
  const { code, stderr } = await runMillrace([
    ...["relay", "--region", "eu", "--controlplane", world.control.address],
    ...["--root", `${world.root}/misled`, "--origin", world.url("origin")],
    ...["--region-store", `${world.url("origin")}/../origin/`],
    ...["--listen", "127.0.0.1:0", "--swarm-listen", "127.0.0.1:0"],
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /--region-store file:\S+ is the origin: give the region a place of its own/);
});
