// What a store that was put back lacks: compares what relays remember of decisions with its rows, by the rules of
// core/leadership/lost-orders.ts. It changes nothing.
import { isKnownBetter, ofThisHistory, suspects } from "../../core/leadership/lost-orders.ts";
import { isPackId } from "../../core/release/pack-id.ts";
import type { RelayMemory, RememberedAssignment } from "../../proto/gen/millrace/v1/fleet.ts";
import type { MissingState } from "../../proto/gen/millrace/v1/leadership.ts";
import type { Store } from "../../runtime/store/store.ts";
import { buildKey } from "../builds/build-keys.ts";
import { decodeBuild } from "../builds/build-row-json.ts";
import { idEntry } from "../builds/release-index.ts";
import { assignmentsKey, parseAssignments } from "../rollouts/assignment-list.ts";
import { rolloutKey } from "../rollouts/rollout-record.ts";

/** Assignments and packs that one relay may remember: 1,000 services of 16 rules, and 8 packs of each. */
const REMEMBERED_MAX = 16_000;

/** What was found. */
export interface Review {
  /** Ordered by service. */
  readonly missing: readonly MissingState[];
  /** Services of which relays know a later state. */
  readonly services: readonly string[];
  /** Packs that relays hold. */
  readonly packs: readonly string[];
}

interface Remembered {
  readonly assignments: RememberedAssignment[];
  readonly packs: Set<string>;
  readonly growing: Set<string>;
  isWhole: boolean;
}

/** Gathers what relays remember. */
export class RestoreReview {
  readonly #store: Store;
  /** Of the leader whose store it is. */
  readonly #epoch: number;
  readonly #relays = new Map<string, Remembered>();

  constructor(store: Store, epoch: number) {
    this.#store = store;
    this.#epoch = epoch;
  }

  /** Relays that have told everything, by id. */
  get heard(): readonly string[] {
    return [...this.#relays].flatMap(([relay, { isWhole }]) => (isWhole ? [relay] : [])).sort();
  }

  /** Takes a part of what a relay remembers; true: it was the last. */
  hear(relay: string, { assignments, packs, growing, last }: RelayMemory): boolean {
    const before = this.#relays.get(relay);
    const isAnew = before === undefined || before.isWhole;
    const memory: Remembered = isAnew
      ? { assignments: [], packs: new Set(), growing: new Set(), isWhole: false }
      : before;
    const room = REMEMBERED_MAX - memory.assignments.length;
    const known = ofThisHistory(assignments, this.#epoch);
    memory.assignments.push(...known.slice(0, room));
    for (const pack of packs) {
      if (isPackId(pack) && memory.packs.size < REMEMBERED_MAX) memory.packs.add(pack);
    }
    for (const pack of growing) if (memory.packs.has(pack)) memory.growing.add(pack);
    memory.isWhole = last;
    this.#relays.set(relay, memory);
    return last;
  }

  /** Compares; rejects with what the store rejects with. */
  async compare(): Promise<Review> {
    const memories = [...this.#relays.values()];
    const byService = Map.groupBy(
      memories.flatMap(({ assignments }) => assignments),
      ({ service }) => service,
    );
    const services: string[] = [];
    const missing: MissingState[] = [];
    for (const service of [...byService.keys()].sort()) {
      const remembered = byService.get(service) as RememberedAssignment[];
      const found = await this.#missingOf(remembered);
      if (found === undefined) continue;
      services.push(service);
      missing.push(...found);
    }
    const known = new Set(missing.map(({ build }) => build));
    const growing = new Set(memories.flatMap((memory) => [...memory.growing]));
    for (const pack of [...growing].sort()) {
      const [build, attempt] = pack.split(".") as [string, string];
      if (known.has(build) || (await this.#hasAttempt(build, Number(attempt)))) continue;
      missing.push({ ...NOTHING, build });
    }
    const packs = new Set(memories.flatMap((memory) => [...memory.packs]));
    return { missing, services, packs: [...packs].sort() };
  }

  /** What is missing of a service; undefined: its assignments here are the newest. */
  async #missingOf(
    remembered: readonly RememberedAssignment[],
  ): Promise<readonly MissingState[] | undefined> {
    const [{ service }] = remembered as [RememberedAssignment];
    const entry = await this.#store.get(assignmentsKey(service));
    const rollouts = new Set(parseAssignments(entry).map(({ rollout }) => rollout));
    const stored = { epoch: this.#epoch, revision: entry?.modRevision ?? 0, rollouts };
    const found: MissingState[] = [];
    for (const one of suspects(remembered, stored)) {
      const lacks = await this.#lacks(one);
      if (lacks !== undefined) found.push(lacks);
    }
    return isKnownBetter(remembered, stored, found.length) ? found : undefined;
  }

  async #lacks(one: RememberedAssignment): Promise<MissingState | undefined> {
    const { service, rollout, release, sha, build } = one;
    const hasRollout = rollout === "" || (await this.#has(rolloutKey(rollout)));
    const hasRelease = release === "" || (await this.#has(idEntry({ release, service })));
    const hasBuild = build === "" || (await this.#has(buildKey(build)));
    if (hasRollout && hasRelease && hasBuild) return undefined;
    return {
      service,
      rollout: hasRollout ? "" : rollout,
      release: hasRelease ? "" : release,
      sha,
      build: hasBuild ? "" : build,
    };
  }

  async #has(key: string): Promise<boolean> {
    return (await this.#store.get(key)) !== undefined;
  }

  async #hasAttempt(build: string, attempt: number): Promise<boolean> {
    const entry = await this.#store.get(buildKey(build));
    return entry !== undefined && decodeBuild(entry.value).attempt >= attempt;
  }
}

const NOTHING: MissingState = { service: "", rollout: "", release: "", sha: "", build: "" };
