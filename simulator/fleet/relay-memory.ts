// What a simulated relay keeps on its disk, and what it can say of its machines and of earlier orders when a leader asks.
import type { RememberedOrder } from "../../core/leadership/lost-orders.ts";
import type { KeptPermit } from "../../core/rollout/permit-ledger.ts";
import type { Assignments, Status } from "./messages.ts";

/** What outlives the process. */
export interface RelayDisk {
  epoch: number;
  isComplete: boolean;
  readonly services: Map<string, Assignments>;
  readonly permits: Map<string, Map<string, KeptPermit>>;
  /** Nothing can be written. */
  isFull: boolean;
}

/** A disk on which nothing was written. */
export function newRelayDisk(): RelayDisk {
  const nothing = { services: new Map(), permits: new Map() };
  return { epoch: 0, isComplete: false, ...nothing, isFull: false };
}

/** Orders that it keeps, and those that its machines follow of a later epoch. */
export function rememberedOrders(
  services: ReadonlyMap<string, Assignments>,
  statuses: Iterable<Status>,
): readonly RememberedOrder[] {
  const kept = [...services.values()].flatMap(({ service, epoch, revision, rules }) =>
    rules.map(({ rollout }) => ({ service, rollout, epoch, revision })),
  );
  const followed = [...statuses].map(({ service, report: { rollout, epoch } }) => {
    return { service, rollout, epoch, revision: 0 };
  });
  const beside = followed.filter(
    ({ service, rollout, epoch }) => rollout !== "" && epoch > (services.get(service)?.epoch ?? 0),
  );
  return [...kept, ...beside];
}

/** Releases that its machines run, bring to disk, or would go back to. */
export function usedReleases(statuses: Iterable<Status>): readonly string[] {
  const used = [...statuses].flatMap(({ report }) => {
    return [report.release, report.running, report.lastGood].filter((one) => one !== "");
  });
  return [...new Set(used)];
}
