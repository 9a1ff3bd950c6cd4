// What a scenario may say, with its limits: a fleet, what is asked of it, and what breaks. Units stand in the
// names. Files are read elsewhere.
import { z } from "zod";

const share = z.number().min(0).max(1);
const seconds = z.number().min(0).max(86_400);
const count = (max: number) => z.int().min(1).max(max);
const mbit = z.number().min(1).max(400_000);

const fleet = z.strictObject({
  regions: count(64),
  machines: count(200_000),
  /** In each region. */
  relays: count(64),
  machine_mbit: mbit,
  relay_mbit: mbit,
  wan_mbit: mbit,
  /** Files are put together so fast. */
  disk_mb_s: z.number().min(10).max(10_000),
  /** Machines with a part of a NIC. */
  slow_share: share.default(0),
  slow_speed: z.number().min(0.01).max(1).default(0.1),
  /** Machines that give wrong bytes, lie or stall in the swarm. */
  hostile_share: share.default(0),
});

const load = z.strictObject({
  requests: count(20_000),
  /** They come over so long. */
  hours: z.number().min(0).max(48),
  /** The busiest hour over the mean. */
  peak: z.number().min(1).max(2),
  services: count(2_000),
});

const build = z.strictObject({
  workers: count(2_000),
  p50_s: seconds,
  p99_s: seconds,
  /** Commands that end with an error, which is the request's own fault. */
  failing_share: share,
  pack_mb_s: z.number().min(1).max(10_000),
});

const artifact = z.strictObject({
  bytes_p50: z.number().min(1).max(10e9),
  bytes_max: z.number().min(1).max(10e9),
  /** Share of a release that is new. */
  new_p50: share,
  new_p95: share,
});

const health = z.strictObject({
  p50_s: seconds,
  p99_s: seconds,
  within_s: z.number().min(1).max(3_600),
});

const wave = z.strictObject({ percent: z.number().gt(0).max(100), bake_s: seconds.default(0) });

const rollout = z.strictObject({
  waves: z.array(wave).min(1).max(32),
  failures_percent: z.number().min(0).max(100),
  max_unavailable_percent: z.number().min(0).max(100).default(0),
});

/** What stands for a swarm: its flow, or each piece, which takes long and is for one release. */
const swarm = z.enum(["flow", "pieces"]);

/** What is wrong with every release. */
const bad = z.enum(["nothing", "crashes", "hangs", "late"]);

const fault = z.strictObject({
  kind: z.enum([
    "leader-killed",
    "store-away",
    "relay-killed",
    "region-cut",
    "wan-cut",
    "worker-killed",
    "machines-killed",
    "agents-dropped",
  ]),
  /** From the beginning; or so often a day, when chance says. */
  at_s: seconds.optional(),
  per_day: z.number().gt(0).max(100_000).optional(),
  /** How long it lasts, where it passes; agents that are dropped reach no relay before. */
  for_s: seconds.default(0),
  /** Of all, machines or relays that are killed, or agents that are dropped. */
  share: share.optional(),
  /** Index of a region; left out: by chance. */
  region: z.int().min(0).max(63).optional(),
});

const slo = z.strictObject({
  minutes: z.number().gt(0).max(1_440),
  availability: share,
});

/** A scenario as written. */
export const scenarioSchema = z.strictObject({
  about: z.string().max(400),
  fleet,
  load,
  build,
  artifact,
  health,
  rollout,
  swarm: swarm.default("flow"),
  bad: bad.default("nothing"),
  /** A release that is bad late dies so long after it was healthy. */
  bad_after_s: seconds.default(600),
  faults: z.array(fault).max(64).default([]),
  slo: slo.default({ minutes: 30, availability: 0.999 }),
});

export type Scenario = z.output<typeof scenarioSchema>;
export type Fault = Scenario["faults"][number];
