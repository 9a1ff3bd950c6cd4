// `node simulator/main.ts [flags]`: one broadcast in virtual time, or with `--several` several at once on the
// same hosts, its figures as one line of JSON.
import { parseArgs } from "node:util";
import { Broadcast, REGION, SHAPED } from "./broadcast.ts";
import { FIVE, severalBroadcasts } from "./several-broadcasts.ts";

const { values } = parseArgs({
  options: {
    region: { type: "boolean", default: false },
    several: { type: "boolean", default: false },
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
} else {
  const plan = changed(values.region ? REGION : SHAPED, values.set);
  console.log(JSON.stringify({ plan, report: new Broadcast(plan).run() }));
}
