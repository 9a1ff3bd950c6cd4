// One watch on etcd, on a stream of its own, opened again wherever it breaks. Events that come twice or for a
// stream that was left are dropped by their revision, parts of a transaction are held until it is whole, and
// history that is gone ends the watch: compacted, or of a store that was put back to an older state.
import { setTimeout as sleep } from "node:timers/promises";
import type { Etcd3, IDuplexStream, IEvent, IWatchRequest, IWatchResponse } from "etcd3";
import { backoffMs } from "../../core/fleet/agent-backoff.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import { CALL_MS, type EtcdMembers, RETRY_BACKOFF } from "./etcd-members.ts";
import type { Watch, WatchEvent, WatchOptions } from "./store.ts";
import { RevisionCompactedError, StoreUnavailableError } from "./store-errors.ts";

/** A member that has not confirmed a watch by then is left for the next. */
const CONFIRMED_MS = 3000;

/** What a watch tells its owner. */
export interface WatchCallbacks {
  readonly onEvents: (events: readonly WatchEvent[]) => void;
  readonly onCompacted: (error: RevisionCompactedError) => void;
}

type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;

/** Opens a watch; resolves once etcd has confirmed it, rejects with StoreUnavailableError after CALL_MS. */
export async function openEtcdWatch(
  members: EtcdMembers,
  keys: EtcdKeys,
  options: WatchOptions,
  callbacks: WatchCallbacks,
): Promise<Watch> {
  const watch = new EtcdWatch(members, keys, options, callbacks);
  const timer = setTimeout(() => watch.giveUp(), CALL_MS);
  try {
    await watch.confirmed;
  } finally {
    clearTimeout(timer);
  }
  return watch;
}

/** The first revision whose history is there, when etcd has said that `revision` is before it. */
export async function compactedRevision(
  members: EtcdMembers,
  keys: EtcdKeys,
  revision: number,
): Promise<RevisionCompactedError> {
  const told = Promise.withResolvers<RevisionCompactedError>();
  const callbacks = { onEvents: () => undefined, onCompacted: told.resolve };
  const watch = await openEtcdWatch(
    members,
    keys,
    { prefix: "", fromRevision: revision },
    callbacks,
  );
  const timer = setTimeout(
    () => told.reject(new StoreUnavailableError("etcd does not say what it has compacted")),
    CALL_MS,
  );
  try {
    return await told.promise;
  } finally {
    clearTimeout(timer);
    watch.close();
  }
}

class EtcdWatch implements Watch {
  readonly #members: EtcdMembers;
  readonly #create: { readonly key: Buffer; readonly range_end: Buffer };
  readonly #keys: EtcdKeys;
  readonly #callbacks: WatchCallbacks;
  readonly #confirmed = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #nextRevision: number | undefined;
  /** The highest revision that etcd has shown; a store that is behind it is another one. */
  #seenRevision = 0;
  /** Events of a transaction that is not whole yet. */
  #parts: WatchEvent[] = [];
  #stream: WatchStream | undefined;
  #failures = 0;
  #over = false;

  constructor(
    members: EtcdMembers,
    keys: EtcdKeys,
    { prefix, fromRevision }: WatchOptions,
    callbacks: WatchCallbacks,
  ) {
    this.#members = members;
    this.#keys = keys;
    this.#create = keys.range({ prefix });
    this.#callbacks = callbacks;
    this.#nextRevision = fromRevision;
    void this.#run();
  }

  /** Resolves when etcd has confirmed the watch for the first time. */
  get confirmed(): Promise<void> {
    return this.#confirmed.promise;
  }

  close(): void {
    this.#over = true;
    this.#leaveStream();
    this.#closed.resolve();
  }

