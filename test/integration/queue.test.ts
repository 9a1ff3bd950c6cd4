// The queue over real gRPC on the real store and origin, with workers that are scripted here.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { call } from "../../runtime/grpc/client.ts";
import { until } from "../lab/until.ts";
import {
  beat,
  complete,
  leaseOne,
  logText,
  scratch,
  sealedRelease,
  startQueue,
  submit,
  succeed,
} from "./queue-system.ts";

const folders = [scratch(), scratch()] as const;
const queue = await startQueue(folders[0].root, { sweepMs: 100 });
/** One that gives workers up soon. */
const hasty = await startQueue(folders[1].root, { detectMs: 2_000, sweepMs: 100 });
after(async () => {
  await Promise.all([queue.stop(), hasty.stop()]);
  for (const { remove } of folders) remove();
});

const SHIP = {
  targets: {},
  overrideTargets: false,
  excludedRegions: [],
  supersede: false,
  urgent: false,
};
const failure = (reason: string) =>
  ({ $case: "failure", failure: { reason, message: `it was ${reason}` } }) as const;
const get = async (id: string, { builds } = queue) =>
  (await call(builds, builds.getBuild, { id })).build!;
const withCode = (code: status) => (error: { code?: number }) => error.code === code;

test("fault 19: equal requests at once are one build, until it fails", async () => {
  const ref = "a".repeat(40);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => submit(queue, { ref, requester: `q${i % 4}` })),
  );
  assert.equal(new Set(answers.map((answer) => answer.build!.id)).size, 1);
  assert.equal(answers.filter((answer) => !answer.attached).length, 1);
  assert.equal((await get(answers[0]!.build!.id)).requesters, 4);
  const lease = await leaseOne(queue);
  await complete(queue, lease, failure("command"));
  const anew = await submit(queue, { ref });
  assert.ok(!anew.attached && anew.build!.id !== lease.build);
  await succeed(queue, await leaseOne(queue));
  const done = await submit(queue, { ref });
  assert.ok(done.attached && done.build!.state === BuildState.BUILD_STATE_SUCCEEDED);
  const forced = await submit(queue, { ref, rebuild: true, requester: "f" });
  const again = await submit(queue, { ref, rebuild: true, requester: "f" });
  assert.ok(!forced.attached && again.attached && again.build!.id === forced.build!.id);
  await complete(queue, await leaseOne(queue), failure("command"));
});

test("fault 18: a worker that vanishes loses the build to the next, and is refused from then on", async () => {
  const { build } = await submit(hasty);
  const first = await leaseOne(hasty, "w1");
  const late = await sealedRelease(hasty, first, "hello");
  const second = await leaseOne(hasty, "w2", 20_000);
  assert.deepEqual([first.build, second.build], [build!.id, build!.id]);
  assert.deepEqual([first.attempt, second.attempt], [1, 2]);
  await assert.rejects(beat(hasty, first), withCode(status.ABORTED));
  await assert.rejects(logText(hasty, first, 0, "late"), withCode(status.ABORTED));
  await assert.rejects(
    complete(hasty, first, { $case: "release", release: late }),
    withCode(status.ABORTED),
  );
  const release = await succeed(hasty, second);
  assert.equal((await get(build!.id, hasty)).release, release.release);
  await until("the lost attempt's pack to be deleted", async () => {
    const page = await hasty.origin.list(`packs/${first.build}.`);
    return page.blobs.every(({ key }) => key.startsWith(`packs/${second.build}.2/`));
  });
});

test("a heartbeat keeps the lease", async () => {
  const { build } = await submit(hasty);
  const kept = await leaseOne(hasty);
  const { build: silent } = await submit(hasty);
  await leaseOne(hasty, "w2");
  await until("a later worker that says nothing to be lost", async () => {
    await beat(hasty, kept);
    return (await get(silent!.id, hasty)).state === BuildState.BUILD_STATE_QUEUED;
  });
  const { attempt, state } = await get(build!.id, hasty);
  assert.deepEqual([attempt, state], [1, BuildState.BUILD_STATE_LEASED]);
  await complete(hasty, kept, failure("command"));
  await complete(hasty, await leaseOne(hasty), failure("command"));
});

