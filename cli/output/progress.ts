// How a waiting command shows what goes on: bars on a terminal, plain lines where it is piped, nothing
// with --json. What is shown is told in full each time; the reporter decides what is news.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";

export interface Progress {
  build(build: Build): void;
  rollout(rollout: Rollout): void;
  /** A sentence of the command's own. */
  say(text: string): void;
  /** Leaves the terminal as it should be; what follows is shown anew, below. */
  end(): void;
}

/** Shows nothing: --json. */
export const SILENT: Progress = {
  build: () => {},
  rollout: () => {},
  say: () => {},
  end: () => {},
};

/** The reporter for this stdout. */
export async function openProgress(json: boolean): Promise<Progress> {
  if (json) return SILENT;
  if (process.stdout.isTTY && process.env["TERM"] !== "dumb") {
    const { TerminalProgress } = await import("./terminal-progress.ts");
    return new TerminalProgress();
  }
  const { LineProgress } = await import("./line-progress.ts");
  return new LineProgress((line) => console.log(line));
}
