// The demo itself: three commits, shipped one after the other, and whether each went as it should.
import type { Progress } from "../output/progress.ts";
import type { ControlPlane } from "../remote/control-plane.ts";
import type { DemoCommit } from "./demo-repository.ts";
import { type DemoShip, shipCommit } from "./demo-ship.ts";

/** The second commit may add so much of its output at most. */
const CHANGED_SHARE_MAX = 0.1;

/** What `demo --json` prints. */
export interface DemoReport {
  readonly ok: boolean;
  /** From the command's start to the last machine. */
  readonly seconds: number;
  readonly ships: readonly DemoShip[];
}

export interface DemoStoryOptions {
  readonly plane: ControlPlane;
  readonly repository: string;
  readonly commits: readonly DemoCommit[];
  /** Machines of the system. */
  readonly agents: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Ships the commits in turn; stops at the first that did not go as it should. */
export async function tellStory(
  options: DemoStoryOptions,
): Promise<{ readonly ships: readonly DemoShip[]; readonly problems: readonly string[] }> {
  const { plane, repository, commits, agents, progress, signal } = options;
  const ships: DemoShip[] = [];
  let good: string | undefined;
  for (const [index, { name, story, expected, commit }] of commits.entries()) {
    signal.throwIfAborted();
    progress.say(`\n${index + 1}. ${story}`);
    const sha = await commit();
    const isGood = expected === "succeeded";
    const shipped = { plane, repository, sha, progress, signal };
    const ship = await shipCommit({ ...shipped, expected: isGood ? undefined : good });
    if (isGood) good = ship.release;
    ships.push(ship);
    const problems = problemsOf(ship, name, expected, agents);
    if (problems.length > 0) return { ships, problems };
  }
  return { ships, problems: [] };
}

/** What is not as it should be with a ship, in sentences. */
export function problemsOf(
  ship: DemoShip,
  name: DemoCommit["name"],
  expected: DemoCommit["expected"],
  agents: number,
): string[] {
  const { build, rollout, bytes } = ship;
  const { active, total } = ship.agents;
  const problems: string[] = [];
  const expect = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(`${name}: ${problem}`);
  };
  expect(build.state === "succeeded", `the build ${build.state}`);
  expect(rollout.state === expected, `the rollout ended as ${rollout.state}, not ${expected}`);
  expect(
    total === agents && active === agents,
    `${active} of ${agents} machines run the right release`,
  );
  if (name === "first") {
    const { peer, relay, origin } = bytes;
    expect(peer > relay + origin, `${peer} bytes from peers, ${relay + origin} from elsewhere`);
  }
  if (name === "changed") {
    const { packed, artifact } = bytes;
    expect(packed < CHANGED_SHARE_MAX * artifact, `${packed} of ${artifact} bytes were packed`);
  }
  return problems;
}
