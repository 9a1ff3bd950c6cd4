// How the members of an etcd cluster stand, each asked by itself. For people to see; no store's call depends on it.
import { failureCause } from "../grpc/failure-cause.ts";
import type { EtcdMembers } from "./etcd-members.ts";
import type { StoreCondition } from "./store.ts";

/** A member that has not answered by then does not. */
const ANSWER_MS_MAX = 1_500;

/** Asks every member that the store was given. */
export async function etcdCondition(members: EtcdMembers): Promise<StoreCondition> {
  const options = (): { deadline: number } => ({ deadline: Date.now() + ANSWER_MS_MAX });
  const asked = await members.each(async ({ maintenance }) => {
    const { dbSize } = await maintenance.status(options());
    return Number(dbSize);
  });
  const alarms = await members.each(async ({ maintenance }) => {
    // All alarms of all members, which is what zeros ask for.
    const { alarms: raised } = await maintenance.alarm({}, options());
    return raised.map(({ alarm }) => String(alarm).toUpperCase());
  });
  return {
    members: asked.map(({ address, outcome }) => ({
      address,
      trouble:
        outcome.status === "fulfilled" ? undefined : failureCause(String(outcome.reason.message)),
      databaseBytes: outcome.status === "fulfilled" ? outcome.value : 0,
    })),
    alarms: [
      ...new Set(
        alarms.flatMap(({ outcome }) => (outcome.status === "fulfilled" ? outcome.value : [])),
      ),
    ],
  };
}
