// What only who asks can see: whether there is an answer at all, and how far two programs' versions and clocks
// are apart.
import type { Finding } from "./finding.ts";
import { versionGap } from "./version-gap.ts";

/** Clocks only date what people read, and sign requests to cloud stores, which bear 5 min. */
const CLOCK_WARNING_MS = 5_000;
const CLOCK_ERROR_MS = 120_000;

/** A control plane does not answer. */
export function unreachable(address: string, why: string): Finding {
  return {
    check: "unreachable",
    severity: "error",
    where: `control plane ${address}`,
    what: `it does not answer: ${why}`,
    advice: "see that it runs and that its --listen can be reached from here",
  };
}

/** No replica leads, as the one that was asked knows it. */
export function noLeader(address: string): Finding {
  return {
    check: "no-leader",
    severity: "error",
    where: `control plane ${address}`,
    what: "no replica leads: builds are queued, and nothing else goes on",
    advice: "see that the store answers; a replica's log says why it is not elected",
  };
}

/** A program's version beside that of the control plane. */
export function versionChecks(where: string, version: string, leader: string): Finding[] {
  if (version === leader) return [];
  const gap = versionGap(version, leader);
  const isFar = gap === undefined || gap > 1;
  return [
    {
      check: "version-skew",
      severity: isFar ? "error" : "warning",
      where,
      what: `it has version ${version || "(none)"}, the control plane ${leader}`,
      advice: isFar
        ? "versions that are further apart than one are not tried together"
        : "end the upgrade",
    },
  ];
}

/** A program's clock beside that of the control plane; `aheadMs` is how far it is before it. */
export function clockChecks(where: string, aheadMs: number): Finding[] {
  const apartMs = Math.abs(aheadMs);
  if (apartMs < CLOCK_WARNING_MS) return [];
  const direction = aheadMs > 0 ? "ahead of" : "behind";
  return [
    {
      check: "clock-skew",
      severity: apartMs < CLOCK_ERROR_MS ? "warning" : "error",
      where,
      what: `its clock is ${Math.round(apartMs / 1_000)} s ${direction} the control plane's`,
      advice: "have both follow a time server",
    },
  ];
}