test("a heartbeat tells progress, and brings the cancellation", async () => {
  const { build, requester } = await submit(queue, { requester: "one" });
  const lease = await leaseOne(queue);
  await beat(queue, lease, { service: "hello", outputBytes: 7, phase: "pack" });
  const seen = await get(build!.id);
  assert.deepEqual([seen.attempt, seen.phase, seen.outputBytes], [1, "pack", 7]);
  assert.equal(seen.service, "hello");
  const { builds } = queue;
  await submit(queue, { ref: build!.sha, requester: "two" });
  const one = await call(builds, builds.cancelBuild, { id: build!.id, requester });
  assert.ok(one.detached);
  const two = await call(builds, builds.cancelBuild, { id: build!.id, requester: "two" });
  assert.ok(!two.detached);
  assert.ok((await beat(queue, lease)).cancelled);
  const anew = await submit(queue, { ref: build!.sha });
  assert.ok(!anew.attached, "a build that is being cancelled is not shared");
  await complete(queue, lease, { $case: "cancelled", cancelled: true });
  assert.equal((await get(build!.id)).state, BuildState.BUILD_STATE_CANCELLED);
  assert.ok((await beat(queue, lease)).cancelled, "whoever asks late hears the same");
  await call(builds, builds.cancelBuild, { id: anew.build!.id, requester: "" });
});

test("the log of all attempts is followed from any offset, each byte once", async () => {
  const { build } = await submit(hasty);
  const first = await leaseOne(hasty);
  assert.equal(await logText(hasty, first, 0, "hello "), 6);
  assert.equal(await logText(hasty, first, 0, "hello "), 6, "a repeat");
  assert.equal(await logText(hasty, first, 3, "lo world"), 11, "a repeat that says more");
  await assert.rejects(logText(hasty, first, 99, "gap"), withCode(status.FAILED_PRECONDITION));
  const request = { id: build!.id, attempt: 0, offset: 4, follow: true };
  const stream = hasty.builds.tailLog(request);
  const read: string[] = [];
  const ended = (async () => {
    for await (const run of stream) read.push(`${run.attempt}@${run.offset}:${run.data}`);
  })();
  const second = await leaseOne(hasty, "w2", 20_000);
  await logText(hasty, second, 0, "again");
  await succeed(hasty, second);
  await ended;
  assert.deepEqual(joined(read), ["1@4:o world", "2@0:again"]);
  assert.equal((await get(build!.id, hasty)).logBytes, 5);
  const big = await call(hasty.builds, hasty.builds.getBuild, { id: build!.sha.slice(0, 12) });
  assert.equal(big.build!.id, build!.id, "a short SHA names the build");
});

test("an end is accepted twice when it is the same, and never another one", async () => {
  await submit(queue);
  const lease = await leaseOne(queue);
  const release = await succeed(queue, lease);
  await complete(queue, lease, { $case: "release", release });
  await assert.rejects(complete(queue, lease, failure("command")), withCode(status.ABORTED));
  const { releases } = queue;
  const found = await call(releases, releases.getRelease, { id: lease.sha, service: "" });
  assert.equal(found.release!.release, release.release);
  const short = { id: release.release.slice(0, 10), service: "hello" };
  assert.equal((await call(releases, releases.getRelease, short)).release!.sha, lease.sha);
});

test("a release without its sealed pack is not believed", async () => {
  await submit(queue);
  const lease = await leaseOne(queue);
  const release = await sealedRelease(queue, lease, "hello");
  await queue.origin.delete(`packs/${lease.build}.1/seal`);
  const refused = complete(queue, lease, { $case: "release", release });
  await assert.rejects(refused, withCode(status.FAILED_PRECONDITION));
  const foreign = { ...release, sha: "f".repeat(40) };
  await assert.rejects(
    complete(queue, lease, { $case: "release", release: foreign }),
    withCode(status.INVALID_ARGUMENT),
  );
  await complete(queue, lease, failure("output"));
});

test("a build to be shipped is told to the fleet while it grows, and starts a rollout", async () => {
  const { build } = await submit(queue, { ship: SHIP });
  const lease = await leaseOne(queue);
  assert.ok(lease.ship);
  await beat(queue, lease, { service: "hello", segments: 2 });
  await beat(queue, lease, { service: "hello", segments: 1 });
  await succeed(queue, lease);
  const pack = `${lease.build}.1`;
  const told = await until("the end of the order", async () => {
    const facts = queue.told.filter((fact) => fact.includes(pack));
    return facts.some((fact) => fact.startsWith("ended")) && facts;
  });
  // Growth comes from the heartbeat, the rest from the watch: they are told in their own order each.
  const grew = `grew ${pack} 2`;
  assert.deepEqual(
    told.filter((fact) => fact !== grew),
    [`begun ${pack} "hello"`, `ended ${pack} kept`],
  );
  assert.deepEqual(
    told.filter((fact) => fact.startsWith("grew")),
    [grew],
    "told once",
  );
  const { rollout } = await get(build!.id);
  assert.ok(await queue.store.get(`rollouts/${rollout}`));
  const repeated = { ref: build!.sha, ship: SHIP, requester: "later" };
  const shipped = await submit(queue, repeated);
  assert.notEqual(shipped.build!.rollout, rollout, "a succeeded build is shipped at once");
  assert.equal((await submit(queue, repeated)).build!.rollout, shipped.build!.rollout);
});

