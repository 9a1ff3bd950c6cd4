// Leases in etcd. Each call may be tried again: a lease that was granted without our hearing of it holds no
// keys and ends by itself. etcd counts in whole seconds and takes no less than about 2.
import type { Etcd3 } from "etcd3";
import { EtcdCallError } from "./etcd-failures.ts";
import type { EtcdCall, EtcdMembers } from "./etcd-members.ts";
import type { LeaseId } from "./store.ts";

/** A lease's name in etcd, a positive number of 63 bits; no other names one that exists. */
const LEASE_ID = /^[1-9]\d{0,18}$/;

/** A try to keep a lease: one of 3 s outlives two members that say nothing. */
const KEEP_TRY_MS = 1000;

/** Grants a lease of at least `ttlMs`. */
export async function grantLease(members: EtcdMembers, ttlMs: number): Promise<LeaseId> {
  const TTL = Math.ceil(ttlMs / 1000);
  const { ID } = await members.ask(({ leaseClient }, options) =>
    leaseClient.leaseGrant({ TTL }, options),
  );
  return ID;
}

/** Gives a lease its full time again; false when it is gone. */
export async function keepLeaseAlive(members: EtcdMembers, lease: LeaseId): Promise<boolean> {
  if (!LEASE_ID.test(lease)) return false;
  const keep: EtcdCall<boolean> = async ({ leaseClient }, options) => {
    const stream = await leaseClient.leaseKeepAlive(options);
    return new Promise<boolean>((resolve, reject) => {
      stream.on("data", ({ TTL }) => {
        resolve(Number(TTL) > 0);
        stream.end();
      });
      stream.on("error", reject);
      stream.on("end", () =>
        reject(new EtcdCallError("the answer is missing", { kind: "unknown" })),
      );
      stream.write({ ID: lease });
    });
  };
  return members.ask(keep, KEEP_TRY_MS);
}

/** Whether the lease exists. */
export async function isLeaseAlive(members: EtcdMembers, lease: LeaseId): Promise<boolean> {
  if (!LEASE_ID.test(lease)) return false;
  const { TTL } = await members.ask(({ leaseClient }: Etcd3, options) =>
    leaseClient.leaseTimeToLive({ ID: lease }, options),
  );
  return Number(TTL) > 0;
}

/** Ends a lease; one that is gone is no error. */
export async function revokeLease(members: EtcdMembers, lease: LeaseId): Promise<void> {
  if (!LEASE_ID.test(lease)) return;
  try {
    await members.ask(({ leaseClient }, options) =>
      leaseClient.leaseRevoke({ ID: lease }, options),
    );
  } catch (error) {
    if (!(error instanceof EtcdCallError && error.isRefusal("lease-not-found"))) throw error;
  }
}

/** Whether a lease could be named so. */
export function isLeaseId(lease: LeaseId): boolean {
  return LEASE_ID.test(lease);
}
