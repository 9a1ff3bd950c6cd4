// Progress as plain lines, for pipes and logs: one when a state changes, else at most one a second.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { describeBuild, describeBytes, describeRollout, totalsOf } from "./describe.ts";
import type { Progress } from "./progress.ts";

const QUIET_MS = 1_000;

/** Writes lines through `print`. */
export class LineProgress implements Progress {
  readonly #print: (line: string) => void;
  #lastLine = "";
  #lastState = "";
  #printedAt = Number.NEGATIVE_INFINITY;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  build(build: Build): void {
    this.#news(describeBuild(build), `${build.id} ${build.state} ${build.phase}`);
  }

  rollout(rollout: Rollout): void {
    const state = `${rollout.id} ${rollout.state} ${rollout.wave} ${rollout.paused}`;
    this.#news(describeRollout(rollout), state);
    if (rollout.endedAtMs !== 0) this.#print(describeBytes(totalsOf(rollout).bytes));
  }

  say(text: string): void {
    this.#print(text);
  }

  end(): void {}

  #news(line: string, state: string): void {
    const isDue = performance.now() - this.#printedAt >= QUIET_MS;
    if (line === this.#lastLine || (state === this.#lastState && !isDue)) return;
    this.#lastLine = line;
    this.#lastState = state;
    this.#printedAt = performance.now();
    this.#print(line);
  }
}
