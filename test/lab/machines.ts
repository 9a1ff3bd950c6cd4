// The machines of a system as one finds them on disk, without asking any program: what `current` holds,
// which process runs, how often it was started.
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { isSameProcess } from "../../runtime/program/process-start.ts";
import { describeTree } from "../integration/tree-digest.ts";
import { STARTS_FILE } from "./sample-service.ts";

/** A process that an agent started. */
export interface Supervised {
  readonly pid: number;
  readonly startTime: number;
}

/** An agent's folder. */
export class Machine {
  /** As `System.signal` takes it. */
  readonly name: string;
  readonly path: string;

  constructor(name: string, path: string) {
    this.name = name;
    this.path = path;
  }

  /** What `current` holds of a service, as text. */
  tree(service: string): string[] {
    return describeTree(join(this.path, service, "current", "."));
  }

  /** Services that the machine has a folder of. */
  services(): string[] {
    return readdirSync(this.path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name);
  }

  /** The release that `current` names; undefined: none. */
  release(service: string): string | undefined {
    try {
      return basename(readlinkSync(join(this.path, service, "current")));
    } catch {
      return undefined;
    }
  }

  /** Asks the service at the port that is written beside `current`; undefined: no answer. */
  async ask(service: string): Promise<{ version: string; pid: number } | undefined> {
    try {
      const port = readFileSync(join(this.path, service, "port"), "utf8").trim();
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      return (await answer.json()) as { version: string; pid: number };
    } catch {
      return undefined;
    }
  }

  /** Releases that were started or whose hook ran, one line each time, oldest first. */
  starts(service: string): string[] {
    const path = join(this.path, service, STARTS_FILE);
    return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  }

  /** Processes of a service, or of all, by the agent's own table. */
  processes(only?: string): Supervised[] {
    return readdirSync(this.path).flatMap((service) => {
      if (only !== undefined && service !== only) return [];
      const path = join(this.path, service, "state.json");
      if (!existsSync(path)) return [];
      const state = JSON.parse(readFileSync(path, "utf8"));
      return Object.values(state.processes as Record<string, Supervised>);
    });
  }
}

/** Machines below a system's root, in the order of their names. */
export function machinesOf(root: string): Machine[] {
  const regions = join(root, "regions");
  return readdirSync(regions)
    .sort()
    .flatMap((region) =>
      readdirSync(join(regions, region))
        .filter((name) => name.startsWith("agent-"))
        .sort()
        .map((name) => {
          const number = name.slice("agent-".length);
          return new Machine(`agent-${region}-${number}`, join(regions, region, name));
        }),
    );
}

/** Ends what agents left running that are gone for good. */
export function endServices(root: string): void {
  if (!existsSync(join(root, "regions"))) return;
  for (const { pid, startTime } of machinesOf(root).flatMap((machine) => machine.processes())) {
    if (isSameProcess(pid, startTime)) process.kill(-pid, "SIGKILL");
  }
}
