// The collector and the deleter of a simulated leader, as controlplane/garbage has them: what is stored is listed, then the
// store is read, then relays are asked; marks are written under the fence, and deletions once they are written down.
import { type BuildRow, packOf } from "../../core/builds/build-row.ts";
import { usesUnanswered, whyUsesUnknown } from "../../core/fleet/uses-question.ts";
import { neededPacks, type PackedRelease } from "../../core/release/kept-releases.ts";
import {
  type JudgedPack,
  judgePacks,
  nextMark,
  type PackMark,
  type StoredPack,
} from "../../core/release/pack-verdict.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { BlobModel } from "./blobs.ts";
import { BUILDS_PREFIX } from "./build-rows.ts";
import type { Release, Rule } from "./messages.ts";
import { MARKS_PREFIX, markKey, RELEASES_PREFIX } from "./pack-rows.ts";
import { packNamed, SEGMENT_BYTES } from "./region-packs.ts";
import { sealKey } from "./relay-mirror.ts";
import { ROLLOUTS_PREFIX, type RolloutRecord, rulesOf } from "./rollout-record.ts";
import type { StoredEntry, StoreModel } from "./store-model.ts";
import { READ_RETRY_MS, type TermHost } from "./term-host.ts";

const LOOK_MS = 10 * 60_000;
/** Builds may take 20 min, and a while until they are swept. */
const WAIT_MS = 30 * 60_000;
const REMEMBER_MS = 25 * 3_600_000;
/** Few, so that much is collected. */
const KEPT_RELEASES = 1;
const ANSWER_MS_MAX = 2_000;
const DELETE_RETRY_MS = 30_000;

export interface PackCollectorOptions {
  readonly host: TermHost;
  readonly origin: BlobModel;
  readonly wallMs: () => number;
}

interface Facts {
  readonly releases: readonly PackedRelease[];
  readonly named: ReadonlyMap<string, string>;
  readonly packs: ReadonlyMap<string, string>;
  readonly marks: ReadonlyMap<string, StoredEntry>;
}

export class PackCollector {
  readonly #options: PackCollectorOptions;
  readonly #beganAt: number;
  readonly #answers = new Map<string, readonly string[]>();
  #query = 0;

  constructor(options: PackCollectorOptions) {
    this.#options = options;
    this.#beganAt = options.host.process.now;
    this.#resume();
    this.#lookLater();
  }

