// One seed of the fleet's fault swarm: what is drawn from it, the faults, the healing, and what became of it.
import { seededRandom } from "../../core/swarm/random.ts";
import type { Fault } from "./fault.ts";
import { FAULTS } from "./fault-table.ts";
import { Scene } from "./scene.ts";
import { FleetViolation } from "./violation.ts";

/** Kinds of faults in one run, and how often each strikes. */
const KINDS_MAX = 8;
const STRIKES_MAX = 3;
/** The last fault strikes before that. */
const LAST_MS = 120_000;
/** From then on everything comes to its end within so long: a wave of 50, one after the other, has 40 min. */
const CALM_MS = 3 * 3_600_000;

export interface SeedReport {
  readonly seed: number;
  readonly trace: string;
  /** Faults that struck, in order. */
  readonly faults: readonly string[];
  /** Facts that machines took. */
  readonly facts: number;
  readonly virtualMs: number;
  /** What was found; undefined: every promise held. */
  readonly violation: { readonly promise: string; readonly what: string } | undefined;
}

export interface RunOptions {
  /** Sees the scene before it begins. */
  readonly look?: (scene: Scene) => void;
  /** Only faults of these rows are drawn; left out: all. */
  readonly rows?: readonly number[];
}

/** Runs a seed to its end, or to the first promise that does not hold. */
export function runSeed(seed: number, options: RunOptions = {}): SeedReport {
  const { look = () => {}, rows } = options;
  const scene = new Scene(seed);
  const struck: string[] = [];
  look(scene);
  const report = (violation: SeedReport["violation"]): SeedReport => ({
    seed,
    trace: `${scene.world.trace.text}${scene.world.packs.world.trace.text}`,
    faults: struck,
    facts: scene.world.trace.count,
    virtualMs: scene.now,
    violation,
  });
  try {
    play(scene, drawFaults(seed, rows), struck);
    return report(undefined);
  } catch (error) {
    if (error instanceof FleetViolation) {
      return report({ promise: error.promise, what: error.message });
    }
    // What a machine throws is a bug of its own.
    return report({ promise: "nothing throws", what: `${(error as Error).stack}` });
  }
}

function play(scene: Scene, strokes: readonly Stroke[], struck: string[]): void {
  scene.world.start();
  for (let turn = 0; turn < 2; turn += 1) {
    scene.at(5_000 + turn * scene.between(20_000, 60_000), () => {
      const key = scene.newKey("good");
      const release = scene.release(key);
      scene.deploy({ key, release, policy: scene.drawPolicy(), supersede: false });
    });
  }
  scene.at(10_000 + scene.between(0, 30_000), () => scene.submit("commit", "ci", true));
  scene.at(20_000, () => scene.submit("other commit", "ci", scene.random() < 0.3));
  for (const { fault, at } of strokes) {
    scene.at(at, () => {
      struck.push(fault.what);
      scene.onStrike(fault);
      fault.strike(scene);
    });
  }
  for (let until = 0; until < scene.healsAt; ) {
    until = scene.healsAt;
    scene.run(until);
  }
  scene.heal();
  const isCalm = scene.run(scene.healsAt + CALM_MS, () => scene.isCalm);
  if (!isCalm) throw new FleetViolation("all comes to its end", scene.unsettled() ?? "rollouts");
  scene.conclude();
}

/** A fault, and when it strikes. */
export interface Stroke {
  readonly fault: Fault;
  readonly at: number;
}

/** What a seed draws: some kinds of faults, each once or a few times, at moments by chance. */
export function drawFaults(seed: number, rows?: readonly number[]): readonly Stroke[] {
  const faults = FAULTS.filter(({ row }) => rows === undefined || rows.includes(row));
  const random = seededRandom(Math.imul(seed + 1, 0x85ebca6b));
  const upTo = (count: number): number => Math.floor(random() * count);
  const kinds = Array.from({ length: 1 + upTo(KINDS_MAX) }, () => faults[upTo(faults.length)]);
  return kinds.flatMap((fault) => {
    if (fault === undefined || random() * (fault.oneIn ?? 1) >= 1) return [];
    const times = 1 + upTo(STRIKES_MAX);
    return Array.from({ length: times }, () => ({ fault, at: 1_000 + random() * LAST_MS }));
  });
}
