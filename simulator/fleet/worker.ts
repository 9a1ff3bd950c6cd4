// One worker of the simulated fleet: leases a build from any control plane, says that it lives, puts a pack at the
// origin, and says how it ended. Who tells it that its attempt is not current any more stops it.
import { type BuildRow, NO_PROGRESS, packOf } from "../../core/builds/build-row.ts";
import { heartbeat } from "../../core/builds/build-transitions.ts";
import { changeBuild, leaseBuild, succeed } from "./build-rows.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Network } from "./lines.ts";
import type { Release } from "./messages.ts";
import { type Ground, Process } from "./process.ts";
import { SEGMENTS } from "./region-packs.ts";
import type { RolloutRecord } from "./rollout-record.ts";

const LOOK_MS = 1_000;
const BEAT_MS = 2_000;
const RETRY_MS = 1_000;
/** A call that got no answer is given up after so long. */
const CALL_MS = 5_000;

export interface WorkerOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly network: Network;
  readonly controlPlanes: readonly ControlPlane[];
  readonly wallMs: (replica: string) => number;
  /** Puts what an attempt made at the origin; `done`: it is there. */
  readonly publish: (name: string, done: () => void) => Release;
  /** Puts a segment of what an attempt makes at the origin; `done`: it is there. */
  readonly grow: (name: string, segment: number, done: () => void) => void;
  readonly policy: () => RolloutRecord["policy"];
  /** A name that no other rollout has. */
  readonly newRollout: () => string;
  /** How long a build takes; undefined: it kills its worker. */
  readonly tookMs: (build: string) => number | undefined;
}

/** What it builds now. */
interface Attempt {
  /** Of its pack, so many lie at the origin. */
  segments: number;
}

export class Worker {
  readonly process: Process;
  readonly #options: WorkerOptions;
  #attempt: Attempt | undefined;
  /** It is not to begin anything. */
  isHeld = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.process = new Process(options.name, options.ground);
  }

  get name(): string {
    return this.process.name;
  }

  start(): void {
    this.process.begin();
    this.#attempt = undefined;
    this.#look();
  }

  kill(): void {
    if (this.process.isUp) this.process.end();
  }

  #look(): void {
    if (this.isHeld) {
      this.process.after(LOOK_MS, () => this.#look());
      return;
    }
    this.#call<BuildRow | undefined>(
      (replica, answer) =>
        leaseBuild(replica.store, this.name, (id) => replica.term?.overallLeftMs(id), answer),
      (row) => {
        if (row?.state === "leased") this.#build(row.id, row.attempt);
        else this.process.after(LOOK_MS, () => this.#look());
      },
    );
  }

  #build(build: string, attempt: number): void {
    const own: Attempt = { segments: 0 };
    this.#attempt = own;
    const stop = (): void => {
      if (this.#attempt !== own) return;
      this.#attempt = undefined;
      this.process.after(LOOK_MS, () => this.#look());
    };
    this.#beat(own, build, attempt, stop);
    const tookMs = this.#options.tookMs(build);
    if (tookMs === undefined) {
      this.process.after(3_000, () => this.kill());
      return;
    }
    const name = packOf(build, attempt);
    this.#grow(own, name, tookMs / SEGMENTS);
    this.process.after(tookMs, () => {
      if (this.#attempt !== own) return;
      const { life } = this.process;
      const release: Release = this.#options.publish(name, () =>
        this.process.deliver(life, () => complete()),
      );
      const { policy, newRollout } = this.#options;
      const complete = (): void => {
        const result = { attempt, release, policy: policy(), rollout: newRollout() };
        this.#complete(own, build, result, stop);
      };
    });
  }

  /** Puts one segment after the other while it builds; the last comes with the seal. */
  #grow(own: Attempt, name: string, everyMs: number): void {
    this.process.after(everyMs, () => {
      if (this.#attempt !== own || own.segments >= SEGMENTS - 1) return;
      const { life } = this.process;
      this.#options.grow(name, own.segments, () =>
        this.process.deliver(life, () => {
          own.segments += 1;
          this.#grow(own, name, everyMs);
        }),
      );
    });
  }

  #beat(own: Attempt, build: string, attempt: number, stop: () => void): void {
    if (this.#attempt !== own) return;
    const said = {
      service: "",
      progress: { ...NO_PROGRESS, phase: "run", segments: own.segments },
    };
    this.#call<{ readonly ok: boolean; readonly refusal?: string }>(
      ({ store }, answer) =>
        changeBuild(store, build, (row) => heartbeat(row, attempt, said), answer),
      (outcome) => {
        const { refusal } = outcome ?? {};
        if (refusal === "not-current" || refusal === "unknown") stop();
        else this.process.after(BEAT_MS, () => this.#beat(own, build, attempt, stop));
      },
    );
  }

  #complete(
    own: Attempt,
    build: string,
    result: Omit<Parameters<typeof succeed>[2], "wallMs">,
    stop: () => void,
  ): void {
    if (this.#attempt !== own) return;
    this.#call<{ readonly ok: boolean; readonly refusal?: string }>(
      ({ store, name }, answer) => {
        const wallMs = this.#options.wallMs(name);
        changeBuild(
          store,
          build,
          (row, model) => succeed(row, model, { ...result, wallMs }),
          answer,
        );
      },
      (outcome) => {
        const isKnown = outcome !== undefined && (outcome.ok || outcome.refusal !== "lost");
        if (isKnown) stop();
        else this.process.after(RETRY_MS, () => this.#complete(own, build, result, stop));
      },
    );
  }

  /** Asks some control plane; undefined: no answer came. */
  #call<Answer>(
    ask: (replica: ControlPlane, answer: (answer: Answer) => void) => void,
    done: (answer: Answer | undefined) => void,
  ): void {
    const { network, controlPlanes, ground } = this.#options;
    const replica = controlPlanes[Math.floor(ground.random() * controlPlanes.length)];
    if (replica === undefined) return;
    let isOver = false;
    const end = (answer: Answer | undefined): void => {
      if (isOver) return;
      isOver = true;
      done(answer);
    };
    this.process.after(CALL_MS, () => end(undefined));
    const goes = network.arrival(this.name, replica.name);
    if (goes === undefined) return;
    const { time } = ground;
    const { life } = this.process;
    time.at(goes, () =>
      replica.process.deliver(replica.process.life, () =>
        ask(replica, (answer) => {
          const comes = network.arrival(replica.name, this.name);
          if (comes !== undefined)
            time.at(comes, () => this.process.deliver(life, () => end(answer)));
        }),
      ),
    );
  }
}
