// A folder for one test file: a system, the repositories that it ships, and nothing left of both at the
// end.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endServices, type Machine, machinesOf } from "./machines.ts";
import { type Content, Repository } from "./repository.ts";
import { type ShipResult, type System, type SystemFlags, startSystem } from "./system.ts";

export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), "millrace-lab-"));
  /** Of the system. */
  readonly root = join(this.folder, "up");
  #flags: Omit<SystemFlags, "root"> = {};
  #system: System | undefined;

  /** The system; throws before `start`. */
  get system(): System {
    if (this.#system === undefined) throw new Error("the system was not started");
    return this.#system;
  }

  /** Starts the system, again with the flags of the first time. */
  async start(flags: Omit<SystemFlags, "root"> = this.#flags): Promise<System> {
    this.#flags = flags;
    this.#system = await startSystem({ root: this.root, ...flags });
    return this.#system;
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** A new repository. */
  repository(name: string): Repository {
    return new Repository(this.path(name));
  }

  /** Machines, in the order of their names. */
  machines(): Machine[] {
    return machinesOf(this.root);
  }

  /** Commits and ships; the report comes whatever its end. */
  async ship(
    repository: Repository,
    files: Readonly<Record<string, Content>>,
    ...flags: string[]
  ): Promise<ShipResult> {
    repository.commit(files);
    return this.system.ship(repository.path, ...flags);
  }

  /** Ends the system and what it started, and deletes the folder. */
  async close(): Promise<void> {
    await this.#system?.stop();
    endServices(this.root);
    if (process.env["MILLRACE_LAB_KEEP"] === undefined) {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
