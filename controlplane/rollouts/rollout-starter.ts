// Starts rollouts for operators: once per idempotency key, and only where the service still stands as
// the plan saw it.

import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { aborted, failedPrecondition, invalid, unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Compare, Operation, Store } from "../../runtime/store/store.ts";
import { isKept, releaseOfBuild, requireRelease } from "../builds/release-index.ts";
import { type Fence, isFenced } from "../fence.ts";
import { type NewRollout, prepareRows } from "./new-rollout.ts";
import type { RolloutEngine } from "./rollout-engine.ts";
import { checkedPolicy, checkRegions } from "./rollout-policy.ts";
import { idempotencyKey, rollBackKey } from "./rollout-record.ts";

/** Others may change the service at the same time; each of them gets its turn long before this. */
const ATTEMPTS_MAX = 16;
/** Percent-encoded they are 600 at most, and fit into a key of the store. */
const KEY_BYTES_MAX = 200;

export interface RolloutStarterOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly engine: RolloutEngine;
}

export class RolloutStarter {
  readonly #options: RolloutStarterOptions;

  constructor(options: RolloutStarterOptions) {
    this.#options = options;
  }

  /** The id of the rollout, new or of the same key; ABORTED where the plan's revision has passed. */
  async start(request: StartRolloutRequest, traceparent: string): Promise<string> {
    const { idempotencyKey: key, revision, supersede } = request;
    checkKey(key);
    checkRegions("excluded_regions", request.excludedRegions);
    const release = await requireRelease(this.#options.store, request.release, request.service);
    const asked = checkedPolicy(request.policy ?? release.rollout);
    const policy = { ...asked, urgent: asked.urgent || request.urgent };
    const { excludedRegions } = request;
    const start = { release, policy, excludedRegions, supersede, build: "", traceparent };
    return this.commit(start, key, revision);
  }

  /** The rollout that was started under a key. */
  started(key: string): Promise<string | undefined> {
    return this.#named(key, idempotencyKey);
  }

  /** The open rollout that was told to go back under a key. */
  takenBack(key: string): Promise<string | undefined> {
    return this.#named(key, rollBackKey);
  }

  /** Notes that a rollout is told to go back, before it is; false where the key stands for something. */
  async noteTakenBack(key: string, rollout: string): Promise<boolean> {
    const { store, fence } = this.#options;
    const absent = [idempotencyKey(key), rollBackKey(key)];
    const compares: Compare[] = [
      fence.compare,
      ...absent.map((name): Compare => ({ key: name, is: "absent" })),
    ];
    const operations = [{ put: rollBackKey(key), value: new TextEncoder().encode(rollout) }];
    return (await store.transact({ compares, operations })).committed;
  }

  async #named(key: string, keyOf: (key: string) => string): Promise<string | undefined> {
    const row = key === "" ? undefined : await this.#options.store.get(keyOf(key));
    return row && new TextDecoder().decode(row.value);
  }

  /** The same for a release that is known; `key` empty: always a new one; `revision` 0: any. */
  async commit(start: NewRollout, key: string, revision: number): Promise<string> {
    const { store, fence, engine } = this.#options;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const known = await this.started(key);
      if (known !== undefined) return known;
      const prepared = await prepareRows(store, start);
      if (revision !== 0 && prepared.revision !== revision) {
        throw aborted(
          `service ${start.release.service} is at revision ${prepared.revision}, ` +
            `the plan was made at ${revision}: plan again`,
        );
      }
      const { id } = prepared.record;
      const compares: Compare[] = [fence.compare, isKept(start.release), ...prepared.compares];
      const operations: Operation[] = [...prepared.operations];
      if (key !== "") {
        compares.push({ key: idempotencyKey(key), is: "absent" });
        operations.push({ put: idempotencyKey(key), value: new TextEncoder().encode(id) });
      }
      failpoint("controlplane.before-rollout-txn");
      const result = await store.transact({ compares, operations });
      if (!result.committed) {
        if (isFenced(fence, result.current[0])) {
          throw unavailable("another control plane has taken over; try again");
        }
        await this.#requireKept(start.release);
        continue;
      }
      failpoint("controlplane.after-rollout-txn");
      await engine.open(id);
      return id;
    }
    throw unavailable(`service ${start.release.service} is being changed by others; try again`);
  }

  async #requireKept(release: Release): Promise<void> {
    if ((await releaseOfBuild(this.#options.store, release)) !== undefined) return;
    const { service, sha } = release;
    throw failedPrecondition(
      `the release of ${service} at ${sha} is not kept any more: build it again`,
    );
  }
}

/** INVALID_ARGUMENT where a key is too long for the store. */
export function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_BYTES_MAX) {
    throw invalid(`idempotency_key has ${bytes} bytes, at most ${KEY_BYTES_MAX}`);
  }
}
