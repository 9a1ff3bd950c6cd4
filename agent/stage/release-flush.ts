// Makes releases durable without making anybody wait: a release may run before the disk has all of it.
// A mark that is durable itself says that it is not yet; after a power loss the mark tells which
// releases have to be compared with their manifests before they are believed (decision 0007).
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Log } from "../../runtime/log.ts";
import { readJson, writeJson } from "../../runtime/program/json-file.ts";
import type { ServiceFolder } from "../service-folder.ts";
import { matchesManifest } from "./match-tree.ts";

/** The kernel itself writes pages back after 30 s; shortly after that, little is left to flush. */
const FLUSH_AFTER_MS = 35_000;

const run = promisify(execFile);

interface Mark {
  /** Boot of the machine under which the release was written. */
  readonly bootId: string;
}

/** The boot of this machine; another one after a power loss. */
function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Flushes the releases of one service in the background, and doubts those it could not. */
export class ReleaseFlush {
  readonly #folder: ServiceFolder;
  readonly #log: Log;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(folder: ServiceFolder, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Before a release is taken in: it is not durable yet. */
  begin(release: string): void {
    writeJson(this.#markPath(release), { bootId: bootId() } satisfies Mark);
    this.#later(release);
  }

  /** At start: the releases that a power loss may have torn and that are not what they should be. */
  async torn(releases: readonly string[]): Promise<string[]> {
    const torn: string[] = [];
    for (const release of releases) {
      const mark = readJson<Mark>(this.#markPath(release));
      if (mark === undefined) continue;
      const manifest = join(this.#folder.metaPath(release), "manifest");
      const isBelieved =
        mark.bootId === bootId() ||
        (await matchesManifest(release, manifest, this.#folder.releasePath(release)));
      if (isBelieved) this.#later(release);
      else torn.push(release);
    }
    return torn;
  }

  /** Flushes no more; what is not flushed keeps its mark. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(release: string): void {
    clearTimeout(this.#timers.get(release));
    const timer = setTimeout(() => {
      this.#timers.delete(release);
      this.#flush(release).catch((error: unknown) => {
        this.#log.warn({ release, err: error }, "release not flushed, trying again");
        this.#later(release);
      });
    }, FLUSH_AFTER_MS);
    this.#timers.set(release, timer.unref());
  }

  /** One call for the file system: a tree of a million files is not flushed one by one. */
  async #flush(release: string): Promise<void> {
    const path = this.#folder.releasePath(release);
    if (!existsSync(path)) return;
    await run("sync", ["-f", path]);
    rmSync(this.#markPath(release), { force: true });
  }

  #markPath(release: string): string {
    return join(this.#folder.metaPath(release), "unflushed.json");
  }
}
