// Progress on a terminal: rows that are redrawn in place, and stay as they were at the end. What the rows
// say is made in `progress-rows.ts`.
import { MultiBar, type SingleBar } from "cli-progress";
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { Progress } from "./progress.ts";
import { type ProgressFacts, progressRows } from "./progress-rows.ts";

/** Where the terminal does not say how wide it is. */
const COLUMNS_DEFAULT = 80;

const NOTHING: ProgressFacts = { build: undefined, rollout: undefined };

/** Rows that are redrawn in place. */
export class TerminalProgress implements Progress {
  #bars: MultiBar | undefined;
  #rows: SingleBar[] = [];
  #facts = NOTHING;

  build(build: Build): void {
    this.#facts = { ...this.#facts, build };
    this.#draw();
  }

  rollout(rollout: Rollout): void {
    this.#facts = { ...this.#facts, rollout };
    this.#draw();
    if (rollout.endedAtMs === 0) return;
    this.end();
    // Its row may have been cut.
    if (rollout.message !== "") console.log(`  ${rollout.message}`);
  }

  say(text: string): void {
    if (this.#bars === undefined) console.log(text);
    else this.#bars.log(`${text}\n`);
  }

  end(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#rows = [];
    this.#facts = NOTHING;
  }

  #draw(): void {
    // The last column stays free: some terminals wrap when it is written.
    const columns = (process.stdout.columns ?? COLUMNS_DEFAULT) - 1;
    const texts = progressRows(this.#facts, Date.now(), columns);
    this.#bars ??= openBars();
    for (const [index, text] of texts.entries()) {
      const row = this.#rows[index];
      if (row !== undefined) row.update(0, { text });
      else this.#rows.push(this.#bars.create(1, 0, { text }));
    }
    for (const row of this.#rows.splice(texts.length)) this.#bars.remove(row);
  }
}

function openBars(): MultiBar {
  return new MultiBar({
    format: "{text}",
    hideCursor: true,
    forceRedraw: true,
    stopOnComplete: false,
    clearOnComplete: false,
    linewrap: false,
    gracefulExit: false,
  });
}
