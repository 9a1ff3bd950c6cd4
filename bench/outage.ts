// All of etcd away for half a minute under a whole cluster of real programs, in the middle of a rollout and a build:
// stopped, and killed. What counts is that both end well, each once, and that no service is started anew; the time
// is from etcd's return to a leader. `--seconds 30`.
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ClusterWorld } from "../test/integration/cluster-world.ts";
import { printFigures } from "./lab/figures.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "30" },
  },
});
const seconds = Number(values.seconds);
const world = await ClusterWorld.start();
let restarted = 0;
const ledAgain: number[] = [];
try {
  for (const how of ["stopped", "killed"] as const) ledAgain.push(await away(how));
} finally {
  await world.stop();
}
const [stopped_led_again_s = 0, killed_led_again_s = 0] = ledAgain;
printFigures("outage", {
  etcd_away_s: seconds,
  restarted,
  stopped_led_again_s,
  killed_led_again_s,
});

/** Seconds without a leader once etcd is back; throws where a rollout or build is lost or done twice. */
async function away(how: "stopped" | "killed"): Promise<number> {
  const { members } = world.etcd;
  const { leader: before } = await world.leader();
  const work = await world.begin();
  const answers = await world.answers();
  await Promise.all(
    members.map((member) => (how === "stopped" ? member.stall(true) : member.stop("SIGKILL"))),
  );
  await sleep(seconds * 1_000);
  restarted += await world.startedAnew(answers);
  await Promise.all(
    members.map((member) => (how === "stopped" ? member.stall(false) : member.start())),
  );
  const backAt = performance.now();
  for (;;) {
    const { leader } = await world.leader();
    if (leader.epoch > before.epoch) break;
  }
  const led = (performance.now() - backAt) / 1_000;
  await work.end();
  return led;
}
