// Where builds lie in the store, and which index rows each change of one moves. The rows and their
// indexes change in one transaction, so a reader of either finds the other.
import { createHash } from "node:crypto";
import { type BuildRow, type BuildState, packOf } from "../../core/builds/build-row.ts";
import type { Operation } from "../../runtime/store/store.ts";
import { droppedKey } from "../garbage/pack-mark-row.ts";
import { encodeBuild } from "./build-row-json.ts";

/** Prefix of build rows. */
export const BUILDS = "builds/";

/** Digits of unix milliseconds in keys, so that they sort. */
const TIME_DIGITS = 15;
const EMPTY = new Uint8Array();

/** States of a build that has ended. */
export const ENDED_STATES = ["succeeded", "failed", "cancelled", "timed_out"] as const;
/** What the id of a build looks like. */
export const BUILD_ID = /^b-[0-9a-f]{16}$/;
/** Key of a build's row. */
export const buildKey = (id: string): string => `${BUILDS}${id}`;
/** Prefix of the index by state; then `<created>/<id>`. */
export const statePrefix = (state: BuildState): string => `builds-by-state/${state}/`;
/** Prefix of the index by service; then `<created>/<id>`. */
export const servicePrefix = (service: string): string => `builds-of/${service}/`;
/** Prefix of the index by SHA, whole or the beginning of one; then `/<created>/<id>`. */
export const shaPrefix = (sha: string): string => `builds-by-sha/${sha}`;
/** Prefix of what equal requests share. */
export const DEDUP_PREFIX = "builds-by-key/";
/** Key of the build that equal requests share. */
export const dedupEntry = (dedupKey: string): string => `${DEDUP_PREFIX}${dedupKey}`;

/** Place of a build in the order of time, unique. */
export function placeOf(row: { readonly createdAtMs: number; readonly id: string }): string {
  return `${String(row.createdAtMs).padStart(TIME_DIGITS, "0")}/${row.id}`;
}

/** Build id at the end of an index key. */
export function idOfIndexKey(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

/**
 * What equal requests have in common. A service that is not given is what the recipe at that SHA says,
 * which is one and the same for each SHA; so it counts only where it is given.
 */
export function dedupKeyOf(request: {
  readonly repository: string;
  readonly sha: string;
  readonly recipe: string;
  readonly service: string;
}): string {
  const { repository, sha, recipe, service } = request;
  const recipeDigest =
    recipe === "" ? "repository" : createHash("sha256").update(recipe).digest("hex");
  const text = JSON.stringify([repository, sha, recipeDigest, service]);
  return createHash("sha256").update(text).digest("hex");
}

/** Operations of a new build: its row, all indexes, and what equal requests share. */
export function createOperations(row: BuildRow): Operation[] {
  const shared = { put: dedupEntry(row.dedupKey), value: new TextEncoder().encode(row.id) };
  return [...restoreOperations(row), shared];
}

/** Operations that put a build back that was archived: its row and all indexes. */
export function restoreOperations(row: BuildRow): Operation[] {
  const place = placeOf(row);
  return [
    { put: buildKey(row.id), value: encodeBuild(row) },
    { put: `${statePrefix(row.state)}${place}`, value: EMPTY },
    { put: `${shaPrefix(row.sha)}/${place}`, value: EMPTY },
    ...(row.service === "" ? [] : [{ put: `${servicePrefix(row.service)}${place}`, value: EMPTY }]),
  ];
}

/** Operations that take an ended build out of the store; what equal requests share stays. */
export function removeOperations(row: BuildRow): Operation[] {
  const place = placeOf(row);
  return [
    { delete: buildKey(row.id) },
    { delete: `${statePrefix(row.state)}${place}` },
    { delete: `${shaPrefix(row.sha)}/${place}` },
    ...(row.service === "" ? [] : [{ delete: `${servicePrefix(row.service)}${place}` }]),
  ];
}

/** Operations of a change; what equal requests share is let go apart, see `letsGoOfKey`. */
export function changeOperations(before: BuildRow, after: BuildRow): Operation[] {
  const place = placeOf(after);
  const operations: Operation[] = [{ put: buildKey(after.id), value: encodeBuild(after) }];
  if (before.state !== after.state) {
    operations.push({ delete: `${statePrefix(before.state)}${place}` });
    operations.push({ put: `${statePrefix(after.state)}${place}`, value: EMPTY });
  }
  if (before.service !== after.service) {
    if (before.service !== "")
      operations.push({ delete: `${servicePrefix(before.service)}${place}` });
    operations.push({ put: `${servicePrefix(after.service)}${place}`, value: EMPTY });
  }
  if (leavesGarbage(before, after)) {
    operations.push({ put: droppedKey(packOf(before.id, before.attempt)), value: EMPTY });
  }
  return operations;
}

/** Whether requests that come after this change get a build of their own. */
export function letsGoOfKey(before: BuildRow, after: BuildRow): boolean {
  return !isShareable(after) && isShareable(before);
}

function isShareable(row: BuildRow): boolean {
  if (row.state === "leased") return !row.cancelling;
  return row.state === "queued" || row.state === "succeeded";
}

function leavesGarbage(before: BuildRow, after: BuildRow): boolean {
  if (before.state !== "leased" || after.state === "succeeded") return false;
  return after.state !== "leased" || after.attempt !== before.attempt;
}
