// A world for the collector's rules: a store whose transactions compare, an origin of packs with seals and segments,
// builds that stand on packs of earlier releases, rollouts, and leaders that die between any two of their steps.
// A dead leader's last deletions may still arrive. It takes every decision from core/release.
import assert from "node:assert/strict";
import {
  keptReleases,
  neededPacks,
  type PackedRelease,
  type ReleaseUses,
  usableReleases,
} from "../../../core/release/kept-releases.ts";
import {
  type JudgedPack,
  judgePacks,
  nextMark,
  type PackMark,
  standing,
} from "../../../core/release/pack-verdict.ts";

export const WAIT_MS = 1_000;
export const REMEMBER_MS = 5_000;
export const KEEP_LAST = 1;

interface Build {
  readonly id: string;
  readonly service: string;
  readonly sha: string;
  readonly beganAtMs: number;
  /** Packs of earlier releases that it stands on. */
  base: readonly string[];
  /** Its packs were found sealed at the origin; the transaction that ends it follows. */
  isChecked: boolean;
}

interface Rollout {
  readonly release: PackedRelease;
  readonly previous: PackedRelease | undefined;
}

/** A pass of a leader: what it read, and what it has yet to do. */
interface Pass {
  readonly judged: readonly JudgedPack[];
  readonly revisions: ReadonlyMap<string, number>;
  readonly nowMs: number;
  next: number;
}

export class GarbageWorld {
  nowMs = 0;
  /** Rollouts that were refused because packs were gone. */
  refusals = 0;
  #revision = 0;
  #builds = 0;
  /** Blobs by pack: the seal, and segments. */
  readonly origin = new Map<string, { isSealed: boolean; segments: number }>();
  readonly marks = new Map<string, { mark: PackMark; revision: number }>();
  readonly releases: PackedRelease[] = [];
  readonly live: Build[] = [];
  readonly assigned = new Map<string, Rollout>();
  readonly rollouts = new Map<string, Rollout>();
  readonly onMachines = new Set<string>();
  listed: ReadonlyMap<string, { isSealed: boolean; segments: number }> | undefined;
  pass: Pass | undefined;
  /** Packs that the leader has written down as being deleted, and those that dead ones had. */
  deleting: string[] = [];
  late: string[] = [];

  /** Begins a build of a service; it stands on the packs of its newest release, where none is marked. */
  begin(service: string, sha: string): void {
    const id = `b-${String(this.#builds).padStart(4, "0")}`;
    this.#builds += 1;
    const newest = this.releases.findLast((one) => one.service === service);
    const packs = newest?.packs ?? [];
    const base = packs.some((pack) => this.marks.has(pack)) ? [] : packs.slice(-2);
    this.live.push({ id, service, sha, beganAtMs: this.nowMs, base, isChecked: false });
    this.origin.set(id, { isSealed: false, segments: 2 });
  }

  /** The next step of a build: its packs are looked at, then its end is committed. */
  advance(index: number, output: string): void {
    const build = this.live[index % Math.max(1, this.live.length)];
    if (build === undefined) return;
    // A seed once had a build end after all that it stood on was gone and forgotten: its time is up before.
    if (this.nowMs - build.beganAtMs >= REMEMBER_MS) {
      this.fail(index);
      return;
    }
    const own = this.origin.get(build.id);
    if (!build.isChecked) {
      if (own !== undefined) own.isSealed = true;
      build.isChecked = true;
      // A base that is gone: it packs anew, on nothing.
      if (!build.base.every((pack) => this.origin.get(pack)?.isSealed)) build.base = [];
      return;
    }
    const packs = [...build.base, build.id];
    if (!this.#stand(packs)) {
      build.base = [];
      return;
    }
    const { id, service, sha } = build;
    this.live.splice(this.live.indexOf(build), 1);
    const createdAtMs = this.nowMs;
    this.releases.push({ build: id, service, sha, release: output, createdAtMs, packs });
  }

