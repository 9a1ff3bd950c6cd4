// A small fleet whose build system asks for a build that is to be shipped: machines fetch its pack while it is built, stage
// nothing of it, and let go of what an attempt that came to nothing had made.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildRow } from "../../core/builds/build-row.ts";
import { BUILDS_PREFIX } from "../../simulator/fleet/build-rows.ts";
import { packNamed } from "../../simulator/fleet/region-packs.ts";
import { Scene } from "../../simulator/fleet/scene.ts";

const LIMIT_MS = 3_600_000;

/** A fleet that is asked for a build; returns once a worker has it. */
function building(): Scene {
  const scene = new Scene(1);
  scene.world.start();
  scene.run(5_000);
  scene.submit("commit", "ci", true);
  until(scene, "a worker has it", () => buildOf(scene)?.state === "leased");
  return scene;
}

function until(scene: Scene, what: string, isDone: () => boolean): void {
  assert.ok(scene.run(scene.now + LIMIT_MS, isDone), `not within ${LIMIT_MS} ms: ${what}`);
}

function buildOf({ world }: Scene): BuildRow | undefined {
  return world.store.range(BUILDS_PREFIX)[0]?.value as BuildRow | undefined;
}

/** What the attempt that goes on makes. */
function packOf(scene: Scene): string {
  const row = buildOf(scene);
  return packNamed(`${row?.id}.${row?.attempt}`);
}

/** Machines that have some of a pack. */
function having({ world }: Scene, pack: string): number {
  return world.agents.filter(({ name }) => world.packs.bytesOf(name, pack) > 0).length;
}

function following({ world }: Scene): Set<string> {
  return new Set(world.agents.flatMap(({ packs }) => packs?.following ?? []));
}

test("machines fetch a pack while it is built, stage it once a rollout brings it, and their order ends", () => {
  const scene = building();
  const pack = packOf(scene);
  const { agents } = scene.world;
  until(scene, "all have some of it", () => having(scene, pack) === agents.length);
  assert.equal(buildOf(scene)?.state, "leased");
  assert.deepEqual(scene.checks.rollouts.records, []);
  assert.ok(agents.every(({ disk }) => disk.releases.size === 0));
  until(scene, "all run it", () => scene.isCalm && buildOf(scene)?.state === "succeeded");
  assert.deepEqual(following(scene), new Set());
  assert.equal(having(scene, pack), agents.length);
});

test("fault 20: machines drop what an attempt had made whose worker was lost, and fetch what the next one makes", () => {
  const scene = building();
  const pack = packOf(scene);
  const { agents, workers } = scene.world;
  until(scene, "all have some of it", () => having(scene, pack) === agents.length);
  const worker = workers.find(
    ({ name }) => name === (buildOf(scene) as { worker?: string }).worker,
  );
  worker?.kill();
  until(
    scene,
    "another has it",
    () => packOf(scene) !== pack && buildOf(scene)?.state === "leased",
  );
  until(scene, "they drop it", () => having(scene, pack) === 0);
  until(scene, "they fetch the next", () => having(scene, packOf(scene)) === agents.length);
  assert.deepEqual(following(scene), new Set([packOf(scene)]));
});

test("an order that ended while a machine was away is over for it, too", () => {
  const scene = building();
  const pack = packOf(scene);
  const { agents, relays, workers } = scene.world;
  until(scene, "all have some of it", () => having(scene, pack) === agents.length);
  for (const relay of relays) relay.kill();
  for (const worker of workers) worker.kill();
  until(scene, "the attempt is lost", () => buildOf(scene)?.state === "queued");
  assert.deepEqual(following(scene), new Set([pack]));
  for (const relay of relays) relay.start();
  until(scene, "nobody follows it", () => following(scene).size === 0);
});
