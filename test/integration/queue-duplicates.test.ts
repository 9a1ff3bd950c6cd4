// Requests that clients repeat because an answer was lost or late: however they overlap, one key is one
// build, and a build knows each of its requesters once.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import fc from "fast-check";
import { type Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { call } from "../../runtime/grpc/client.ts";
import { complete, leaseOne, scratch, startQueue, submit, succeed } from "./queue-system.ts";

const { root, remove } = scratch();
const queue = await startQueue(root);
after(async () => {
  await queue.stop();
  remove();
});

const { builds } = queue;
const KEYS = 3;
const SHIP = {
  targets: {},
  overrideTargets: false,
  excludedRegions: [],
  supersede: false,
  urgent: false,
};

/** What happens between two waves of requests to whatever build is queued. */
const turn = fc.constantFrom("nothing", "lease", "fail", "succeed", "cancel");
const request = fc.record({
  key: fc.nat(KEYS - 1),
  requester: fc.constantFrom("a", "b", "c"),
  isShip: fc.boolean(),
});
const script = fc.array(
  fc.record({ requests: fc.array(request, { minLength: 1, maxLength: 12 }), turn }),
  { minLength: 1, maxLength: 5 },
);

test("fault 19: however requests overlap and repeat, one key is one build", async () => {
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const refs = Array.from({ length: KEYS }, () => randomBytes(20).toString("hex"));
      for (const step of steps) {
        const answers = await Promise.all(
          step.requests.map(async ({ key, requester, isShip }) => {
            const ship = isShip ? SHIP : undefined;
            const ref = refs[key] as string;
            return { key, requester, answer: await submit(queue, { ref, requester, ship }) };
          }),
        );
        for (const [key, ref] of refs.entries()) {
          const own = answers.filter((one) => one.key === key);
          const ids = new Set(own.map(({ answer }) => answer.build?.id));
          assert.ok(ids.size <= 1, "equal requests at once are one build");
          assert.ok(own.filter(({ answer }) => !answer.attached).length <= 1, "made once");
          const live = (await buildsOf(ref)).filter(isLive);
          assert.ok(live.length <= 1, "one build of a key lives");
          const [build] = live;
          if (build === undefined || !ids.has(build.id)) continue;
          const asked = new Set(own.map(({ requester }) => requester));
          assert.ok(build.requesters >= asked.size && build.requesters <= 3, "each counts once");
        }
        await take(step.turn, refs);
      }
      for (const ref of refs) {
        const all = await buildsOf(ref);
        const done = all.filter(({ state }) => state === BuildState.BUILD_STATE_SUCCEEDED);
        assert.ok(done.length <= 1, "what has succeeded is not built again");
        for (const build of all.filter(isLive)) await cancel(build.id);
      }
      const rollouts = await queue.store.range({ prefix: "rollouts/" });
      const shipped = rollouts.entries.map(({ value }) => Buffer.from(value).toString());
      for (const { id } of (await Promise.all(refs.map(buildsOf))).flat()) {
        const own = shipped.filter((text) => text.startsWith(`${id} `));
        assert.ok(own.length <= 3, "a requester's ship is one rollout");
      }
    }),
    { numRuns: 15 },
  );
});

/** Lets a worker take one of the queued builds, and ends it so. */
async function take(turn: string, refs: readonly string[]): Promise<void> {
  const queued = (await Promise.all(refs.map(buildsOf)))
    .flat()
    .filter(({ state }) => state === BuildState.BUILD_STATE_QUEUED);
  if (turn === "nothing" || queued.length === 0) return;
  if (turn === "cancel") {
    await cancel((queued[0] as Build).id);
    return;
  }
  const lease = await leaseOne(queue);
  if (turn === "succeed") await succeed(queue, lease);
  if (turn !== "fail") return;
  const failure = { reason: "command", message: "it failed" };
  await complete(queue, lease, { $case: "failure", failure });
}

const isLive = ({ state }: Build): boolean =>
  state === BuildState.BUILD_STATE_QUEUED || state === BuildState.BUILD_STATE_LEASED;

const cancel = (id: string) => call(builds, builds.cancelBuild, { id, requester: "" });

async function buildsOf(ref: string): Promise<Build[]> {
  const list = { service: "", states: [], limit: 500, pageToken: "" };
  const { builds: all } = await call(builds, builds.listBuilds, list);
  return all.filter(({ sha }) => sha === ref);
}
