// Where a file is fetched to: a state folder beside its name while it is not whole, named for the swarm,
// and the name itself once it is. Nothing is ever seen under that name but the whole, verified file.
import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DiskPieceStore } from "../runtime/peer/disk-piece-store.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { lockRoot, RootLockedError } from "../runtime/program/root-lock.ts";
import type { Ticket } from "./ticket.ts";

/** Digits of the swarm's id in the folder's name: 64 bits. */
const ID_DIGITS = 16;

export interface TargetOptions {
  readonly ticket: Ticket;
  /** The folder that the file is put into; made where missing. */
  readonly folder: string;
  /** An existing file of that name is replaced once the new one is whole. */
  readonly force: boolean;
}

interface Place {
  readonly path: string;
  readonly state: string;
  readonly force: boolean;
  readonly unlock: () => void;
}

export class TargetFile {
  readonly ticket: Ticket;
  readonly path: string;
  readonly store: DiskPieceStore;
  readonly #state: string;
  readonly #force: boolean;
  readonly #unlock: () => void;

  /** Throws CommandError where another file has the name, or another process fetches it here. */
  static async open({ ticket, folder, force }: TargetOptions): Promise<TargetFile> {
    const path = join(folder, ticket.name);
    const state = stateFolder(ticket, folder);
    mkdirSync(folder, { recursive: true });
    const unlock = lockState(state, path);
    try {
      if (!force && exists(path) && !isSameFile(path, join(state, "pieces"))) {
        throw new CommandError(
          EXIT.conflict,
          `${path} exists already; move it away, choose another --out, or pass --force`,
        );
      }
      return new TargetFile(
        ticket,
        { path, state, force, unlock },
        await DiskPieceStore.open(state),
      );
    } catch (error) {
      unlock();
      throw error;
    }
  }

  private constructor(
    ticket: Ticket,
    { path, state, force, unlock }: Place,
    store: DiskPieceStore,
  ) {
    this.ticket = ticket;
    this.path = path;
    this.#state = state;
    this.#force = force;
    this.#unlock = unlock;
    this.store = store;
  }

  /** Gives the whole file its name; it is served on from there. */
  async complete(): Promise<void> {
    const pieces = join(this.#state, "pieces");
    if (isSameFile(this.path, pieces)) return;
    chmodSync(pieces, 0o666 & ~process.umask());
    if (!this.#force) {
      await this.store.lend(this.path);
      return;
    }
    const temporary = join(this.#state, "whole");
    rmSync(temporary, { force: true });
    await this.store.lend(temporary);
    renameSync(temporary, this.path);
  }

  /** Ends the use of it; `isDone`: the state is of no more use. */
  async close(isDone: boolean): Promise<void> {
    await this.store.close();
    if (isDone) rmSync(this.#state, { recursive: true, force: true });
    else this.#unlock();
  }
}

/** Folder of what was fetched so far. */
export function stateFolder(ticket: Ticket, folder: string): string {
  return join(folder, `.millrace-${ticket.swarm.slice(0, ID_DIGITS)}`);
}

function lockState(state: string, path: string): () => void {
  try {
    return lockRoot(state);
  } catch (error) {
    if (!(error instanceof RootLockedError)) throw error;
    throw new CommandError(EXIT.conflict, `${path} is being fetched already: ${error.message}`);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isSameFile(path: string, other: string): boolean {
  const [one, two] = [path, other].map((name) => statSync(name, { throwIfNoEntry: false }));
  if (one === undefined || two === undefined) return false;
  return one.ino === two.ino && one.dev === two.dev;
}
