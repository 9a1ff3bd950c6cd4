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