  /** A relay says which releases its machines have. */
  answered(relay: string, query: number, releases: readonly string[]): void {
    if (query === this.#query) this.#answers.set(relay, releases);
  }

  /** What an earlier leader began to delete is deleted. */
  #resume(): void {
    const { host } = this.#options;
    host.store.read(
      (model) => model.range(MARKS_PREFIX),
      (answer) => {
        if (host.isStopped) return;
        if (answer.kind !== "answered") {
          host.process.after(READ_RETRY_MS, () => this.#resume());
          return;
        }
        for (const { key } of answer.value) this.#delete(key.slice(MARKS_PREFIX.length));
      },
    );
  }

  #lookLater(): void {
    const { host } = this.#options;
    host.process.after(LOOK_MS, () => {
      if (host.isStopped) return;
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const { host, origin } = this.#options;
    const { life } = host.process;
    origin.list("", (keys, error) =>
      host.process.deliver(life, () => {
        if (error !== undefined || host.isStopped) return;
        const stored = storedPacks(keys);
        host.store.read(factsOf, (answer) => {
          if (answer.kind !== "answered" || host.isStopped) return;
          this.#ask((digests, held) => this.#judge(stored, answer.value, digests, held));
        });
      }),
    );
  }

  /** Asks relays which releases machines have; `held`: why that is not known. */
  #ask(done: (digests: ReadonlySet<string>, held: string) => void): void {
    const { host } = this.#options;
    const { now } = host.process;
    const asked = host.seats.map(({ relay, region, settlesAt }) => ({
      ...{ relay, region, isSettled: settlesAt <= now },
    }));
    const times = { forMs: now - this.#beganAt, awayMs: WAIT_MS };
    const held = whyUsesUnknown(host.knownRelays, asked, times);
    if (held !== "") {
      done(new Set(), held);
      return;
    }
    this.#query += 1;
    this.#answers.clear();
    for (const { relay } of asked) host.send(relay, { kind: "uses", query: this.#query });
    host.process.after(ANSWER_MS_MAX, () => {
      if (host.isStopped) return;
      const silent = asked.filter(({ relay }) => !this.#answers.has(relay));
      const names = silent.map(({ relay }) => relay);
      const digests = new Set([...this.#answers.values()].flat());
      done(digests, names.length === 0 ? "" : usesUnanswered(names));
    });
  }

  #judge(
    stored: ReadonlyMap<string, StoredPack>,
    facts: Facts,
    digests: ReadonlySet<string>,
    held: string,
  ): void {
    const { releases, named } = facts;
    const onMachines = held === "" ? digests : new Set<string>();
    const marks = new Map(
      [...facts.marks].map(([pack, { value }]) => [pack, value as PackMark] as const),
    );
    const nowMs = this.#options.wallMs();
    const known = new Set(releases.map(({ release }) => release));
    const packs = judgePacks({
      ...{ nowMs, stored, marks, waitMs: WAIT_MS, held, rememberMs: REMEMBER_MS },
      needed: neededPacks(releases, { named, onMachines }, KEPT_RELEASES, facts.packs, marks),
      isStoreBehind: [...onMachines].some((digest) => !known.has(digest)),
      named: new Set(releases.flatMap((release) => release.packs)),
    });
    for (const judged of packs) this.#carryOut(judged, facts, nowMs);
  }

  #carryOut(judged: JudgedPack, { marks }: Facts, nowMs: number): void {
    const { host } = this.#options;
    const { pack, verdict } = judged;
    const mark = nextMark(judged, nowMs);
    if (mark === undefined) {
      if (verdict === "deleting") this.#delete(pack);
      return;
    }
    const key = markKey(pack);
    const operation = mark === "none" ? { delete: key } : { put: key, value: mark };
    const isAsRead = { key, modRevision: marks.get(pack)?.modRevision ?? 0 };
    if (!host.reach("before-txn")) return;
    const change = { compares: [host.fence, isAsRead], operations: [operation], by: host.epoch };
    host.store.transact(change, (answer) => {
      if (host.isStopped || answer.kind !== "answered" || !answer.value.committed) return;
      if (host.reach("after-txn") && verdict === "delete") this.#delete(pack);
    });
  }

  /** Deletes a pack whose mark says so, the seal first, and writes down that it is gone. */
  #delete(pack: string): void {
    const { host, origin } = this.#options;
    const { life } = host.process;
    const again = (): void =>
      host.process.after(DELETE_RETRY_MS, () => {
        if (!host.isStopped) this.#delete(pack);
      });
    host.store.get(markKey(pack), (answer) => {
      if (host.isStopped) return;
      if (answer.kind !== "answered") return again();
      const entry = answer.value;
      const mark = entry?.value as PackMark | undefined;
      if (entry === undefined || mark?.state !== "deleting" || !host.holds) return;
      const rest = origin.keys.filter((key) => key.startsWith(`${pack}/`)).sort();
      const keys = [sealKey(pack), ...rest.filter((key) => key !== sealKey(pack))];
      this.#remove(keys, life, (isDone) => {
        if (!isDone) return again();
        const gone: PackMark = { ...mark, state: "collected", atMs: this.#options.wallMs() };
        const compares = [host.fence, { key: entry.key, modRevision: entry.modRevision }];
        const operations = [{ put: entry.key, value: gone }];
        host.store.transact({ compares, operations, by: host.epoch }, () => {});
      });
    });
  }

  #remove(keys: readonly string[], life: number, done: (isDone: boolean) => void): void {
    const { host, origin } = this.#options;
    const [first, ...rest] = keys;
    if (first === undefined) {
      done(true);
      return;
    }
    origin.remove(first, (error) =>
      host.process.deliver(life, () => {
        if (host.isStopped) return;
        if (error === undefined) this.#remove(rest, life, done);
        else done(false);
      }),
    );
  }
}

function storedPacks(keys: readonly string[]): ReadonlyMap<string, StoredPack> {
  const stored = new Map<string, StoredPack>();
  for (const key of keys) {
    const [pack = "", name] = key.split("/");
    const { bytes, blobs, isSealed } = stored.get(pack) ?? { bytes: 0, blobs: 0, isSealed: false };
    const sealed = isSealed || name === "seal";
    stored.set(pack, { bytes: bytes + SEGMENT_BYTES, blobs: blobs + 1, isSealed: sealed });
  }
  return stored;
}

/** Who names what, as of one revision. */
function factsOf(model: StoreModel): Facts {
  const named = new Map<string, string>();
  const packs = new Map<string, string>();
  const names = (release: Release | undefined, by: string): void => {
    if (release === undefined) return;
    named.set(release.release, by);
    packs.set(release.pack, by);
  };
  for (const { value } of model.range(ROLLOUTS_PREFIX)) {
    const { id, row, release, previous } = value as RolloutRecord;
    if (isFinal(row.state)) continue;
    for (const one of [release, previous]) names(one, `rollout ${id}`);
  }
  const assigned = (rule: Rule): void => {
    for (const one of [rule.release, rule.fallback]) names(one, "assigned");
    if (rule.before !== undefined) assigned(rule.before.entry);
  };
  for (const entry of model.range("services/")) for (const rule of rulesOf(entry)) assigned(rule);
  for (const { value } of model.range(BUILDS_PREFIX)) {
    const { id, state, attempt } = value as BuildRow;
    if (state === "leased") packs.set(packNamed(packOf(id, attempt)), `build ${id} is making it`);
  }
  const releases = model.range(RELEASES_PREFIX).map(({ value }) => value as PackedRelease);
  const marks = new Map(
    model.range(MARKS_PREFIX).map((entry) => [entry.key.slice(MARKS_PREFIX.length), entry]),
  );
  return { releases, named, packs, marks };
}
