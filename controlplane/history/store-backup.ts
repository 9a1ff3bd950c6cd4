// Keeps a backup of a store that no other program can read while it is in use: made at the start and from time to time. A
// store that has its own way (etcd: snapshots) is not for this.
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";

export interface BackupOptions {
  readonly store: Store;
  /** File that holds the copy; undefined: none is made. */
  readonly path: string | undefined;
  /** Between two copies, milliseconds. */
  readonly everyMs: number;
  readonly log: Log;
}

/** Begins to make copies; throws where the store makes none. One that fails is made good by the next. */
export function startBackups({ store, path, everyMs, log }: BackupOptions): {
  /** Makes no more, and waits for the one that is under way. */
  stop(): Promise<void>;
} {
  if (path === undefined) return { stop: async () => {} };
  if (store.backup === undefined) {
    throw new Error("--store-backup is for a SQLite store; of etcd: etcdctl snapshot save");
  }
  let underWay: Promise<void> | undefined;
  const copy = async (): Promise<void> => {
    try {
      await store.backup?.(path);
      log.info({ path }, "backed the store up");
    } catch (error) {
      log.error({ err: error }, "the store was not backed up");
    }
    underWay = undefined;
  };
  const begin = (): void => {
    underWay ??= copy();
  };
  begin();
  const timer = setInterval(begin, everyMs);
  return {
    stop: async () => {
      clearInterval(timer);
      await underWay;
    },
  };
}
