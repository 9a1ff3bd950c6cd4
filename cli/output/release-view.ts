// Releases as `millrace releases` shows them: a table, one in detail, and as JSON.

import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatAge, formatFields, formatTable, formatTime, shortId } from "./format.ts";

/** A table of releases; `nowMs` is the time of day. */
export function releaseTable(releases: readonly Release[], nowMs: number): string {
  if (releases.length === 0) return "no releases";
  const rows = releases.map((release) => [
    shortId(release.sha),
    shortId(release.release),
    release.service,
    formatAge(release.createdAtMs, nowMs),
    String(release.entries),
    formatBytes(release.bytes),
    formatBytes(release.packedBytes),
    release.build,
  ]);
  const head = ["SHA", "RELEASE", "SERVICE", "AGE", "ENTRIES", "BYTES", "NEW", "BUILD"];
  return formatTable(head, rows);
}

/** One release in full. */
export function releaseDetail(release: Release): string {
  const { activation, rollout, layout } = release;
  const command = activation === undefined ? [] : [...activation.exec, ...activation.hook];
  const waves = rollout?.waves.map((wave) => `${wave.percent} %`).join(", ") ?? "";
  const fields = formatFields([
    ["release", release.release],
    ["service", release.service],
    ["sha", release.sha],
    ["build", release.build],
    ["made", formatTime(release.createdAtMs)],
    ["content", `${formatBytes(release.bytes)} in ${release.entries} entries`],
    ["new", `${formatBytes(release.packedBytes)} in the pack of its build`],
    ["runs", command.join(" ")],
    ["waves", waves === "" ? "100 %" : waves],
  ]);
  const packs = (layout?.packs ?? []).map((pack) => [
    pack.pack,
    String(pack.pieces),
    String(pack.segments),
    formatBytes(pack.bytes),
  ]);
  return `${fields}\n\n${formatTable(["PACK", "PIECES", "SEGMENTS", "BYTES"], packs)}`;
}

/** A release for --json: the fields of the API, digests in hex. */
export function releaseRecord(release: Release): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(release, hexOfBytes)) as Record<string, unknown>;
}

/** Bytes reach a replacer as what `Buffer.toJSON` makes of them. */
function hexOfBytes(_key: string, value: unknown): unknown {
  const bytes = value as { readonly type?: unknown; readonly data?: unknown } | null;
  if (bytes === null || typeof bytes !== "object") return value;
  if (bytes.type === "Buffer" && Array.isArray(bytes.data)) {
    return Buffer.from(bytes.data as number[]).toString("hex");
  }
  return value;
}
