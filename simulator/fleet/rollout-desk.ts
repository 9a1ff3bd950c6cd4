// What operators ask of the leader: a rollout begins once for each key, and only where the service stands as it was
// planned; pause, resume, abort and going back are facts for the rollout's machine.

import { activeKey } from "../../core/rollout/service-turns.ts";
import type { LedTerm } from "./led-term.ts";
import type { Release } from "./messages.ts";
import { footing } from "./pack-rows.ts";
import {
  assignmentsKey,
  beginChange,
  type RolloutRecord,
  readForBegin,
  rolloutByKey,
} from "./rollout-record.ts";
import type { Change, StoreModel } from "./store-model.ts";

/** Others may change the service at the same time; each of them gets its turn long before this. */
const ATTEMPTS_MAX = 16;

export interface StartRequest {
  /** The same for each try of one request. */
  readonly key: string;
  /** A name that no other rollout has, nor had before a store was put back. */
  readonly newId: () => string;
  readonly excludedRegions?: readonly string[];
  readonly release: Release;
  readonly policy: RolloutRecord["policy"];
  readonly supersede: boolean;
  /** How the service stood when it was planned; 0: whatever. */
  readonly revision: number;
  /** Wall-clock time of the control plane that takes it. */
  readonly wallMs: number;
}

export type StartAnswer =
  | { readonly kind: "started"; readonly rollout: string }
  /** The service has moved since the plan. */
  | { readonly kind: "conflict" }
  /** The release's packs have been collected: it is to be built again. */
  | { readonly kind: "gone" }
  /** It is not known whether it began: ask again with the same key. */
  | { readonly kind: "unavailable" };

/** Rises whenever a service's rollouts or assignments change. */
export function serviceRevision(model: StoreModel, service: string): number {
  const active = model.get(activeKey(service))?.modRevision ?? 0;
  return Math.max(active, model.get(assignmentsKey(service))?.modRevision ?? 0);
}

/** Begins a rollout under a term. */
export function startRollout(
  term: LedTerm,
  request: StartRequest,
  answer: (answer: StartAnswer) => void,
  attempt = 1,
): void {
  const { release, key, revision } = request;
  const { service } = release;
  const unavailable = (): void => answer({ kind: "unavailable" });
  if (term.isStopped || attempt > ATTEMPTS_MAX) {
    unavailable();
    return;
  }
  term.store.read(
    (model) => ({
      known: model.get(rolloutByKey(key))?.value as string | undefined,
      ...readForBegin(model, service),
      revision: serviceRevision(model, service),
      footing: footing(model, release, request.wallMs),
    }),
    (read) => {
      if (read.kind !== "answered") return unavailable();
      const { known } = read.value;
      if (known !== undefined) return answer({ kind: "started", rollout: known });
      if (revision !== 0 && read.value.revision !== revision) return answer({ kind: "conflict" });
      const { footing: base } = read.value;
      if (base === undefined) return answer({ kind: "gone" });
      const { policy, supersede, wallMs, excludedRegions = [] } = request;
      const id = request.newId();
      const start = { id, service, release, policy, supersede, excludedRegions };
      const { change } = beginChange(start, wallMs, read.value);
      const own: Change = {
        by: term.epoch,
        compares: [
          term.fence,
          { key: rolloutByKey(key), is: "absent" },
          ...change.compares,
          ...base.compares,
        ],
        operations: [
          { put: rolloutByKey(key), value: id },
          ...change.operations,
          ...base.operations,
        ],
      };
      term.store.transact(own, (result) => {
        if (result.kind !== "answered") return unavailable();
        if (result.value.committed) return answer({ kind: "started", rollout: id });
        if (term.isFenced(result.value.current[0])) {
          term.lose();
          return unavailable();
        }
        startRollout(term, request, answer, attempt + 1);
      });
    },
  );
}
