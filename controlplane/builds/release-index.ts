// Releases as rows of the store, and how a SHA or release id, whole or short, names one of them.
// Rows are written once, by the transaction that ends their build, and never changed here.

import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { failedPrecondition, invalid, notFound } from "../../runtime/grpc/rpc-error.ts";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";

/** Digits that a short name has at least: 4, as git has it. */
const SHORT_NAME_DIGITS_MIN = 4;
/** Candidates that an ambiguous name is answered with. */
const CANDIDATES_MAX = 10;
/** Index rows read for one name: a SHA that was rebuilt more often than that is still found. */
const MATCHES_MAX = 1_000;
/** Digits of unix milliseconds in keys, so that they sort: enough until the year 33658. */
const TIME_DIGITS = 15;

/** Prefix of the index by service; then `<service>/<place>`. */
export const RELEASES_OF_PREFIX = "releases-of/";
/** Prefix of the releases' rows. */
export const RELEASES = "releases/";

/** What a name stands for. */
export type ReleaseLookup =
  | { readonly kind: "found"; readonly release: Release }
  | { readonly kind: "absent" }
  | { readonly kind: "ambiguous"; readonly candidates: readonly Release[] };

/** What names one release for good. */
export type ReleaseName = Pick<Release, "service" | "sha" | "createdAtMs" | "build">;

/** A page of releases, newest first; no token: there are no more. */
export interface ReleasePage {
  readonly releases: readonly Release[];
  readonly nextPageToken: string;
}

/** The rows of a new release, to be put in the transaction that ends its build. */
export function releaseOperations(release: Release): Operation[] {
  const key = releaseKey(release);
  const at = releasePlace(release);
  const pointer = new TextEncoder().encode(key);
  return [
    { put: key, value: encode(release) },
    { put: idEntry(release), value: pointer },
    { put: `releases-by-sha/${release.sha}/${release.service}/${at}`, value: pointer },
    { put: `releases-by-time/${at}`, value: pointer },
    { put: `${RELEASES_OF_PREFIX}${release.service}/${at}`, value: pointer },
  ];
}

/**
 * Operations that take a release out of the store. `newestOfId` is the entry by its id, which another release of
 * equal content may have taken over; it is compared by whoever commits.
 */
export function removeOperations(release: Release, newestOfId: Entry | undefined): Operation[] {
  const key = releaseKey(release);
  const at = releasePlace(release);
  const isNewest = new TextDecoder().decode(newestOfId?.value) === key;
  return [
    { delete: key },
    ...(isNewest ? [{ delete: idEntry(release) }] : []),
    { delete: `releases-by-sha/${release.sha}/${release.service}/${at}` },
    { delete: `releases-by-time/${at}` },
    { delete: `${RELEASES_OF_PREFIX}${release.service}/${at}` },
  ];
}

/** Key of the newest release of one id and service. */
export function idEntry({ release, service }: Pick<Release, "release" | "service">): string {
  return `releases-by-id/${release}/${service}`;
}

/** Holds where the release is still kept: whoever goes on to use it compares that. */
export function isKept(release: ReleaseName): Compare {
  return { key: releaseKey(release), is: "present" };
}

/** Reads a release's row. */
export function parseRelease(entry: Entry): Release {
  return Release.fromJSON(JSON.parse(new TextDecoder().decode(entry.value)));
}

/** Place of a release in the order of time, unique; a page goes on from one. */
export function releasePlace(release: Pick<Release, "createdAtMs" | "build">): string {
  return `${padded(release.createdAtMs)}-${release.build}`;
}

