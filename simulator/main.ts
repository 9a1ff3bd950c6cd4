// `node simulator/main.ts [flags]`: one broadcast in virtual time, with `--several` several at once on the
// same hosts, with `--release` one to a whole fleet on `--workers` threads; its figures as one line of JSON.
import { parseArgs } from "node:util";
import { Broadcast, REGION, SHAPED } from "./broadcast.ts";
import { releaseBroadcast } from "./release-broadcast.ts";
import { RELEASE } from "./release-plan.ts";
import { FIVE, severalBroadcasts } from "./several-broadcasts.ts";

const { values } = parseArgs({
  options: {
    region: { type: "boolean", default: false },
    several: { type: "boolean", default: false },
    release: { type: "boolean", default: false },
    workers: { type: "string", default: "2" },
    set: { type: "string", multiple: true, default: [] },
  },
});

/** `--set mbit=1000` changes one number of the plan. */
function changed<Plan extends object>(plan: Plan, changes: readonly string[]): Plan {
  const numbers = changes.map((change) => {
    const [name = "", value = ""] = change.split("=");
    if (typeof plan[name as keyof Plan] !== "number" || !Number.isFinite(Number(value))) {
      throw new Error(`--set ${change}: no such number in the plan`);
    }
    return [name, Number(value)] as const;
  });
  return { ...plan, ...Object.fromEntries(numbers) };
}

if (values.several) {
  const plan = changed(FIVE, values.set);
  const { ratios, busy, atFirst } = severalBroadcasts(plan);
  console.log(JSON.stringify({ plan, report: { ratios, busy, atFirst } }));
} else if (values.release) {
  const plan = changed(RELEASE, values.set);
  const { regions, ...report } = await releaseBroadcast(plan, { workers: Number(values.workers) });
  const bytes = regions.map((region) => region.bytes);
  console.log(JSON.stringify({ plan, report: { ...report, bytes } }));
} else {
  const plan = changed(values.region ? REGION : SHAPED, values.set);
  console.log(JSON.stringify({ plan, report: new Broadcast(plan).run() }));
}