test("a watcher sees each state until the end", async () => {
  const { build } = await submit(queue);
  const states: string[] = [];
  const fail = (lease: Awaited<ReturnType<typeof leaseOne>>) =>
    complete(queue, lease, failure("command"));
  const watched = (async () => {
    for await (const { build: now } of queue.builds.watchBuild({ id: build!.id })) {
      if (states.at(-1) !== String(now!.state)) states.push(String(now!.state));
      if (now!.state === BuildState.BUILD_STATE_QUEUED) await fail(await leaseOne(queue));
    }
  })();
  await watched;
  assert.equal(states[0], String(BuildState.BUILD_STATE_QUEUED));
  assert.equal(states.at(-1), String(BuildState.BUILD_STATE_FAILED));
});

test("the trace of the request reaches the worker", async () => {
  const metadata = new Metadata();
  const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
  metadata.set("traceparent", traceparent);
  await submit(queue, {}, metadata);
  const lease = await leaseOne(queue);
  assert.equal(lease.traceparent.slice(0, 35), traceparent.slice(0, 35));
  await complete(queue, lease, failure("command"));
});

test("a worker that asks to wait is given the next build; one that has gone is not", async () => {
  const gone = new AbortController();
  const { workers } = queue;
  const request = { worker: "gone", waitMs: 20_000, version: "" };
  const left = call(workers, workers.lease, request, { signal: gone.signal, deadlineMs: 30_000 });
  // A call on the same connection comes after it.
  await call(workers, workers.lease, { ...request, worker: "after", waitMs: 1 });
  gone.abort();
  await assert.rejects(left, withCode(status.CANCELLED));
  const waiting = leaseOne(queue, "waits", 20_000);
  const { build } = await submit(queue);
  const lease = await waiting;
  assert.deepEqual([lease.build, lease.attempt], [build!.id, 1]);
  await complete(queue, lease, failure("command"));
});

test("many who ask at once get a build each, the oldest first, and the others wait", async () => {
  const asking = (count: number) =>
    Array.from({ length: count }, (_, index) => leaseOne(queue, `many ${index}`, 30_000));
  const created = new Map<string, number>();
  const add = async (): Promise<void> => {
    const { build } = await submit(queue);
    created.set(build!.id, build!.createdAtMs);
  };
  for (let n = 0; n < 150; n += 1) await add();
  const first = await Promise.all(asking(100));
  const waiting = asking(60);
  for (let n = 0; n < 10; n += 1) await add();
  const rest = await Promise.all(waiting);
  const times = (leases: typeof first) => leases.map(({ build }) => created.get(build) ?? 0);
  assert.ok(Math.max(...times(first)) <= Math.min(...times(rest)), "the oldest first");
  assert.equal(new Set([...first, ...rest].map(({ build }) => build)).size, 160);
  await Promise.all([...first, ...rest].map((lease) => complete(queue, lease, failure("command"))));
});

test("a thousand builds are paged through, newest first, none twice", async () => {
  const ids: string[] = [];
  for (let i = 0; i < 1_200; i += 100) {
    const some = Array.from({ length: 100 }, () => submit(queue, { service: "paged" }));
    ids.push(...(await Promise.all(some)).map((answer) => answer.build!.id));
  }
  for (const filter of [
    { service: "paged", states: [] },
    { service: "", states: [BuildState.BUILD_STATE_QUEUED] },
  ]) {
    const seen: string[] = [];
    let pageToken = "";
    let newest = Number.POSITIVE_INFINITY;
    do {
      const page = await call(queue.builds, queue.builds.listBuilds, {
        ...filter,
        limit: 500,
        pageToken,
      });
      for (const build of page.builds) {
        assert.ok(build.createdAtMs <= newest);
        newest = build.createdAtMs;
        seen.push(build.id);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(seen.toSorted(), ids.toSorted());
  }
});

function joined(runs: readonly string[]): string[] {
  const texts = new Map<string, string>();
  for (const run of runs) {
    const [attempt, rest] = run.split("@") as [string, string];
    const before = texts.get(attempt);
    const text = rest.slice(rest.indexOf(":") + 1);
    texts.set(attempt, before === undefined ? rest : `${before}${text}`);
  }
  return [...texts].map(([attempt, text]) => `${attempt}@${text}`);
}
