// A write of a rollout that was taken for lost and comes late, after others have followed it: it happens no more.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commitRollout } from "../../controlplane/rollouts/rollout-commit.ts";
import {
  parseRollout,
  type RolloutRecord,
  rolloutKey,
} from "../../controlplane/rollouts/rollout-record.ts";
import { newRolloutRow, type RolloutState } from "../../core/rollout/rollout-row.ts";
import { Release, RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { createLog } from "../../runtime/log.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { RangeOptions, Store, Transaction } from "../../runtime/store/store.ts";
import { StoreUnknownOutcomeError } from "../../runtime/store/store-errors.ts";
import { elected } from "./elected.ts";

const ID = "r-0123456789abcdef";

function record(state: RolloutState): RolloutRecord {
  return {
    id: ID,
    service: "web",
    release: Release.fromPartial({ service: "web" }),
    previous: undefined,
    build: "",
    policy: RolloutPolicy.fromPartial({ waves: [{ percent: 100 }] }),
    excludedRegions: [],
    supersede: false,
    traceparent: "",
    createdAtMs: 1,
    updatedAtMs: 1,
    endedAtMs: 0,
    row: { ...newRolloutRow(false), state },
    regions: [],
    failing: [],
  };
}

test("fault 4: a write that comes late does not undo the one that came after it", async () => {
  const root = mkdtempSync(join(tmpdir(), "millrace-late-write-"));
  const log = createLog("test");
  log.level = "fatal";
  const store = await openStore(`sqlite:${join(root, "store.db")}`);
  const { fence, resign } = await elected(store, log);
  try {
    const onItsWay: Transaction[] = [];
    const stalled = {
      get: (key: string) => store.get(key),
      range: (options: RangeOptions) => store.range(options),
      transact: async (transaction: Transaction) => {
        onItsWay.push(transaction);
        throw new StoreUnknownOutcomeError("no answer");
      },
    } as Partial<Store> as Store;
    await commitRollout(store, fence, record("replicating"), []);
    const lost = commitRollout(stalled, fence, record("activating"), []);
    await assert.rejects(lost, StoreUnknownOutcomeError);
    // It is written again, and goes on from there.
    await commitRollout(store, fence, record("activating"), []);
    await commitRollout(store, fence, record("succeeded"), []);

    const [late] = onItsWay;
    assert.ok(late !== undefined);
    assert.equal((await store.transact(late)).committed, false);
    const entry = await store.get(rolloutKey(ID));
    assert.equal(entry && parseRollout(entry).row.state, "succeeded");
  } finally {
    await resign();
    await store.close();
    rmSync(root, { recursive: true });
  }
});