  /** Ends a build without a release: its pack is marked as dropped in the same transaction, or left by a crash. */
  fail(index: number): void {
    const [build] = this.live.splice(index % Math.max(1, this.live.length), 1);
    if (build !== undefined && index % 2 === 0) this.#put(build.id, { state: "dropped" });
  }

  /** Starts a rollout of some release; refused where its packs are gone. */
  rollOut(index: number): void {
    const release = this.releases[index % Math.max(1, this.releases.length)];
    if (release === undefined || this.rollouts.has(release.service)) return;
    if (this.#stand(release.packs)) {
      const previous = this.assigned.get(release.service)?.release;
      this.rollouts.set(release.service, { release, previous });
    } else this.refusals += 1;
  }

  /** Ends a rollout: machines run what it brought, and could go back. */
  settle(service: string, isGood: boolean): void {
    const rollout = this.rollouts.get(service);
    if (rollout === undefined) return;
    this.rollouts.delete(service);
    if (!isGood) return;
    this.assigned.set(service, rollout);
    this.onMachines.add(rollout.release.release);
  }

  /** Machines forget what they had. */
  forget(digest: string): void {
    const used = [...this.assigned.values(), ...this.rollouts.values()];
    if (!used.some(({ release }) => release.release === digest)) this.onMachines.delete(digest);
  }

