// Names that are told to a program by another and become folders or keys there: paths out of the root,
// absolute ones, names of the program's own folders. Each is refused, nothing outside is read or written,
// and the program goes on with what is right.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { encodeFrame } from "../../core/swarm/encode-frame.ts";
import { ServicePhase } from "../../proto/gen/millrace/v1/fleet.ts";
import { until } from "../lab/until.ts";
import { AgentWorld, SERVICE, server } from "./agent-world.ts";
import { RelayWorld, writePack } from "./relay-process.ts";
import type { Command } from "./scripted-control-plane.ts";
import { describeTree } from "./tree-digest.ts";
import { WorkerWorld } from "./worker-world.ts";

const service = SERVICE;

const NAMES = [
  "..",
  ".",
  "",
  "../outside",
  "../../outside",
  "../outside/secret",
  "/etc",
  "/tmp/outside",
  "a/b",
  "a/../../outside",
  "..\\outside",
  "%2e%2e%2foutside",
  ".packs",
  ".staging",
  "b-0123456789abcdef.1/../../../outside",
  "b-0123456789abcdef.1\0",
  "b-0123456789ABCDEF.1",
  "b-0123456789abcdef.0",
  "constructor",
  "__proto__",
];

/** A folder beside a program's root that nobody but the test may touch. */
function secretIn(folder: string): { readonly check: () => void } {
  const outside = join(folder, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "secret");
  const before = describeTree(outside);
  return { check: () => assert.deepEqual(describeTree(outside), before) };
}

test("threat 19: an agent takes no path for a service, a release or a pack", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const { check } = secretIn(world.folder);
  const only = server("only");
  const good = await world.release(only.tree, only.activation);
  await world.agent();
  const { relay } = world;
  await until("connected", () => relay.isConnected);
  for (const name of NAMES) {
    relay.assign({ service: name, rollout: "r-0", phase: "FINAL", release: good });
    relay.assign({
      service: "named",
      rollout: `r-${name}`,
      phase: "FINAL",
      release: { ...good, release: name },
    });
    const pack = { ...good.layout?.packs[0], pack: name };
    const layout = { ...good.layout, packs: [pack] } as typeof good.layout;
    relay.assign({
      service: "packed",
      rollout: `r-${name}`,
      phase: "FINAL",
      release: { ...good, release: "ab".repeat(32), layout },
    });
    relay.permit(name, "r-0", good.release);
    const order = { id: name, epoch: 1, build: name, attempt: 1, pack: name, service: name };
    const rest = { targets: {}, excludedRegions: [], traceparent: "", urgent: false };
    relay.send({ $case: "order", order: { ...order, ...rest } });
    relay.send({
      $case: "rows",
      rows: { pack: name, firstPiece: 0, table: Buffer.alloc(44), sealed: true },
    });
    const neighbours = [{ peer: name, address: "127.0.0.1:9", relay: false, callable: false }];
    relay.send({ $case: "neighbours", neighbours: { pack: name, neighbours } });
    relay.send({ $case: "orderEnded", orderEnded: { id: name, pack: name, keep: false } });
  }
  relay.assign({ service, rollout: "r-1", phase: "FINAL", release: good });
  // Of all names this one is a service's like others.
  const services = ["constructor", service];
  for (const each of services) {
    await relay.status(`${each} active`, ({ service, phase }) => {
      return service === each && phase === ServicePhase.SERVICE_PHASE_ACTIVE;
    });
  }
  check();
  const made = readdirSync(world.root).filter((name) => !name.startsWith("."));
  const folders = made.filter((name) => statSync(join(world.root, name)).isDirectory()).sort();
  assert.deepEqual(
    folders.filter((name) => name !== "packed" && name !== "named"),
    services,
  );
  for (const part of ["releases", "meta"]) {
    assert.deepEqual(readdirSync(join(world.root, SERVICE, part)), [good.release]);
  }
  for (const name of folders.filter((each) => each === "named" || each === "packed")) {
    assert.deepEqual(readdirSync(join(world.root, name, "releases")), [], name);
  }
  assert.equal(await world.answer(), good.release);
});

