// What is wrong with the places that state and packs are kept in.
import type { ClusterFacts, DiskFacts, StoreFacts } from "./facts.ts";
import type { Finding } from "./finding.ts";

/** A write of etcd takes some 10 ms; a leader's lease of 3 s needs one each second. */
const WRITE_WARNING_MS = 250;
const WRITE_ERROR_MS = 1_500;
/** What etcd takes unless its --quota-backend-bytes says more. */
const ETCD_QUOTA_BYTES = 2 * 1024 ** 3;
const ETCD_WARNING_SHARE = 0.6;
const ETCD_ERROR_SHARE = 0.9;
/** One release, and a tenth; below a GB the next segment may not fit. */
const DISK_WARNING_BYTES = 10e9;
const DISK_WARNING_SHARE = 0.1;
const DISK_ERROR_BYTES = 1e9;

/** Of the store, the origin and the disks. */
export function storeChecks({ store, originTrouble, disks }: ClusterFacts): Finding[] {
  const findings = [...latency(store), ...etcd(store), ...disks.flatMap(disk)];
  if (originTrouble === undefined) return findings;
  const origin: Finding = {
    check: "origin",
    severity: "error",
    where: "origin",
    what: originTrouble,
    advice: "no build can end; see its space and the control plane's and workers' rights to it",
  };
  return [...findings, origin];
}

function latency({ writeMs, trouble }: StoreFacts): Finding[] {
  if (writeMs === undefined) {
    return [
      {
        check: "store-away",
        severity: "error",
        where: "store",
        what: `it takes no writes: ${trouble}`,
        advice: "services run on, and nothing else goes on until it does; see the store's own log",
      },
    ];
  }
  if (writeMs < WRITE_WARNING_MS) return [];
  return [
    {
      check: "store-slow",
      severity: writeMs < WRITE_ERROR_MS ? "warning" : "error",
      where: "store",
      what: `a write takes ${Math.round(writeMs)} ms at least, ${WRITE_WARNING_MS} ms are slow`,
      advice: "give it a disk of its own with fast syncs, near to the control planes",
    },
  ];
}

function etcd({ members, alarms }: StoreFacts): Finding[] {
  const down = members.filter(({ trouble }) => trouble !== undefined);
  const left = members.length - down.length - Math.floor(members.length / 2) - 1;
  const silent = down.map(
    ({ address, trouble }): Finding => ({
      check: "etcd-member",
      severity: left < 0 ? "error" : "warning",
      where: `etcd ${address}`,
      what: `it does not answer: ${trouble}; ${Math.max(0, left)} more may be lost`,
      advice: "start it again, or replace it by a new member",
    }),
  );
  const raised = alarms.map(
    (alarm): Finding => ({
      check: "etcd-alarm",
      severity: "error",
      where: "etcd",
      what: `alarm ${alarm} is raised; with NOSPACE it takes no writes`,
      advice: "compact and defragment it, raise its quota, then disarm the alarm",
    }),
  );
  return [...silent, ...raised, ...space(members)];
}

function space(members: StoreFacts["members"]): Finding[] {
  const largest = members.toSorted((a, b) => b.databaseBytes - a.databaseBytes)[0];
  const share = (largest?.databaseBytes ?? 0) / ETCD_QUOTA_BYTES;
  if (largest === undefined || share < ETCD_WARNING_SHARE) return [];
  const mebibytes = Math.round(largest.databaseBytes / 1024 ** 2);
  return [
    {
      check: "etcd-space",
      severity: share < ETCD_ERROR_SHARE ? "warning" : "error",
      where: `etcd ${largest.address}`,
      what: `its database has ${mebibytes} MiB; at its quota, ${ETCD_QUOTA_BYTES / 1024 ** 2} MiB unless it was raised, it takes no writes`,
      advice: "defragment its members one after the other, or raise --quota-backend-bytes",
    },
  ];
}

function disk({ owner, freeBytes, bytes }: DiskFacts): Finding[] {
  const isLow = freeBytes < DISK_WARNING_BYTES && freeBytes < bytes * DISK_WARNING_SHARE;
  if (!isLow || bytes === 0) return [];
  return [
    {
      check: "disk-full",
      severity: freeBytes < DISK_ERROR_BYTES ? "error" : "warning",
      where: owner,
      what: `${(freeBytes / 1e9).toFixed(1)} of ${(bytes / 1e9).toFixed(0)} GB are free on its disk`,
      advice: "free space, or give it a larger disk; a release takes up to 10 GB",
    },
  ];
}
