// Finds rollouts by what people call them: their id, a SHA or release, a service. What is open is read
// from this leader's memory, what has ended from the store, or from the archive.

import { timeName } from "../../core/rollout/service-turns.ts";
import type { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import { type ListRolloutsResponse, Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { notFound } from "../../runtime/grpc/rpc-error.ts";
import { SERVICE_NAME } from "../../runtime/recipe/recipe-schema.ts";
import type { Store } from "../../runtime/store/store.ts";
import { fittingCount } from "../builds/list-page.ts";
import { findRelease, requireRelease } from "../builds/release-index.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Past } from "../history/past.ts";
import type { RolloutEngine } from "./rollout-engine.ts";
import { BY_TIME_PREFIX, ofServicePrefix, parseRollout, rolloutKey } from "./rollout-record.ts";
import { rolloutToWire, type Seen } from "./rollout-wire.ts";

/** Rollouts of a service that are looked through for a release. */
const SEARCHED_MAX = 1_000;
/** A glance shows so many open ones and so many that have ended. */
const GLANCE_OPEN_MAX = 20;
const GLANCE_ENDED_MAX = 5;
/** Failing machines of each: 25 times 100 of them would not fit into one message. */
const GLANCE_FAILING_MAX = 10;
/** A page is read in steps of so many where most are left out. */
const READ_MAX = 200;

const ROLLOUT_ID = /^r-[0-9a-f]{16}$/;

export interface RolloutReaderOptions {
  readonly store: Store;
  readonly past: Past;
  readonly fleet: Fleet;
  readonly engine: RolloutEngine;
}

export class RolloutReader {
  readonly #store: Store;
  readonly #past: Past;
  readonly #fleet: Fleet;
  readonly #engine: RolloutEngine;

  constructor({ store, past, fleet, engine }: RolloutReaderOptions) {
    this.#store = store;
    this.#past = past;
    this.#fleet = fleet;
    this.#engine = engine;
  }

  /** As the API shows it; NOT_FOUND. */
  async get(id: string): Promise<Rollout> {
    return this.#wire(await this.seen(id));
  }

  /** By rollout id, or the newest of a service, SHA or release; NOT_FOUND, or which SHAs it may be. */
  async seen(name: string): Promise<Seen> {
    const id = ROLLOUT_ID.test(name) ? name : await this.#newest(name);
    const seen = id === undefined ? undefined : await this.#read(id);
    if (seen === undefined) throw notFound(`no rollout "${name}"`);
    return seen;
  }

  /** The rollout that brought what a service runs now, if one did. */
  async newestSucceeded(service: string): Promise<Seen | undefined> {
    const page = await this.#store.range({
      prefix: ofServicePrefix(service),
      descending: true,
      limit: SEARCHED_MAX,
    });
    for (const entry of page.entries) {
      const seen = await this.#read(new TextDecoder().decode(entry.value));
      if (seen?.record.row.state === "succeeded") return seen;
    }
    return undefined;
  }

  async list(request: {
    readonly service: string;
    readonly openOnly: boolean;
    readonly limit: number;
    readonly pageToken: string;
  }): Promise<ListRolloutsResponse> {
    const { service, limit } = request;
    if (request.openOnly) return this.#listOpen(service, limit, request.pageToken);
    const prefix = service === "" ? BY_TIME_PREFIX : ofServicePrefix(service);
    const found: Rollout[] = [];
    const sizes: number[] = [];
    let after = request.pageToken;
    for (;;) {
      const page = await this.#store.range({
        prefix,
        descending: true,
        limit: READ_MAX,
        ...(after === "" ? {} : { after: `${prefix}${after}` }),
      });
      for (const [index, entry] of page.entries.entries()) {
        const seen = await this.#read(new TextDecoder().decode(entry.value));
        const before = after;
        after = entry.key.slice(prefix.length);
        if (seen === undefined) continue;
        const rollout = this.#wire(seen);
        sizes.push(Rollout.encode(rollout).finish().length);
        if (fittingCount(sizes) < sizes.length) return { rollouts: found, nextPageToken: before };
        found.push(rollout);
        const isLast = !page.more && index === page.entries.length - 1;
        if (found.length < limit) continue;
        return { rollouts: found, nextPageToken: isLast ? "" : after };
      }
      if (!page.more) return { rollouts: found, nextPageToken: "" };
    }
  }

  /** From memory: by the index they would be looked for among thousands that have ended. */
  async #listOpen(
    service: string,
    limit: number,
    pageToken: string,
  ): Promise<ListRolloutsResponse> {
    const rollouts: Rollout[] = [];
    const sizes: number[] = [];
    let place = "";
    for (const { record } of this.#engine.all) {
      const next = timeName(record);
      if (service !== "" && record.service !== service) continue;
      if (pageToken !== "" && next >= pageToken) continue;
      if (rollouts.length === limit) return { rollouts, nextPageToken: place };
      const seen = await this.#read(record.id);
      if (seen === undefined || seen.record.endedAtMs !== 0) continue;
      const rollout = this.#wire(seen);
      sizes.push(Rollout.encode(rollout).finish().length);
      if (fittingCount(sizes) < sizes.length) return { rollouts, nextPageToken: place };
      rollouts.push(rollout);
      place = next;
    }
    return { rollouts, nextPageToken: "" };
  }

  /** Open ones and those that ended last. */
  async glance(): Promise<Pick<GetStatusResponse, "rollouts" | "recent">> {
    const open = this.#engine.all.slice(0, GLANCE_OPEN_MAX);
    const rollouts = await Promise.all(
      open.map(async ({ record }) => atGlance(await this.get(record.id))),
    );
    const recent: Rollout[] = [];
    const page = await this.#store.range({
      prefix: BY_TIME_PREFIX,
      descending: true,
      limit: READ_MAX,
    });
    for (const entry of page.entries) {
      if (recent.length === GLANCE_ENDED_MAX) break;
      const seen = await this.#read(new TextDecoder().decode(entry.value));
      if (seen !== undefined && seen.record.endedAtMs !== 0)
        recent.push(atGlance(this.#wire(seen)));
    }
    return { rollouts, recent };
  }

  async #newest(name: string): Promise<string | undefined> {
    const ofService = await this.#newestOf(name);
    if (ofService !== undefined) return ofService;
    const lookup = await findRelease(this.#store, name);
    if (lookup.kind === "absent") return undefined;
    const { service, sha, release } = await requireRelease(this.#store, name);
    const page = await this.#store.range({
      prefix: ofServicePrefix(service),
      descending: true,
      limit: SEARCHED_MAX,
    });
    for (const entry of page.entries) {
      const id = new TextDecoder().decode(entry.value);
      const seen = await this.#read(id);
      const brought = seen?.record.release;
      // Commits with equal output share a release id.
      if (brought?.release !== release) continue;
      if (brought.sha === sha || release.startsWith(name)) return id;
    }
    return undefined;
  }

  async #newestOf(service: string): Promise<string | undefined> {
    if (!SERVICE_NAME.test(service)) return undefined;
    const prefix = ofServicePrefix(service);
    const { entries } = await this.#store.range({ prefix, descending: true, limit: 1 });
    return entries[0] && new TextDecoder().decode(entries[0].value);
  }

  async #read(id: string): Promise<Seen | undefined> {
    const entry = await this.#store.get(rolloutKey(id));
    if (entry === undefined) {
      const archived = await this.#past.rollout(id);
      return archived && { ...archived, progress: undefined };
    }
    const record = this.#engine.get(id)?.record ?? parseRollout(entry);
    return { record, revision: entry.modRevision, progress: this.#engine.progress(id) };
  }

  #wire(seen: Seen): Rollout {
    return rolloutToWire(seen, this.#fleet.hub, this.#fleet.tracker);
  }
}

function atGlance(rollout: Rollout): Rollout {
  return { ...rollout, failing: rollout.failing.slice(0, GLANCE_FAILING_MAX) };
}
