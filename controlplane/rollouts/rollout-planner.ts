// What a rollout would do, without doing it: the machines it would reach by region, the sizes of its
// waves, the bytes its regions lack, and the revision to start with.

import { oneAtATime } from "../../core/diagnosis/work-checks.ts";
import { settledRelease } from "../../core/rollout/assignment-rules.ts";
import { waveSize } from "../../core/rollout/bounds.ts";
import { newRolloutRow } from "../../core/rollout/rollout-row.ts";
import type { Labels } from "../../core/rollout/targets.ts";
import { WAVE_HASH_END } from "../../core/rollout/wave-hash.ts";
import type { CensusAnswer } from "../../proto/gen/millrace/v1/fleet.ts";
import type {
  PlanRolloutRequest,
  PlanRolloutResponse,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Store } from "../../runtime/store/store.ts";
import { requireRelease } from "../builds/release-index.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { RelaySession } from "../fleet/relay-hub.ts";
import { requireFooting } from "../garbage/pack-mark-row.ts";
import { parseAssignments } from "./assignment-list.ts";
import { LiveProgress } from "./live-progress.ts";
import { standing } from "./new-rollout.ts";
import { estimatePlan } from "./plan-estimate.ts";
import { checkedPolicy, checkRegions } from "./rollout-policy.ts";

/** A relay counts from memory. */
const ANSWER_MS_MAX = 2_000;

interface Question {
  readonly relays: readonly string[];
  readonly targets: Labels;
  readonly regions: readonly string[];
  readonly labels: Labels;
}

export class RolloutPlanner {
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #pending = new Map<string, (relay: string, answer: CensusAnswer) => void>();
  #query = 0;

  constructor(store: Store, fleet: Fleet) {
    this.#store = store;
    this.#fleet = fleet;
    fleet.hub.listen({
      relayJoined: () => {},
      relayLost: () => {},
      relayReported: () => {},
      censusAnswered: ({ relay }, answer) => this.#pending.get(answer.rollout)?.(relay, answer),
    });
  }

  /** Throws INVALID_ARGUMENT, NOT_FOUND, or UNAVAILABLE where a relay does not answer. */
  async plan(request: PlanRolloutRequest): Promise<PlanRolloutResponse> {
    const { hub, tracker } = this.#fleet;
    checkRegions("excluded_regions", request.excludedRegions);
    const release = await requireRelease(this.#store, request.release, request.service);
    await requireFooting(this.#store, release);
    const policy = checkedPolicy(request.policy ?? release.rollout);
    const { active, assignments, revision } = await standing(this.#store, release.service);
    const { targets } = policy;
    const { excludedRegions } = request;
    const list = parseAssignments(assignments);
    const current = settledRelease(list, { targets, excludedRegions });
    const included = hub.sessions.filter(({ region }) => !excludedRegions.includes(region));
    const all = await this.#count(included, { targets, regions: [], labels: {} });
    const waveSizes: number[] = [];
    for (const { percent, regions, labels } of policy.waves) {
      const asked = included.filter(
        ({ region }) => regions.length === 0 || regions.includes(region),
      );
      const counts = await this.#count(asked, { targets, regions, labels });
      waveSizes.push(
        waveSize(
          percent,
          [...counts.values()].reduce((a, b) => a + b, 0),
        ),
      );
    }
    const shown = { release, previous: current, policy, excludedRegions };
    const record = { ...shown, ...UNWRITTEN, service: release.service };
    const matching = [...all.values()].reduce((sum, count) => sum + count, 0);
    const slow = oneAtATime(policy.failuresPercent, matching);
    const regions = new LiveProgress().regions(record, hub, tracker).map((region) => {
      const here = included.filter((session) => session.region === region.region);
      const matching = here.reduce((sum, { relay }) => sum + (all.get(relay) ?? 0), 0);
      return { ...region, matching };
    });
    const noChange = active === undefined && current?.release === release.release;
    const relays = countBy(included, ({ region }) => region);
    const { rates } = request;
    const estimated = noChange
      ? undefined
      : estimatePlan({ record, regions, relays, waveSizes, rates });
    return {
      release,
      currentRelease: current?.release ?? "",
      currentSha: current?.sha ?? "",
      regions,
      waveSizes,
      openRollout: active === undefined ? "" : new TextDecoder().decode(active.value),
      revision,
      warnings: [...(slow === undefined ? [] : [slow]), ...(estimated?.warnings ?? [])],
      noChange,
      estimate: estimated?.estimate,
    };
  }

  /** Machines by relay. */
  async #count(
    sessions: readonly RelaySession[],
    rule: Omit<Question, "relays">,
  ): Promise<Map<string, number>> {
    const relays = sessions.map(({ relay }) => relay);
    const counts = new Map<string, number>();
    if (relays.length === 0) return counts;
    this.#query += 1;
    const query = this.#query;
    const rollout = `plan-${query}`;
    const isWhole = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ANSWER_MS_MAX);
      this.#pending.set(rollout, (relay, { total }) => {
        counts.set(relay, total);
        if (counts.size < relays.length) return;
        clearTimeout(timer);
        resolve(true);
      });
      const { targets, regions, labels } = rule;
      const wire = { threshold: WAVE_HASH_END, regions: [...regions], labels: { ...labels } };
      const window = { low: 0, high: WAVE_HASH_END, targets: { ...targets }, rule: wire };
      const census = { rollout, wave: 0, ...window, query };
      for (const relay of relays) this.#fleet.hub.send(relay, { $case: "census", census });
    });
    this.#pending.delete(rollout);
    if (isWhole) return counts;
    const silent = relays.filter((relay) => !counts.has(relay)).join(", ");
    throw unavailable(`no answer from ${silent} within ${ANSWER_MS_MAX} ms; try again`);
  }
}

function countBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

/** The fields of a record that a plan has no use for. */
const UNWRITTEN = {
  id: "",
  build: "",
  supersede: false,
  traceparent: "",
  createdAtMs: 0,
  updatedAtMs: 0,
  endedAtMs: 0,
  row: newRolloutRow(false),
  regions: [],
  failing: [],
} as const;
