// Writes of a rollout whose answer was lost: one that comes late, after others have followed it, happens no more, and what
// was committed is neither committed again nor kept from relays.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Fence } from "../../controlplane/fence.ts";
import { assignmentsKey, parseAssignments } from "../../controlplane/rollouts/assignment-list.ts";
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

function record(state: RolloutState, id = ID): RolloutRecord {
  return {
    id,
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

/** Runs against a store of its own, as its leader. */
async function leading(run: (store: Store, fence: Fence) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "millrace-late-write-"));
  const log = createLog("test");
  log.level = "fatal";
  const store = await openStore(`sqlite:${join(root, "store.db")}`);
  const { fence, resign } = await elected(store, log);
  try {
    await run(store, fence);
  } finally {
    await resign();
    await store.close();
    rmSync(root, { recursive: true });
  }
}

test("fault 4: a write that comes late does not undo the one that came after it", async () => {
  await leading(async (store, fence) => {
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
    await commitRollout(store, fence, record("activating"), [], true);
    await commitRollout(store, fence, record("succeeded"), []);

    const [late] = onItsWay;
    assert.ok(late !== undefined);
    assert.equal((await store.transact(late)).committed, false);
    const entry = await store.get(rolloutKey(ID));
    assert.equal(entry && parseRollout(entry).row.state, "succeeded");
  });
});

test("fault 4: an end that was written without an answer takes nothing from the rollout whose turn has come", async () => {
  await leading(async (store, fence) => {
    const next = "r-fedcba9876543210";
    await commitRollout(store, fence, record("activating"), ["open"]);
    await commitRollout(store, fence, record("succeeded"), ["final"]);
    const begun = await commitRollout(store, fence, record("activating", next), ["open"]);
    const again = await commitRollout(store, fence, record("succeeded"), ["final"], true);
    const [rule] = parseAssignments(await store.get(assignmentsKey("web")));
    assert.deepEqual(
      { rollout: rule?.rollout, phase: rule?.phase },
      { rollout: next, phase: "open" },
    );
    assert.equal(again.revision, begun.revision);
    assert.equal(again.assignments?.assignments[0]?.rollout, next);
  });
});

test("fault 4: assignments that were written without an answer are told once they are seen to be", async () => {
  await leading(async (store, fence) => {
    const first = await commitRollout(store, fence, record("activating"), ["open"]);
    const same = await commitRollout(store, fence, record("activating"), ["open"]);
    assert.equal(same.assignments, undefined, "nothing is new");
    const again = await commitRollout(store, fence, record("activating"), ["open"], true);
    assert.deepEqual(again, first);
  });
});
