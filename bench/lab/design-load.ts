// The load that the store is sized for: 100 workers with a build each, 10 regions of 2 relays, 1,000 agents that
// run 10 services, and a rollout of each of these at any time.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { call } from "../../runtime/grpc/client.ts";
import type { Store } from "../../runtime/store/store.ts";
import {
  type ControlPlane,
  startControlPlane,
} from "../../test/integration/controlplane-process.ts";
import { submit } from "../../test/integration/queue-system.ts";
import { straightTo } from "../../test/integration/relay-ways.ts";
import { until } from "../../test/lab/until.ts";
import { RelayOfServices } from "./relay-of-services.ts";
import { VirtualWorkers } from "./virtual-workers.ts";
import { whileAway } from "./while-away.ts";
import { WriteCounter } from "./write-counter.ts";

const WORKERS = 100;
const REGIONS = 10;
const RELAYS_A_REGION = 2;
const AGENTS_A_RELAY = 50;
const SERVICES = Array.from({ length: 10 }, (_, index) => `service-${index}`);
const BUILD_MS = 15 * 60_000;
const PACE = { reportMs: 1_000, stepMs: 2_000 };
const POLICY = {
  // So that the tenth below is what may be out at a time.
  failuresPercent: 100,
  maxUnavailablePercent: 10,
  waves: [
    { percent: 1, bakeMs: 5_000 },
    { percent: 10, bakeMs: 5_000 },
    { percent: 100, bakeMs: 0 },
  ],
};
/** The release of each service are made and all relays there before anything is counted. */
const SETTLED_MS = 5_000;

/** What a benchmark's control plane stands on. */
export interface Ground {
  readonly root: string;
  readonly url: string;
  readonly store: Store;
  readonly origin: BlobStore;
  readonly say: (text: string) => void;
}

/** Writes in the worst second, and on average; rollouts that ended meanwhile. */
export interface LoadFigures {
  readonly perSecondMax: number;
  readonly perSecond: number;
  readonly rollouts: number;
}

/** Puts a control plane under the load for so long, and counts its writes. */
export async function underDesignLoad(ground: Ground, seconds: number): Promise<LoadFigures> {
  const plane = await startControlPlane(ground.root, { store: ground.url });
  try {
    return await counted(plane, ground, seconds);
  } finally {
    await plane.end("SIGKILL");
  }
}

async function counted(plane: ControlPlane, ground: Ground, seconds: number): Promise<LoadFigures> {
  const shas = new Map(SERVICES.map((service): [string, string[]] => [service, []]));
  const stop = new AbortController();
  const prepare = workers(
    plane,
    ground,
    () => 0,
    (service, sha) => shas.get(service)?.push(sha),
  );
  for (const service of [...SERVICES, ...SERVICES]) await submitOf(plane, service);
  await until("two releases of each service", () =>
    [...shas.values()].every(({ length }) => length === 2),
  );
  await prepare.stop();
  const relays = startRelays(plane);
  // Each worker is somewhere in its build, and the next one takes its whole time.
  const remaining = (worker: number, nth: number): number =>
    nth === 0 ? ((worker + 0.5) / WORKERS) * BUILD_MS : BUILD_MS;
  const any = (): string => SERVICES[Math.floor(Math.random() * SERVICES.length)] as string;
  const building = workers(plane, ground, remaining, () => void submitOf(plane, any()));
  for (let count = 0; count < WORKERS; count += 1) await submitOf(plane, any());
  await until("all workers to be busy", () => building.busy === WORKERS);
  let rollouts = 0;
  const rolling = SERVICES.map(async (service) => {
    for (let nth = 0; !stop.signal.aborted; nth += 1) {
      await rollOut(plane, shas.get(service)?.[nth % 2] ?? "", stop.signal);
      if (!stop.signal.aborted) rollouts += 1;
    }
  });
  await sleep(SETTLED_MS);
  const counter = new WriteCounter(ground.store);
  for (let second = 0; second < seconds; second += 10) {
    await sleep(Math.min(10, seconds - second) * 1_000);
    ground.say(
      `${counter.perSecond.toFixed(1)} writes/s, at most ${counter.perSecondMax}; rollouts ended: ${rollouts}`,
    );
  }
  await counter.stop();
  stop.abort();
  await Promise.all(rolling);
  await building.stop();
  for (const relay of relays) relay.stop();
  const { perSecondMax, perSecond } = counter;
  return { perSecondMax, perSecond, rollouts };
}

function workers(
  plane: ControlPlane,
  { origin }: Ground,
  buildMs: (worker: number, nth: number) => number,
  onEnded: (service: string, sha: string) => void,
): VirtualWorkers {
  const serviceOf = (repository: string): string => repository.split("/").at(-1) ?? "";
  return new VirtualWorkers({ plane, origin, count: WORKERS, buildMs, serviceOf, onEnded });
}

async function submitOf(plane: ControlPlane, service: string): Promise<void> {
  await submit(plane, { repository: `https://git.invalid/${service}` });
}

function startRelays({ address }: ControlPlane): RelayOfServices[] {
  return Array.from({ length: REGIONS * RELAYS_A_REGION }, (_, index) => {
    const region = `region-${index % REGIONS}`;
    return new RelayOfServices({
      id: `relay-${index}`,
      region,
      services: SERVICES,
      machines: AGENTS_A_RELAY,
      pace: PACE,
      open: straightTo(() => address),
    });
  });
}

async function rollOut(plane: ControlPlane, release: string, stop: AbortSignal): Promise<void> {
  const { rollouts } = plane;
  const idempotencyKey = randomBytes(8).toString("hex");
  const request = StartRolloutRequest.fromPartial({ release, idempotencyKey, policy: POLICY });
  const id = await whileAway(async () => {
    const { rollout } = await call(rollouts, rollouts.startRollout, request);
    return rollout?.id;
  });
  while (!stop.aborted) {
    await sleep(PACE.reportMs);
    const now = await whileAway(() => call(rollouts, rollouts.getRollout, { id: id ?? "" }));
    if (now?.rollout?.endedAtMs !== 0) return;
  }
}