  /** Closes a watch that could not be opened. */
  giveUp(): void {
    this.close();
    this.#confirmed.reject(
      new StoreUnavailableError(`etcd did not confirm a watch within ${CALL_MS} ms`),
    );
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      const client = this.#members.current;
      try {
        if (this.#failures > 0) await this.#lookAgain();
        if (!this.#over) await this.#follow(client);
      } catch {
        // Whatever broke it, the next try starts from the same revision.
      }
      if (this.#over) return;
      this.#parts = [];
      this.#failures += 1;
      this.#members.leave(client);
      const waitMs = Math.random() * backoffMs(RETRY_BACKOFF, this.#failures);
      await Promise.race([sleep(waitMs, undefined, { ref: false }), this.#closed.promise]);
    }
  }

  /** Reads before a stream is opened again: that renews an expired token, and shows a store put back. */
  async #lookAgain(): Promise<void> {
    const { header } = await this.#members.once(({ kv }, options) =>
      kv.range({ key: this.#create.key, count_only: true }, options),
    );
    const revision = Number(header.revision);
    if (revision >= this.#seenRevision) return;
    this.#end(new RevisionCompactedError(this.#nextRevision ?? revision, revision));
  }

  /** Follows one stream until it ends, for whatever reason. */
  async #follow(client: Etcd3): Promise<void> {
    const stream = await client.watchClient.watch(this.#members.streamOptions);
    const ended = Promise.withResolvers<void>();
    const timer = setTimeout(() => ended.resolve(), CONFIRMED_MS);
    stream.on("error", () => ended.resolve());
    stream.on("end", () => ended.resolve());
    stream.on("data", (response) => {
      if (stream !== this.#stream) return;
      clearTimeout(timer);
      if (!this.#take(response)) ended.resolve();
    });
    this.#stream = stream;
    const start = this.#nextRevision === undefined ? {} : { start_revision: this.#nextRevision };
    stream.write({
      create_request: { ...this.#create, ...start, fragment: true, progress_notify: true },
    });
    await Promise.race([ended.promise, this.#closed.promise]);
    clearTimeout(timer);
    this.#leaveStream();
  }

  /** Takes one message; false when the stream is of no more use. */
  #take(response: IWatchResponse): boolean {
    const compacted = Number(response.compact_revision);
    if (response.canceled && compacted > 0) {
      this.#end(new RevisionCompactedError(this.#nextRevision ?? compacted, compacted));
      return false;
    }
    if (response.canceled) return false;
    const revision = Number(response.header.revision);
    this.#seenRevision = Math.max(this.#seenRevision, revision);
    if (response.created) {
      this.#failures = 0;
      this.#nextRevision ??= revision + 1;
      this.#confirmed.resolve();
    } else if (response.events.length === 0 && !response.fragment) {
      // A notice of progress: nothing up to here will come any more.
      this.#nextRevision = Math.max(this.#nextRevision ?? 0, revision + 1);
    }
    this.#deliver(response.events, response.fragment);
    return true;
  }

  #deliver(events: readonly IEvent[], isFragment: boolean): void {
    const next = this.#nextRevision ?? 0;
    for (const { type, kv } of events) {
      const entry = this.#keys.entry(kv);
      if (entry.modRevision < next) continue;
      this.#parts.push({ type: type === "Put" ? "put" : "delete", entry });
    }
    const last = this.#parts.at(-1)?.entry.modRevision;
    if (last === undefined) return;
    // The last transaction of a fragment may go on in the next; those before it are whole.
    const whole = isFragment
      ? this.#parts.filter(({ entry }) => entry.modRevision < last)
      : this.#parts;
    this.#parts = isFragment ? this.#parts.slice(whole.length) : [];
    const lastWhole = whole.at(-1)?.entry.modRevision;
    if (lastWhole === undefined) return;
    this.#nextRevision = lastWhole + 1;
    this.#callbacks.onEvents(whole);
  }

  #end(error: RevisionCompactedError): void {
    this.close();
    this.#confirmed.resolve();
    // In a turn of its own, so that what the owner throws is not taken for a broken stream.
    setImmediate(() => this.#callbacks.onCompacted(error));
  }

  #leaveStream(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    // Ended before it is cancelled: etcd3 takes a cancelled stream that can be written for a lost member.
    stream?.end();
    stream?.cancel();
  }
}
