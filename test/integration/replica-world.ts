// Replicas of the control plane as processes on one real etcd, and relays of our own that find the leader with
// the relay program's link: to be killed, stopped and asked while rollouts and builds go on.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceError, status } from "@grpc/grpc-js";
import { releaseOperations } from "../../controlplane/builds/release-index.ts";
import type { Leader } from "../../proto/gen/millrace/v1/leadership.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { Store } from "../../runtime/store/store.ts";
import { type Etcd, type EtcdOptions, startEtcd } from "../lab/etcd.ts";
import { until } from "../lab/until.ts";
import { type ControlPlane, startControlPlane } from "./controlplane-process.ts";
import { followingLeader, type LinkNotes } from "./relay-ways.ts";
import { TestRelay } from "./rollout-relay.ts";

export interface ReplicaOptions {
  readonly address: string;
  readonly store: string;
  readonly flags: readonly string[];
}

/** A world; `addReplica` and `addRelays` fill it. */
export class ReplicaWorld {
  readonly root = mkdtempSync(join(tmpdir(), "millrace-replicas-"));
  readonly etcd: Etcd;
  readonly url: string;
  /** The store that the replicas share, reached directly. */
  readonly store: Store;
  readonly replicas: ControlPlane[] = [];
  readonly relays: TestRelay[] = [];
  readonly links: LinkNotes[] = [];

  private constructor(etcd: Etcd, url: string, store: Store) {
    this.etcd = etcd;
    this.url = url;
    this.store = store;
  }

  static async start(options: EtcdOptions = {}): Promise<ReplicaWorld> {
    const etcd = await startEtcd(options);
    const url = `etcd://${etcd.hosts}`;
    return new ReplicaWorld(etcd, url, await openStore(url));
  }

  /** Starts a replica, on a free port and with the way to etcd that all have unless others are given. */
  async addReplica({
    address = "127.0.0.1:0",
    store = this.url,
    flags = [],
  }: Partial<ReplicaOptions> = {}): Promise<ControlPlane> {
    const options = { store, flags: ["--listen", address, ...flags] };
    const replica = await startControlPlane(this.root, options);
    this.replicas.push(replica);
    return replica;
  }

  /** Relays with so many machines each, in a region of their own; resolves when all are connected. */
  async addRelays(count: number, machines: number): Promise<void> {
    const addresses = this.replicas.map(({ address }) => address);
    for (let index = 0; index < count; index += 1) {
      const way = followingLeader(addresses, (notes) => this.links.push(notes));
      this.relays.push(new TestRelay(`relay-${index}`, `region-${index}`, machines, way));
    }
    await until("the relays", async () => {
      const { fleet } = this.any;
      const { regions } = await call(fleet, fleet.listRegions, {});
      return regions.length === count && regions.every(({ agents }) => agents === machines);
    });
  }

  /** Some replica, for calls that any answers. */
  get any(): ControlPlane {
    return this.replicas.at(-1) as ControlPlane;
  }

  get machines() {
    return this.relays.flatMap((relay) => relay.machines);
  }

  /** Epochs that some relay obeyed after another relay had heard of the next one. */
  get obeyedLate(): readonly number[] {
    const epochs = [...new Set(this.links.flatMap(({ obeyed }) => [...obeyed.keys()]))];
    return epochs.filter((epoch) => {
      const last = Math.max(...this.links.map(({ obeyed }) => obeyed.get(epoch) ?? 0));
      return this.links.some((link) =>
        [...link.epochs].some(([next, firstAt]) => next > epoch && firstAt < last),
      );
    });
  }

  /** Who leads by the word of `asked`, once it has an epoch above `epoch`. */
  async leader(asked: ControlPlane, epoch = 0): Promise<{ leader: Leader; replica: ControlPlane }> {
    const { leadership } = asked;
    const leader = await until("a leader", async () => {
      const answer = await call(leadership, leadership.getLeader, {});
      return answer.leader !== undefined && answer.leader.epoch > epoch && answer.leader;
    });
    const replica = this.replicas.find(({ id }) => id === leader.replica);
    assert.ok(replica !== undefined, `${leader.replica} is a replica`);
    return { leader, replica };
  }

  /** A replica that is not this one. */
  other(than: ControlPlane): ControlPlane {
    return this.replicas.find((one) => one !== than && !this.#gone.has(one)) as ControlPlane;
  }

  readonly #gone = new Set<ControlPlane>();

  async kill(replica: ControlPlane): Promise<void> {
    this.#gone.add(replica);
    await replica.end("SIGKILL");
  }

  /** Puts a release as a build would have. */
  async hold(release: Release): Promise<void> {
    await this.store.transact({ compares: [], operations: releaseOperations(release) });
  }

  /** Puts a release and starts its rollout through a replica, by a key of its own; asked until there is a leader. */
  async rollOut(through: ControlPlane, release: Release): Promise<string> {
    await this.hold(release);
    const { rollouts } = through;
    const idempotencyKey = randomBytes(8).toString("hex");
    const request = StartRolloutRequest.fromPartial({ release: release.sha, idempotencyKey });
    // While leaders change a call is answered UNAVAILABLE, and is asked again.
    const started = async () => {
      try {
        return await call(rollouts, rollouts.startRollout, request);
      } catch (error) {
        if ((error as ServiceError).code !== status.UNAVAILABLE) throw error;
        return undefined;
      }
    };
    const { rollout } = await until("a rollout to begin", started);
    return rollout?.id ?? "";
  }

  async stop(): Promise<void> {
    for (const relay of this.relays) relay.stop();
    await Promise.all(this.replicas.map((one) => one.end("SIGKILL")));
    await this.store.close();
    await this.etcd.dispose();
    rmSync(this.root, { recursive: true, force: true });
  }
}
