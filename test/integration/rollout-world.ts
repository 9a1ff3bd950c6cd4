// A control plane's rollouts to test: the real store, fence, fleet, engine and gRPC server in this
// process, relays of our own, and releases put into the store as a build would.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { releaseOperations } from "../../controlplane/builds/release-index.ts";
import { createFleet } from "../../controlplane/fleet/fleet.ts";
import { Archive } from "../../controlplane/history/archive.ts";
import { Past } from "../../controlplane/history/past.ts";
import { nameStore } from "../../controlplane/leadership/store-name.ts";
import { createRollouts } from "../../controlplane/rollouts/rollouts.ts";
import { ShipRollout } from "../../controlplane/rollouts/ship-rollout.ts";
import {
  FleetServiceClient,
  FleetServiceService,
  type RelayHello,
  RelayServiceService,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { Release, type RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import {
  type Rollout,
  RolloutServiceClient,
  RolloutServiceService,
  RolloutState,
  StartRolloutRequest,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
import { startGrpcServer } from "../../runtime/grpc/server.ts";
import { formatAddress } from "../../runtime/listen-address.ts";
import { createLog } from "../../runtime/log.ts";
import { Health } from "../../runtime/program/health.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { Store } from "../../runtime/store/store.ts";
import { until } from "../lab/until.ts";
import { elected } from "./elected.ts";
import { straightTo } from "./relay-ways.ts";
import { TestRelay } from "./rollout-relay.ts";

const log = createLog("test");
log.level = process.env["MILLRACE_LOG"] ?? "fatal";

type Policy = Parameters<typeof RolloutPolicy.fromPartial>[0];

export class RolloutWorld {
  readonly root = mkdtempSync(join(tmpdir(), "millrace-rollouts-"));
  readonly relays: TestRelay[] = [];
  store!: Store;
  deposed: number | undefined;
  broken: unknown;
  address = "";
  #plane: Awaited<ReturnType<typeof startPlane>> | undefined;

  async start(): Promise<void> {
    this.#plane = await startPlane(this);
    this.store = this.#plane.store;
    this.address = this.#plane.address;
  }

  /** The control plane ends and another one, with a higher epoch, takes over. */
  async restart(): Promise<void> {
    await this.#plane?.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    for (const relay of this.relays) relay.stop();
    await this.#plane?.stop();
    rmSync(this.root, { recursive: true, force: true });
  }

  get plane() {
    if (this.#plane === undefined) throw new Error("not started");
    return this.#plane;
  }

  async addRelays(regions: number, machines: number): Promise<void> {
    for (let index = 0; index < regions; index += 1) {
      const region = `region-${index}`;
      this.relays.push(
        new TestRelay(
          `relay-${index}`,
          region,
          machines,
          straightTo(() => this.address),
        ),
      );
    }
    await until("relays", async () => {
      const { regions: known } = await call(this.plane.fleet, this.plane.fleet.listRegions, {});
      return known.length === regions && known.every(({ agents }) => agents === machines);
    });
  }

  get machines() {
    return this.relays.flatMap((relay) => relay.machines);
  }

  /** A release as a build would have committed it. */
  async release(service: string, name: string, policy: Policy): Promise<Release> {
    const release = releaseOf(service, name, policy);
    await this.store.transact({ compares: [], operations: releaseOperations(release) });
    return release;
  }

  async rollOut(release: Release, more: Partial<StartRolloutRequest> = {}): Promise<Rollout> {
    const { rollouts } = this.plane;
    const request = StartRolloutRequest.fromPartial({ release: release.sha, ...more });
    const { rollout } = await call(rollouts, rollouts.startRollout, request);
    return rollout as Rollout;
  }

  async get(id: string): Promise<Rollout> {
    const { rollouts } = this.plane;
    const { rollout } = await call(rollouts, rollouts.getRollout, { id });
    return rollout as Rollout;
  }

  /** Waits until the rollout is in the state, or has ended otherwise. */
  async reaches(id: string, name: keyof typeof STATES): Promise<Rollout> {
    let last: Rollout | undefined;
    await until(`rollout ${name}`, async () => {
      last = await this.get(id);
      return last.state === STATES[name] || last.endedAtMs !== 0;
    });
    if (last?.state !== STATES[name]) {
      throw new Error(`rollout is ${JSON.stringify(last, null, 1)}, expected ${name}`);
    }
    return last;
  }
}

const STATES = {
  waiting: RolloutState.ROLLOUT_STATE_WAITING,
  replicating: RolloutState.ROLLOUT_STATE_REPLICATING,
  activating: RolloutState.ROLLOUT_STATE_ACTIVATING,
  baking: RolloutState.ROLLOUT_STATE_BAKING,
  succeeded: RolloutState.ROLLOUT_STATE_SUCCEEDED,
  rolledBack: RolloutState.ROLLOUT_STATE_ROLLED_BACK,
  aborted: RolloutState.ROLLOUT_STATE_ABORTED,
  failed: RolloutState.ROLLOUT_STATE_FAILED,
} as const;

/** A release's record with names made from its own. */
export function releaseOf(service: string, name: string, policy: Policy): Release {
  const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
  const build = `b-${digest(`${service} ${name}`).slice(0, 16)}`;
  const pack = { pack: `${build}.1`, pieces: 4, bytes: 400, segments: 4 };
  return Release.fromPartial({
    release: digest(`release ${service} ${name}`),
    service,
    sha: digest(`sha ${service} ${name}`).slice(0, 40),
    build,
    createdAtMs: Date.now(),
    bytes: 1_000,
    packedBytes: 400,
    layout: { version: 1, packs: [pack] },
    rollout: policy,
  });
}

async function startPlane(world: RolloutWorld) {
  const store = await openStore(`sqlite:${join(world.root, "store.db")}`);
  const { fence, resign } = await elected(store, log);
  const onBehind = ({ epoch }: RelayHello): void => {
    world.deposed = epoch;
  };
  const onBroken = (error: unknown): void => {
    world.broken = error;
  };
  const now = monotonicNow;
  const storeName = await nameStore(store, fence);
  const fleet = await createFleet({ store, fence, storeName, log, now, onBehind });
  const origin = await openBlobStore(`file:${join(world.root, "origin")}`);
  const past = new Past(new Archive(origin));
  const rollouts = await createRollouts({ store, past, fence, fleet, log, now, onBroken });
  const overview = {
    builds: async () => ({ builds: [], workers: 0 }),
    rollouts: () => rollouts.glance(),
  };
  const server = await startGrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    services: [
      { definition: RolloutServiceService, implementation: rollouts.service },
      { definition: FleetServiceService, implementation: fleet.fleetService(overview) },
      { definition: RelayServiceService, implementation: fleet.relayService },
    ],
    health: new Health({}),
    log,
  });
  fleet.ready();
  const address = formatAddress(server.address);
  const clients = {
    rollouts: connect(RolloutServiceClient, address),
    fleet: connect(FleetServiceClient, address),
  };
  const stop = async (): Promise<void> => {
    for (const client of Object.values(clients)) client.close();
    rollouts.stop();
    fleet.close();
    await server.close();
    await resign();
    await store.close();
    await origin.close();
  };
  return {
    ...clients,
    store,
    fence,
    address,
    ship: new ShipRollout(store),
    packs: fleet.packFeed,
    stop,
  };
}
