// `node simulator/main.ts [flags]`: one broadcast in virtual time, its figures as one line of JSON.
import { parseArgs } from "node:util";
import { Broadcast, type BroadcastPlan, REGION, SHAPED } from "./broadcast.ts";

const { values } = parseArgs({
  options: {
    region: { type: "boolean", default: false },
    set: { type: "string", multiple: true, default: [] },
  },
});

/** `--set mbit=1000` changes one number of the plan. */
function changed(plan: BroadcastPlan, changes: readonly string[]): BroadcastPlan {
  const numbers = changes.map((change) => {
    const [name = "", value = ""] = change.split("=");
    if (typeof plan[name as keyof BroadcastPlan] !== "number" || !Number.isFinite(Number(value))) {
      throw new Error(`--set ${change}: no such number in the plan`);
    }
    return [name, Number(value)] as const;
  });
  return { ...plan, ...Object.fromEntries(numbers) };
}

const plan = changed(values.region ? REGION : SHAPED, values.set);
console.log(JSON.stringify({ plan, report: new Broadcast(plan).run() }));
