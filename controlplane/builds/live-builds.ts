// What is going on with builds in this process: every change of a row, from the store's watch, and the
// progress that workers tell between row writes. It wakes whoever waits, and keeps the rows of live builds.
import {
  type BuildProgress,
  type BuildRow,
  isLive,
  NO_PROGRESS,
} from "../../core/builds/build-row.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store, Watch } from "../../runtime/store/store.ts";
import { BUILDS } from "./build-keys.ts";
import { decodeBuild } from "./build-row-json.ts";
import type { BuildTable } from "./build-table.ts";

/** Hears of every row as it is now: first of all live ones, then of each change. */
export type RowListener = (row: BuildRow) => void;
/** Hears that the worker of an attempt has spoken to this process. */
export type NewsListener = (build: string, attempt: number, progress: BuildProgress) => void;

interface AttemptNews {
  readonly attempt: number;
  readonly progress: BuildProgress;
}

/** Wakes its owner when something happened since it last looked. */
export class Follower {
  #isDirty = true;
  #wake: () => void = () => {};

  /** Something happened. */
  mark(): void {
    this.#isDirty = true;
    this.#wake();
  }

  /** Resolves when something has happened since the last call, or `signal` is aborted, or in time. */
  async next(signal: AbortSignal, waitMsMax = Number.POSITIVE_INFINITY): Promise<void> {
    if (!this.#isDirty && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer =
          waitMsMax === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, waitMsMax);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener("abort", this.#wake, { once: true });
      });
      signal.removeEventListener("abort", this.#wake);
    }
    this.#isDirty = false;
  }
}

/** The pulse of all builds. */
export class LiveBuilds {
  readonly #rowListeners = new Set<RowListener>();
  readonly #newsListeners = new Set<NewsListener>();
  readonly #rows = new Map<string, BuildRow>();
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #news = new Map<string, AttemptNews>();
  readonly #log: Log;
  readonly #closing = new AbortController();
  #watch: Watch | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Rows of live builds, as far as they are known here. */
  get rows(): Iterable<BuildRow> {
    return this.#rows.values();
  }

  /** Aborted when whoever waits is to go, because this process ends. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Sends everybody away who follows or waits. */
  close(): void {
    this.#closing.abort();
  }

  /** Tells a listener of all live rows that are known, then of each change until the returned call. */
  onRow(listener: RowListener): () => void {
    this.#rowListeners.add(listener);
    for (const row of this.#rows.values()) listener(row);
    return () => void this.#rowListeners.delete(listener);
  }

  /** Tells a listener what workers say to this process, until the returned call. */
  onNews(listener: NewsListener): () => void {
    this.#newsListeners.add(listener);
    return () => void this.#newsListeners.delete(listener);
  }

  /** Tells of every live build, then follows the store. */
  async start(store: Store, table: BuildTable): Promise<void> {
    const { rows, revision } = await table.live();
    for (const row of rows) this.#tell(row);
    await this.#tellEnds(table, new Set(rows.map(({ id }) => id)));
    this.#watch = await store.watch(
      { prefix: BUILDS, fromRevision: revision + 1 },
      (events) => {
        for (const { type, entry } of events) {
          if (type === "put") this.#tell(decodeBuild(entry.value));
        }
      },
      (error) => {
        this.#log.warn({ err: error }, "build history was compacted; reading all anew");
        this.start(store, table).catch((failure: unknown) => {
          // Without its watch this process would decide on what is no longer so.
          throw failure;
        });
      },
    );
  }

  stop(): void {
    this.#watch?.close();
  }

  /** Follows one build until `end` is called. */
  follow(build: string): { readonly follower: Follower; readonly end: () => void } {
    const follower = new Follower();
    const followers = this.#followers.get(build) ?? new Set();
    this.#followers.set(build, followers.add(follower));
    const end = (): void => {
      followers.delete(follower);
      if (followers.size === 0 && this.#followers.get(build) === followers) {
        this.#followers.delete(build);
      }
    };
    return { follower, end };
  }

  /** Takes down what a worker said of its attempt, and wakes who follows the build. */
  note(build: string, attempt: number, progress: Partial<BuildProgress>): void {
    const before = this.#news.get(build);
    const base = before?.attempt === attempt ? before.progress : NO_PROGRESS;
    const news = { ...base, ...progress };
    this.#news.set(build, { attempt, progress: news });
    for (const listener of this.#newsListeners) listener(build, attempt, news);
    this.#mark(build);
  }

  /** The row with the newest progress of its attempt. */
  withNews<Row extends BuildRow>(row: Row): Row {
    const news = this.#news.get(row.id);
    if (row.state !== "leased" || news?.attempt !== row.attempt) return row;
    const { progress } = news;
    const logBytes = Math.max(progress.logBytes, row.progress.logBytes);
    const phase = progress.phase === "" ? row.progress.phase : progress.phase;
    return { ...row, progress: { ...row.progress, ...progress, phase, logBytes } };
  }

  /** Tells of builds that lived when they were last heard of, and are not among these. */
  async #tellEnds(table: BuildTable, living: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.#rows.keys()].filter((one) => !living.has(one))) {
      const row = await table.get(id);
      if (row !== undefined) this.#tell(row);
    }
  }

  #tell(row: BuildRow): void {
    if (isLive(row)) {
      this.#rows.set(row.id, row);
    } else {
      this.#rows.delete(row.id);
      this.#news.delete(row.id);
    }
    for (const listener of this.#rowListeners) listener(row);
    this.#mark(row.id);
  }

  #mark(build: string): void {
    for (const follower of this.#followers.get(build) ?? []) follower.mark();
  }
}
