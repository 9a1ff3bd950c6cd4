// One service's folder on an agent's disk: releases, the link `current`, the port file, logs, the
// journal, and per release its record and manifest. Links and small files change atomically here;
// what they should say is decided elsewhere.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { EMPTY_JOURNAL, type Journal } from "../core/fleet/agent-journal.ts";
import { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type { BytesGot } from "../runtime/agent/wire.ts";
import { readJson, syncFolder, writeJson } from "../runtime/program/json-file.ts";
import type { ServiceProcess } from "./run/service-process.ts";

/** Version of state.json; a newer one is refused, never guessed at. */
const STATE_FORMAT = 1;

/** Bytes got under the rollout that something was staged for last. */
export interface RolloutBytes {
  readonly rollout: string;
  readonly bytes: BytesGot;
}

/** What state.json holds. */
export interface ServiceState {
  readonly journal: Journal;
  readonly processes: Readonly<Record<string, ServiceProcess>>;
  readonly got: RolloutBytes;
}

const EMPTY_STATE: ServiceState = {
  journal: EMPTY_JOURNAL,
  processes: {},
  got: { rollout: "", bytes: { relay: 0, peer: 0, local: 0 } },
};

/** Paths and small files of one service. */
export class ServiceFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, "releases"), { recursive: true });
    mkdirSync(join(path, "meta"), { recursive: true });
  }

  readState(): ServiceState {
    const path = join(this.path, "state.json");
    const state = readJson<ServiceState & { format: number }>(path);
    if (state === undefined) return EMPTY_STATE;
    if (state.format !== STATE_FORMAT) {
      throw new Error(`${path} has format ${state.format}, this agent reads ${STATE_FORMAT}`);
    }
    return state;
  }

  writeState(state: ServiceState): void {
    writeJson(join(this.path, "state.json"), { format: STATE_FORMAT, ...state });
  }

  /** Releases whole on disk. */
  releases(): string[] {
    return readdirSync(join(this.path, "releases"));
  }

  releasePath(release: string): string {
    return join(this.path, "releases", release);
  }

  /** Where manifest, layout and record of a release lie; made where missing. */
  metaPath(release: string): string {
    const path = join(this.path, "meta", release);
    mkdirSync(path, { recursive: true });
    return path;
  }

  logPath(release: string): string {
    return join(this.path, "logs", `${release}.log`);
  }

  /** The release that `current` points to. */
  pointed(): string | undefined {
    try {
      return basename(readlinkSync(join(this.path, "current")));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Sets `current`, and the port file beside it (0: none), each at once; undefined removes both. */
  point(release: string | undefined, port: number): void {
    const link = join(this.path, "current");
    const portFile = join(this.path, "port");
    if (port === 0) rmSync(portFile, { force: true });
    else replaceFile(portFile, `${port}\n`);
    if (release === undefined) rmSync(link, { force: true });
    else if (this.pointed() !== release) {
      rmSync(`${link}.new`, { force: true });
      symlinkSync(join("releases", release), `${link}.new`);
      renameSync(`${link}.new`, link);
    }
    syncFolder(this.path);
  }

  /** Takes a staged tree in as a release; from then on it is whole or, after a crash before, absent. */
  adopt(stagedPath: string, release: string): void {
    renameSync(stagedPath, this.releasePath(release));
    syncFolder(join(this.path, "releases"));
  }

  /** Moves what is not kept into `trash`, at once; deleting it there takes longer. */
  discard(keep: ReadonlySet<string>, trash: string): void {
    mkdirSync(trash, { recursive: true });
    for (const folder of ["releases", "meta"]) {
      for (const name of readdirSync(join(this.path, folder))) {
        if (keep.has(name)) continue;
        renameSync(join(this.path, folder, name), trashPath(trash, name));
      }
    }
    for (const name of readdirSync(this.path).includes("logs") ? this.#logs() : []) {
      if (!keep.has(basename(name, ".log"))) rmSync(join(this.path, "logs", name), { force: true });
    }
  }

  readRecord(release: string): Release | undefined {
    const json = readJson<unknown>(join(this.path, "meta", release, "record.json"));
    return json === undefined ? undefined : Release.fromJSON(json);
  }

  writeRecord(record: Release): void {
    writeJson(join(this.metaPath(record.release), "record.json"), Release.toJSON(record));
  }

  #logs(): string[] {
    return readdirSync(join(this.path, "logs"));
  }
}

let trashCount = 0;

function trashPath(trash: string, name: string): string {
  for (;;) {
    trashCount += 1;
    const path = join(trash, `${name}.${trashCount}`);
    if (!existsSync(path)) return path;
  }
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