  /** Archives the rows of releases that nobody keeps. */
  archive(): void {
    const usable = usableReleases(this.releases, this.#bare);
    const kept = keptReleases(usable, this.#uses, KEEP_LAST);
    const left = this.releases.filter(({ build }) => kept.has(build));
    this.releases.splice(0, this.releases.length, ...left);
  }

  /** The leader's next step, whichever it is. */
  lead(isHeld = false): void {
    const [pack] = this.deleting;
    if (pack !== undefined) {
      if (!this.#deleteStep(pack)) this.#ended(pack);
    } else if (this.pass !== undefined) this.#write(this.pass);
    else if (this.listed === undefined) this.listed = structuredClone(this.origin);
    else this.#judge(this.listed, isHeld);
  }

  /** The leader dies, and another begins; some of its deletions may still be on their way. */
  crash(): void {
    this.late.push(...this.deleting);
    this.deleting = [];
    this.pass = undefined;
    this.listed = undefined;
  }

  /** A deletion of a dead leader arrives. */
  arrive(): void {
    const pack = this.late[0];
    if (pack !== undefined && !this.#deleteStep(pack)) this.late.shift();
  }

  /** A worker that does not know yet that its attempt is over stores a segment. */
  strayWrite(index: number): void {
    const over = [...this.marks].filter(([, { mark }]) => mark.state === "collected");
    const [pack] = over[index % Math.max(1, over.length)] ?? [];
    if (pack !== undefined) this.origin.set(pack, { isSealed: false, segments: 1 });
  }

  /** What is needed at this moment. */
  needed(): Map<string, string> {
    const direct = new Map(this.inUse.map((pack) => [pack, "named"]));
    for (const { id } of this.live) direct.set(id, "being made");
    return neededPacks(this.releases, this.#uses, KEEP_LAST, direct, this.#bare);
  }

  /** Packs that rollouts and assignments name: whatever happens, these are whole. */
  get inUse(): string[] {
    return this.#used.flatMap(({ packs }) => packs);
  }

  get #bare(): Map<string, PackMark> {
    return new Map([...this.marks].map(([pack, { mark }]) => [pack, mark]));
  }

  get #used(): PackedRelease[] {
    const pairs = [...this.assigned.values(), ...this.rollouts.values()];
    return pairs.flatMap(({ release, previous }) => [release, ...(previous ? [previous] : [])]);
  }

  get #uses(): ReleaseUses {
    const named = new Map(this.#used.map(({ build }) => [build, "named"]));
    return { named, onMachines: this.onMachines };
  }

  /** Whether machines could fetch again what they have. */
  isFetchable(digest: string): boolean {
    const rows = this.releases.filter(({ release }) => release === digest);
    const all = [...rows, ...this.#used.filter(({ release }) => release === digest)];
    return all.some(({ packs }) => packs.every((pack) => this.isWhole(pack)));
  }

  isWhole(pack: string): boolean {
    const blobs = this.origin.get(pack);
    return blobs?.isSealed === true && blobs.segments === 2;
  }

  #judge(listed: NonNullable<GarbageWorld["listed"]>, isHeld: boolean): void {
    const stored = new Map(
      [...listed].map(([pack, { isSealed, segments }]) => {
        const blobs = segments + Number(isSealed);
        return [pack, { bytes: 100 * blobs, blobs, isSealed }];
      }),
    );
    const judged = judgePacks({
      nowMs: this.nowMs,
      stored,
      marks: this.#bare,
      needed: this.needed(),
      named: new Set(this.releases.flatMap(({ packs }) => packs)),
      isStoreBehind: false,
      waitMs: WAIT_MS,
      rememberMs: REMEMBER_MS,
      held: isHeld ? "a region is silent" : "",
    });
    const revisions = new Map([...this.marks].map(([pack, { revision }]) => [pack, revision]));
    this.listed = undefined;
    this.pass = { judged, revisions, nowMs: this.nowMs, next: 0 };
  }

  /** Writes the next change of a pass. */
  #write(pass: Pass): void {
    const judged = pass.judged[pass.next];
    if (judged === undefined) {
      this.pass = undefined;
      return;
    }
    pass.next += 1;
    const { pack, verdict } = judged;
    const mark = nextMark(judged, pass.nowMs);
    if (verdict === "deleting") this.deleting.push(pack);
    if (mark === undefined) return;
    if ((this.marks.get(pack)?.revision ?? 0) !== (pass.revisions.get(pack) ?? 0)) return;
    if (mark === "none") {
      this.marks.delete(pack);
      return;
    }
    if (mark.state === "deleting") {
      // What machines begin to have meanwhile, a rollout or an assignment names.
      const isNamed = this.inUse.includes(pack) || this.live.some(({ id }) => id === pack);
      assert.ok(!isNamed, `${pack} is to be deleted, and needed: ${this.needed().get(pack)}`);
      this.deleting.push(pack);
    }
    this.#put(pack, mark);
  }

  /** The seal first; false where there is nothing left. */
  #deleteStep(pack: string): boolean {
    const blobs = this.origin.get(pack);
    const { state } = this.marks.get(pack)?.mark ?? { state: undefined };
    // Without a seal nobody can begin to use it: it is what a worker stored too late.
    const isUsable = blobs?.isSealed === true && (state === undefined || state === "marked");
    assert.ok(!isUsable, `${pack} is deleted, and nobody has written down that it may be`);
    if (blobs === undefined) return false;
    if (blobs.isSealed) blobs.isSealed = false;
    else blobs.segments -= 1;
    if (blobs.segments === 0) this.origin.delete(pack);
    return true;
  }

  #ended(pack: string): void {
    this.deleting.shift();
    const mark = this.marks.get(pack)?.mark;
    if (mark?.state === "dropped") this.marks.delete(pack);
    if (mark?.state !== "deleting") return;
    this.#put(pack, { state: "collected", atMs: this.nowMs, reason: mark.reason });
  }

  /** What a transaction that begins to use packs does. */
  #stand(packs: readonly string[]): boolean {
    const marks = new Map<string, PackMark>();
    for (const pack of packs) {
      const mark = this.marks.get(pack)?.mark;
      if (mark !== undefined) marks.set(pack, mark);
    }
    const decided = standing(marks);
    if (!decided.ok) return false;
    for (const pack of decided.unmark) this.marks.delete(pack);
    return true;
  }

  #put(pack: string, mark: PackMark): void {
    this.#revision += 1;
    this.marks.set(pack, { mark, revision: this.#revision });
  }
}