test("threat 19: a peer that names a path for a swarm is told that there is none", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const release = await world.release({ file: { file: "x" } }, undefined);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release });
  await world.agent();
  await world.relay.phase("ACTIVE", release.release);
  const [host, port] = world.relay.agentSwarmAddress.split(":");
  // What staging leaves is removed when the service runs already.
  const isLeft = (line: string): boolean => /^\.(trash\/|staging\/\w+\/\d)/.test(line);
  const isTidy = (): boolean => {
    try {
      return !describeTree(world.root).some(isLeft);
    } catch (error) {
      // Something was removed between two looks at it.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  };
  await until("it to be tidy", isTidy);
  const before = describeTree(world.root);
  for (const name of NAMES.filter((each) => each !== "")) {
    const socket = connect(Number(port), host);
    const chunks: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => chunks.push(bytes));
    socket.on("error", () => {});
    const hello = { kind: "hello", swarm: name, peer: "peer", role: "agent" } as const;
    const request = { kind: "request", piece: 0, offset: 0, bytes: 1 } as const;
    socket.write(Buffer.concat([encodeFrame(hello), encodeFrame(request)]));
    await once(socket, "close");
    const said = Buffer.concat(chunks).toString("latin1");
    assert.doesNotMatch(said, /root:|secret/);
    assert.ok(said === "" || /unknown swarm|protocol/.test(said), JSON.stringify(said));
  }
  assert.deepEqual(describeTree(world.root), before);
});

test("threat 19: a relay takes no path for a pack, and mirrors on", async (t) => {
  const world = await RelayWorld.start();
  t.after(() => world.stop());
  const { check } = secretIn(world.root);
  const good = await writePack(world.origin, "b-00000000000000aa.1", {
    ...{ pieces: 4, pieceBytes: 100_000, perSegment: 2 },
  });
  world.control.snapshot = (line) => [
    { $case: "siblings", siblings: { relays: [line.info()] } },
    ...NAMES.map((pack) => told(pack, 1, false)),
  ];
  const relay = await world.relay({ name: "relay" });
  const line = await world.control.line(relay.id);
  for (const name of NAMES) line.send(told(name, 1, true));
  line.send(told(good.pack, good.segments, false));
  await line.report("the pack whole", ({ packs }) =>
    packs.some(({ pack, whole }) => pack === good.pack && whole),
  );
  for (const { packs } of line.reports) {
    assert.deepEqual(
      packs.filter(({ pack }) => pack !== good.pack),
      [],
    );
  }
  check();
  await relay.end("SIGTERM");
  assert.deepEqual(readdirSync(join(world.root, "eu", "blobs", "packs")), [good.pack]);
});

test("threat 19: a worker takes no path for a build", async (t) => {
  const world = await WorkerWorld.open();
  t.after(() => world.close());
  const { check } = secretIn(world.folder);
  const repository = world.repository();
  const sha = repository.commit({ file: { bytes: Buffer.from("x") } });
  const fields = { run: "true", output: "file" };
  // After each of them it waits a little longer.
  for (const build of NAMES.slice(0, 6)) world.give(repository, sha, fields, { build });
  const { release } = await world.build(repository, sha, fields);
  assert.equal(release.entries, 1);
  check();
  assert.deepEqual(
    readdirSync(join(world.folder, "origin", "blobs", "packs")),
    release.layout?.packs.map(({ pack }) => pack),
  );
  assert.deepEqual(readdirSync(join(world.root, "groups")), []);
});

const told = (pack: string, segments: number, dropped: boolean): Command => ({
  $case: "pack",
  pack: { pack, segments, sealed: true, dropped, spare: false },
});
