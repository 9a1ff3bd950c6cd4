// Permits on disk, one file a rollout, one JSON line an event: a restarted relay must know whom it let
// activate, or it would hand out more than it was granted. The last line of a permit counts.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { KeptPermit } from "../core/rollout/permit-ledger.ts";
import { syncFolder } from "../runtime/program/json-file.ts";

const SUFFIX = ".permits";

/** The permits of all rollouts. */
export class PermitJournal {
  readonly #folder: string;
  readonly #files = new Map<string, number>();

  constructor(root: string) {
    this.#folder = join(root, "permits");
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Permits of every rollout that has any, in the order they were handed out. */
  read(): Map<string, KeptPermit[]> {
    const rollouts = new Map<string, KeptPermit[]>();
    for (const name of readdirSync(this.#folder)) {
      if (!name.endsWith(SUFFIX)) continue;
      const rollout = decodeURIComponent(name.slice(0, -SUFFIX.length));
      rollouts.set(rollout, parse(readFileSync(join(this.#folder, name), "utf8")));
    }
    return rollouts;
  }

  /** Appends permits as they stand; durable when it returns where `durable`. Throws on a full disk. */
  write(rollout: string, permits: readonly KeptPermit[], durable: boolean): void {
    let file = this.#files.get(rollout);
    if (file === undefined) {
      file = openSync(this.#pathOf(rollout), "a", 0o600);
      this.#files.set(rollout, file);
      syncFolder(this.#folder);
      // A line torn by a crash must not swallow the next one.
      writeSync(file, "\n");
    }
    try {
      writeSync(file, permits.map((permit) => `${JSON.stringify(permit)}\n`).join(""));
      if (durable) fsyncSync(file);
    } catch (error) {
      // Opened anew it begins on a line of its own, whatever was torn off here.
      closeSync(file);
      this.#files.delete(rollout);
      throw error;
    }
  }

  /** Forgets a rollout. */
  remove(rollout: string): void {
    const file = this.#files.get(rollout);
    if (file !== undefined) closeSync(file);
    this.#files.delete(rollout);
    rmSync(this.#pathOf(rollout), { force: true });
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #pathOf(rollout: string): string {
    return join(this.#folder, `${encodeURIComponent(rollout)}${SUFFIX}`);
  }
}

function parse(text: string): KeptPermit[] {
  const permits = new Map<string, KeptPermit>();
  for (const line of text.split("\n")) {
    const permit = parseLine(line);
    if (permit !== undefined) permits.set(permit.id, permit);
  }
  return [...permits.values()];
}

/** A line, or undefined where a crash has torn it: what it was to keep had not been sent yet. */
function parseLine(line: string): KeptPermit | undefined {
  try {
    return line === "" ? undefined : (JSON.parse(line) as KeptPermit);
  } catch {
    return undefined;
  }
}