/** The newest release that a SHA or release id (whole or short) names; `service` empty: any. */
export async function findRelease(store: Store, id: string, service = ""): Promise<ReleaseLookup> {
  const name = id.toLowerCase();
  if (!isReleaseName(name)) return { kind: "absent" };
  const pointers = new Map<string, string>();
  for (const index of ["releases-by-sha/", "releases-by-id/"]) {
    const page = await store.range({
      prefix: `${index}${name}`,
      limit: MATCHES_MAX,
      descending: true,
    });
    for (const entry of page.entries) {
      const [, digest, owner] = entry.key.split("/") as [string, string, string];
      // Newest first in each index: the first of a digest and service stays.
      const group = `${digest}/${owner}`;
      if ((service === "" || owner === service) && !pointers.has(group)) {
        pointers.set(group, new TextDecoder().decode(entry.value));
      }
    }
  }
  const releases = await readAll(store, [...new Set(pointers.values())]);
  const [only, ...others] = releases;
  if (only === undefined) return { kind: "absent" };
  if (others.length === 0) return { kind: "found", release: only };
  return { kind: "ambiguous", candidates: releases.slice(0, CANDIDATES_MAX) };
}

/** The same for an RPC: INVALID_ARGUMENT, NOT_FOUND, or FAILED_PRECONDITION with the candidates. */
export async function requireRelease(store: Store, id: string, service = ""): Promise<Release> {
  if (!isReleaseName(id.toLowerCase())) {
    throw invalid(
      `release "${id}": expected a git SHA or release id, ${SHORT_NAME_DIGITS_MIN} to 64 hex digits`,
    );
  }
  const lookup = await findRelease(store, id, service);
  switch (lookup.kind) {
    case "found":
      return lookup.release;
    case "absent":
      throw notFound(`no release ${id}${service === "" ? "" : ` of service ${service}`}`);
    case "ambiguous":
      throw failedPrecondition(
        `"${id}" names more than one release, give more digits or the service: ${lookup.candidates
          .map((one) => `${one.service} ${one.sha} (release ${one.release.slice(0, 12)})`)
          .join(", ")}`,
      );
    default:
      throw lookup satisfies never;
  }
}

/** The newest releases of a service, newest first. */
export async function newestReleases(
  store: Store,
  service: string,
  countMax: number,
): Promise<Release[]> {
  const page = await listReleases(store, { service, limit: countMax, pageToken: "" });
  return [...page.releases];
}

/** A page of the releases of a service, or of all where `service` is empty. */
export async function listReleases(
  store: Store,
  options: { readonly service: string; readonly limit: number; readonly pageToken: string },
): Promise<ReleasePage> {
  const { service, limit, pageToken } = options;
  const prefix = service === "" ? "releases-by-time/" : `${RELEASES_OF_PREFIX}${service}/`;
  const page = await store.range({
    prefix,
    limit,
    descending: true,
    ...(pageToken === "" ? {} : { after: `${prefix}${pageToken}` }),
  });
  const releases = await readAll(
    store,
    page.entries.map((entry) => new TextDecoder().decode(entry.value)),
  );
  const last = page.entries.at(-1)?.key.slice(prefix.length) ?? "";
  return { releases, nextPageToken: page.more ? last : "" };
}

/** The release that a build made; undefined where it is not in the store any more. */
export async function releaseOfBuild(
  store: Store,
  made: ReleaseName,
): Promise<Release | undefined> {
  const [release] = await readAll(store, [releaseKey(made)]);
  return release;
}

/** Key of a release's row. */
export function releaseKey(release: ReleaseName): string {
  return `${RELEASES}${release.service}/${release.sha}/${releasePlace(release)}`;
}

function padded(ms: number): string {
  return String(ms).padStart(TIME_DIGITS, "0");
}

function isReleaseName(name: string): boolean {
  return name.length >= SHORT_NAME_DIGITS_MIN && name.length <= 64 && /^[0-9a-f]+$/.test(name);
}

function encode(release: Release): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(Release.toJSON(release)));
}

async function readAll(store: Store, keys: readonly string[]): Promise<Release[]> {
  const entries = await Promise.all(keys.map((key) => store.get(key)));
  return entries.filter((entry) => entry !== undefined).map(parseRelease);
}
