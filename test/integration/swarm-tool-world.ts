// A folder with a file to bring to others, and the processes of `millrace swarm` that do it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Running, startMillrace } from "./cli-scripted-api.ts";

/** One line of `--json`. */
export interface SwarmEvent {
  readonly event: string;
  readonly address: string;
  readonly bytes: number;
  readonly fromSeed: number;
  readonly fromPeers: number;
  readonly error: string;
}

export class SwarmToolWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-swarm-"));
  readonly file = join(this.folder, "blob.bin");
  readonly ticket = join(this.folder, "ticket");
  readonly #running: Running[] = [];
  content: Buffer = Buffer.alloc(0);

  /** Writes the file. */
  write(content: Buffer | number): void {
    this.content = typeof content === "number" ? randomBytes(content) : content;
    writeFileSync(this.file, this.content);
  }

  /** Starts a seed and waits for its ticket; gives its address too. */
  async seed(...flags: string[]): Promise<{ readonly seed: Running; readonly address: string }> {
    const where = ["--listen", "127.0.0.1:0", "--ticket", this.ticket];
    const seed = this.start("seed", this.file, ...where, ...flags);
    return { seed, address: (await eventOf(seed, "ready")).address };
  }

  /** Starts `millrace swarm` with these arguments. */
  start(...args: string[]): Running {
    const running = startMillrace(["swarm", ...args, "--json"]);
    this.#running.push(running);
    return running;
  }

  /** Starts a get into the folder of that name. */
  get(name: string, ...flags: string[]): Running {
    return this.start("get", this.ticket, "--out", this.path(name), ...flags);
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Fails unless the folder holds the file, whole, under `blob.bin`. */
  assertHas(name: string): void {
    assert.ok(readFileSync(this.path(name, "blob.bin")).equals(this.content), `${name} differs`);
  }

  /** What is in the state folder of a fetch; undefined: there is none. */
  state(name: string): { readonly rows: number; readonly pieces: number } | undefined {
    const folder = this.path(name);
    if (statSync(folder, { throwIfNoEntry: false }) === undefined) return undefined;
    const state = readdirSync(folder).find((entry) => entry.startsWith(".millrace-"));
    if (state === undefined) return undefined;
    const size = (file: string) =>
      statSync(join(folder, state, file), { throwIfNoEntry: false })?.size ?? 0;
    return { rows: size("table") / 48, pieces: size("journal") / 4 };
  }

  /** Ends what runs, and deletes the folder. */
  async close(): Promise<void> {
    for (const { process } of this.#running) process.kill("SIGKILL");
    await Promise.all(this.#running.map(({ ended }) => ended));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The event of that name once it was printed; rejects where it never was. */
export async function eventOf(running: Running, name: string): Promise<SwarmEvent> {
  await running.printed(`{"event":"${name}"`);
  const line = running.output.stdout.split("\n").find((one) => one.includes(`{"event":"${name}"`));
  return JSON.parse(line as string) as SwarmEvent;
}

/** Kills it as a crash would. */
export async function kill(running: Running): Promise<void> {
  running.process.kill("SIGKILL");
  await running.ended;
}
