// The processes of a simulated machine's service: carries out the steps of a switch, each in its time, as agent/run
// does, and gives each process the fate that its release has on this machine.
import type { Step } from "../../core/fleet/agent-switch.ts";
import type { ReleaseId } from "../../core/fleet/runnable.ts";
import type { Fate, MachineDisk, Running } from "./machine-disk.ts";
import type { Process } from "./process.ts";

const CHECK_WITHIN_MS = 5_000;

export interface ServiceStepsOptions {
  readonly process: Process;
  readonly disk: MachineDisk;
  readonly fateOf: (release: ReleaseId) => Fate;
  /** From its start to its first check that is answered. */
  readonly warmUpMs: number;
  /** A process is about to be started. */
  readonly onStart: (release: ReleaseId) => void;
  /** A process that should be up has ended, or could not be started. */
  readonly onExit: (release: ReleaseId, detail: string) => void;
}

type Done = (error?: string) => void;

export class ServiceSteps {
  readonly #options: ServiceStepsOptions;
  /** Processes on their way up; one that is to be ended meanwhile does not come up. */
  readonly #starting = new Map<ReleaseId, object>();
  /** Hand-overs under way, by what they lead to, with the number of their step. */
  readonly #handing = new Map<ReleaseId, number>();
  /** Steps begun; a check is given up when another begins. */
  #count = 0;

  constructor(options: ServiceStepsOptions) {
    this.#options = options;
  }

  perform(step: Step, done: Done): void {
    const { disk, process } = this.#options;
    const { random } = process.ground;
    this.#count += 1;
    switch (step.do) {
      case "start":
        this.start(step.release, done);
        return;
      case "hand-over":
        this.#handOver(this.#count, step.from, step.to, done);
        return;
      case "check":
        this.#check(this.#count, step.release, process.now + CHECK_WITHIN_MS, done);
        return;
      case "point":
        process.after(2, () => {
          disk.pointed = step.release;
          done();
        });
        return;
      case "run-hook":
        process.after(100 * random(), () => done());
        return;
      case "stop":
        process.after(300 * random(), () => {
          this.end(step.release);
          done();
        });
        return;
      default:
        step satisfies never;
    }
  }

  /** As in production it is one process that ends the old one and becomes the new one, and may be ended before. */
  #handOver(number: number, from: ReleaseId, to: ReleaseId, done: Done): void {
    const { process } = this.#options;
    this.#handing.set(to, number);
    process.after(200 * process.ground.random(), () => {
      if (this.#handing.get(to) !== number) {
        done("it was ended");
        return;
      }
      this.#handing.delete(to);
      const back = this.#handing.get(from);
      this.end(from);
      // One that takes over from this one in turn goes on.
      if (back !== undefined && back > number) this.#handing.set(from, back);
      this.start(to, done);
    });
  }

  /** Ends a process. */
  end(release: ReleaseId): void {
    this.#handing.delete(release);
    this.#starting.delete(release);
    this.#options.disk.running.delete(release);
  }

  /** Has a process up; `done` says where it cannot be. */
  start(release: ReleaseId, done: Done): void {
    const { disk, process, onStart, onExit } = this.#options;
    const starting = {};
    this.#starting.set(release, starting);
    process.after(50 + 200 * process.ground.random(), () => {
      if (this.#starting.get(release) !== starting) {
        done("it was ended");
        return;
      }
      this.#starting.delete(release);
      if (disk.running.has(release)) {
        done();
        return;
      }
      if (!disk.releases.has(release)) {
        onExit(release, "it is not on disk");
        done("it is not on disk");
        return;
      }
      onStart(release);
      const running = { release, since: process.now };
      disk.running.set(release, running);
      done();
      this.#meetFate(release, running);
    });
  }

  /** Whether the release is up and answers a check now. */
  isHealthy(release: ReleaseId): boolean {
    const { disk, process, fateOf, warmUpMs } = this.#options;
    const running = disk.running.get(release);
    const fate = fateOf(release);
    if (running === undefined || fate.kind === "hangs") return false;
    if (process.now < running.since + warmUpMs) return false;
    return fate.kind !== "sickens" || process.now < running.since + fate.afterMs;
  }

  #check(number: number, release: ReleaseId, endsAt: number, done: Done): void {
    const { process } = this.#options;
    process.after(200 + 300 * process.ground.random(), () => {
      if (this.#count !== number) return;
      if (this.isHealthy(release)) done();
      else if (process.now >= endsAt) done("not healthy in time");
      else this.#check(number, release, endsAt, done);
    });
  }

  #meetFate(release: ReleaseId, running: Running): void {
    const { process, disk, fateOf, onExit } = this.#options;
    const fate = fateOf(release);
    if (fate.kind !== "crashes" && fate.kind !== "dies-later") return;
    const afterMs = fate.kind === "crashes" ? 50 : fate.afterMs;
    // Whether the agent lives or not.
    process.ground.time.at(process.clock.trueAt(process.now + afterMs), () => {
      if (disk.running.get(release) !== running) return;
      disk.running.delete(release);
      process.deliver(process.life, () => onExit(release, "ended"));
    });
  }
}
