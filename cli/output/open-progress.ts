// Which way of showing progress fits this stdout. What is not needed is not loaded.
import type { Progress } from "./progress.ts";

/** Shows nothing: --json. */
const SILENT: Progress = {
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
