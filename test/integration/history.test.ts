// What has ended, brought into the archive by a control plane as a process that is killed -9 on its way there:
// everything is listed once, found by its id, and answered to who asks again, on both stores.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { HistoryItem } from "../../proto/gen/millrace/v1/history.ts";
import { StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { call } from "../../runtime/grpc/client.ts";
import { startEtcd } from "../lab/etcd.ts";
import { until } from "../lab/until.ts";
import { millrace } from "./cli-scripted-api.ts";
import { type ControlPlane, startControlPlane } from "./controlplane-process.ts";
import { complete, leaseOne, logText, sealedRelease, submit } from "./queue-system.ts";
import { straightTo } from "./relay-ways.ts";
import { TestRelay } from "./rollout-relay.ts";

/** A second and a bit. */
const SOON = ["--history-hot", "0.00002"];
const SERVICE = "hello";
const REPOSITORY = "https://git.invalid/hello";

const etcd = await startEtcd();
after(() => etcd.dispose());

const CASES = [
  ["SQLite", "controlplane.before-archive"],
  ["SQLite", "controlplane.after-archive"],
  ["SQLite", "controlplane.after-archive-txn"],
  ["etcd", "controlplane.after-archive@2"],
] as const;

for (const [index, [kind, place]] of CASES.entries()) {
  test(`fault 1: killed at ${place} on ${kind}, nothing that ended is lost or there twice`, async () => {
    const root = mkdtempSync(join(tmpdir(), "millrace-history-"));
    const store = kind === "etcd" ? { store: `etcd://${etcd.hosts}/case-${index}` } : {};
    const origin = await openBlobStore(`file:${join(root, "origin")}`);
    let plane = await startControlPlane(root, store);
    const relay = new TestRelay(
      "relay",
      "region",
      2,
      straightTo(() => plane.address),
    );
    try {
      const past = await live(plane, origin);
      assert.deepEqual(namesOf(await history(plane)), past.names);
      await plane.end("SIGTERM");
      plane = await startControlPlane(root, { ...store, flags: SOON, failpoint: place });
      const [, signal] = (await plane.exited) as [number | null, string | null];
      assert.equal(signal, "SIGKILL");
      await plane.end("SIGKILL");
      plane = await startControlPlane(root, { ...store, flags: SOON });
      const items = await until("all but the last rollout to be archived", async () => {
        const listed = await history(plane);
        // At no moment is anything missing, or there twice.
        assert.deepEqual(namesOf(listed), past.names);
        return listed.every((one) => one.archived || nameOf(one) === past.stays) && listed;
      });
      await isFound(plane, past, items);
      await isAnswered(plane, past);
    } finally {
      relay.stop();
      await plane.end("SIGTERM");
      await origin.close();
      rmSync(root, { recursive: true, force: true });
    }
  });
}

interface Past {
  /** Builds and rollouts that have ended, by id, sorted. */
  readonly names: readonly string[];
  /** The rollout that brought what runs. */
  readonly stays: string;
  readonly first: { readonly build: string; readonly sha: string; readonly rollout: string };
}

/** Two commits that are built and rolled out, one that fails and one that is cancelled. */
async function live(plane: ControlPlane, origin: BlobStore): Promise<Past> {
  const { builds } = plane;
  const [first, second] = [await shipped(plane, origin, 1), await shipped(plane, origin, 2)];
  const failing = (await submit(plane)).build?.id ?? "";
  const lease = await leaseOne(plane);
  await complete(plane, lease, {
    $case: "failure",
    failure: { reason: "command", message: "exit 1" },
  });
  const { build } = await submit(plane);
  const cancelled = build?.id ?? "";
  await call(builds, builds.cancelBuild, { id: cancelled, requester: "" });
  const names = [first.build, first.rollout, second.build, second.rollout, failing, cancelled];
  return { names: names.sort(), stays: second.rollout, first };
}

/** A build that succeeds, and a rollout of it by a key. */
async function shipped(plane: ControlPlane, origin: BlobStore, nth: number) {
  const sha = String(nth).repeat(40);
  const { build } = await submit(plane, { repository: REPOSITORY, ref: sha, requester: `q${nth}` });
  const lease = await leaseOne(plane);
  await logText(plane, lease, 0, `log of ${sha}`);
  const release = await sealedRelease({ origin }, lease, SERVICE);
  await complete(plane, lease, { $case: "release", release });
  const { rollouts } = plane;
  const request = startOf(sha, nth);
  const id = (await call(rollouts, rollouts.startRollout, request)).rollout?.id ?? "";
  await until("the end of the rollout", async () => {
    const { rollout } = await call(rollouts, rollouts.getRollout, { id });
    return rollout?.endedAtMs !== 0;
  });
  return { build: build?.id ?? "", sha, rollout: id };
}

function startOf(sha: string, nth: number): StartRolloutRequest {
  return StartRolloutRequest.fromPartial({ release: sha, idempotencyKey: `key-${nth}` });
}

/** All of the past, in pages of two. */
async function history({ history: client }: ControlPlane): Promise<HistoryItem[]> {
  const items: HistoryItem[] = [];
  let pageToken = "";
  do {
    const request = { service: "", sinceMs: 0, untilMs: 0, limit: 2, pageToken };
    const page = await call(client, client.listHistory, request);
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return items;
}

function nameOf({ item }: HistoryItem): string {
  return item?.$case === "build" ? item.build.id : (item?.rollout.id ?? "");
}

function namesOf(items: readonly HistoryItem[]): string[] {
  const madeAt = items.map(({ item }) =>
    item?.$case === "build" ? item.build.createdAtMs : (item?.rollout.createdAtMs ?? 0),
  );
  assert.deepEqual(
    madeAt,
    madeAt.toSorted((a, b) => b - a),
    "newest first",
  );
  return items.map(nameOf).sort();
}

/** What was archived is found by its id, as it was, with its log. */
async function isFound(plane: ControlPlane, past: Past, items: readonly HistoryItem[]) {
  const { builds, rollouts, history: client } = plane;
  for (const { item } of items) {
    if (item?.$case === "build") {
      const { build } = await call(builds, builds.getBuild, { id: item.build.id });
      assert.deepEqual(build, item.build);
    } else if (item?.$case === "rollout" && item.rollout.id !== past.stays) {
      const { rollout } = await call(rollouts, rollouts.getRollout, { id: item.rollout.id });
      assert.deepEqual(rollout, item.rollout);
    }
  }
  const { build, sha } = past.first;
  let text = "";
  for await (const run of builds.tailLog({ id: build, attempt: 0, offset: 0, follow: true })) {
    text += run.data.toString();
  }
  assert.equal(text, `log of ${sha}`);
  const all = { service: SERVICE, sinceMs: 0, untilMs: 0, limit: 0, pageToken: "" };
  const ofService = await call(client, client.listHistory, all);
  assert.equal(ofService.items.length, 4, "two builds and two rollouts are of the service");
  const { code, stdout } = await millrace([
    ...["history", "--addr", plane.address, "--service", SERVICE],
    ...["--since", "1d", "--limit", "3", "--json"],
  ]);
  assert.equal(code, 0);
  const { history: shown, more } = JSON.parse(stdout);
  assert.deepEqual([shown.length, more], [3, true]);
  assert.ok(shown.every((one: { readonly service: string }) => one.service === SERVICE));
  const future = { ...all, sinceMs: Date.now() + 60_000 };
  assert.equal((await call(client, client.listHistory, future)).items.length, 0);
}

/** Who asks again is answered with what was archived; who ships it has it back. */
async function isAnswered(plane: ControlPlane, { first }: Past): Promise<void> {
  const { rollouts, builds } = plane;
  const again = await call(rollouts, rollouts.startRollout, startOf(first.sha, 1));
  assert.equal(again.rollout?.id, first.rollout);
  const request = { repository: REPOSITORY, ref: first.sha };
  const joined = await submit(plane, request);
  assert.ok(joined.attached);
  assert.equal(joined.build?.id, first.build);
  const ship = {
    targets: {},
    overrideTargets: false,
    excludedRegions: [],
    supersede: false,
    urgent: false,
  };
  const shipped = await submit(plane, { ...request, requester: "late", ship });
  assert.equal(shipped.build?.id, first.build);
  const id = shipped.build?.rollout ?? "";
  assert.match(id, /^r-/);
  const { build } = await call(builds, builds.getBuild, { id: first.build });
  assert.equal(build?.rollout, id);
  const repeated = await submit(plane, { ...request, requester: "late", ship });
  assert.equal(repeated.build?.rollout, id, "a repeat rolls nothing out");
  const listed = await history(plane);
  assert.equal(listed.filter((one) => nameOf(one) === first.build).length, 1);
}
