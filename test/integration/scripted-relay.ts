// A relay that says only what a test has it say: a generated gRPC server for agents, and a real peer
// that seeds whole packs.

import { join } from "node:path";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { pino } from "pino";
import { WAVE_HASH_END } from "../../core/rollout/wave-hash.ts";
import {
  AgentServiceService,
  type Assignment,
  AssignmentPhase,
  type ConnectAgentRequest,
  type ConnectAgentResponse,
  FleetServiceService,
  ServicePhase,
  type ServiceStatus,
  type WaveRule,
} from "../../proto/gen/millrace/v1/fleet.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { type GrpcServer, startGrpcServer } from "../../runtime/grpc/server.ts";
import { formatAddress, parseAddress } from "../../runtime/listen-address.ts";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import { SwarmNode } from "../../runtime/peer/swarm-node.ts";
import { Health } from "../../runtime/program/health.ts";
import type { SealedPack } from "../../runtime/release/sealed-pack.ts";

const SILENT = pino({ level: "silent" });

type Command = NonNullable<ConnectAgentResponse["command"]>;
type Stream = ServerDuplexStream<ConnectAgentRequest, ConnectAgentResponse>;

/** How long anything that is waited for may take on a busy machine. */
const WAIT_MS_MAX = 60_000;
const LOOK_MS = 20;

const EVERYBODY: WaveRule = { threshold: WAVE_HASH_END - 1, regions: [], labels: {} };

type NameOf<Key> = Key extends `SERVICE_PHASE_${infer Name}` ? Name : never;
type PhaseName = NameOf<keyof typeof ServicePhase>;

export interface AssignOptions {
  readonly service: string;
  readonly rollout: string;
  readonly phase: "OPEN" | "FINAL" | "ROLLBACK" | "FROZEN";
  readonly release: Release | undefined;
  readonly fallback?: Release;
  readonly paused?: boolean;
  /** Of the leader whose word it is; 1 unless given. */
  readonly epoch?: number;
}

export class ScriptedRelay {
  readonly address: string;
  /** Where agents are told to find its pieces. */
  swarmAddress: string;
  /** Where the agent that connected last says its peers find it. */
  agentSwarmAddress = "";
  /** All statuses of one service, in the order they came. */
  readonly heard: ServiceStatus[] = [];
  readonly #folder: string;
  readonly #node: SwarmNode;
  readonly #packs = new Map<string, SealedPack>();
  readonly #stores: DiskPieceStore[] = [];
  readonly #snapshot = new Map<string, Command>();
  #server!: GrpcServer;
  #stream: Stream | undefined;
  #revision = 0;
  #permits = 0;

  static async start(folder: string): Promise<ScriptedRelay> {
    const node = await SwarmNode.listen({
      peerId: "relay-1",
      role: "relay",
      host: "127.0.0.1",
      port: 0,
    });
    const relay = new ScriptedRelay(folder, node);
    await relay.open("127.0.0.1:0");
    return relay;
  }

  private constructor(folder: string, node: SwarmNode) {
    this.#folder = folder;
    this.#node = node;
    this.swarmAddress = node.address;
    this.address = "";
  }

  /** Listens for agents. */
  async open(address = this.address): Promise<void> {
    this.#server = await startGrpcServer({
      address: parseAddress(address),
      log: SILENT,
      health: new Health({}),
      services: [
        {
          definition: AgentServiceService,
          implementation: { connectAgent: (stream: Stream) => this.#accept(stream) },
        },
        { definition: FleetServiceService, implementation: {} },
      ],
    });
    (this as { address: string }).address = formatAddress(this.#server.address);
  }

  /** Is gone for agents; its peer goes on. */
  async shut(): Promise<void> {
    this.#stream?.destroy();
    await this.#server.close();
  }

  async stop(): Promise<void> {
    await this.shut();
    await this.#node.close();
    await Promise.all(this.#stores.map((store) => store.close()));
  }

  get isConnected(): boolean {
    return this.#stream !== undefined;
  }

  /** Seeds a pack; `corrupt` changes a byte of every piece that is read from it. */
  async seed(pack: SealedPack): Promise<void> {
    const name = pack.seal.pack;
    const store = await DiskPieceStore.open(join(this.#folder, name));
    store.extend(pack.table.rows);
    for (let piece = 0; piece < pack.table.count; piece += 1) {
      const bytes = await pack.piece(piece);
      await store.write(piece, 0, bytes);
      await store.finish(piece);
    }
    this.#stores.push(store);
    this.#packs.set(name, pack);
    this.#node.join(name, store, []);
  }

  send(command: Command): void {
    this.#stream?.write({ command, permitBeside: undefined });
  }

  /** Says what should run, now and to whoever connects later. */
  assign(options: AssignOptions): void {
    this.#revision += 1;
    const { service, rollout, phase, release, fallback, paused = false, epoch = 1 } = options;
    const assignment: Assignment = {
      service,
      epoch,
      revision: this.#revision,
      rollout,
      release,
      fallback,
      targets: {},
      excludedRegions: [],
      phase: AssignmentPhase[`ASSIGNMENT_PHASE_${phase}`],
      waves: [EVERYBODY],
      paused,
      traceparent: "",
      superseded: false,
      urgent: false,
      keepReleases: 0,
      signature: Buffer.alloc(0),
    };
    const { revision } = assignment;
    const assignments = { service, assignments: [assignment], epoch, revision };
    const command: Command = { $case: "assignments", assignments };
    this.#snapshot.set(service, command);
    this.send(command);
  }

  permit(service: string, rollout: string, release: string, epoch = 1): void {
    this.#permits += 1;
    const id = `permit-${this.#permits}`;
    const permit = { id, service, rollout, epoch, wave: 0, ttlMs: 60_000, release };
    this.send({ $case: "permit", permit });
  }

  /** The first status from `from` on that fits; rejects with the last one when none comes in time. */
  async status(
    what: string,
    fits: (status: ServiceStatus) => boolean,
    from = 0,
  ): Promise<ServiceStatus> {
    const endsAt = performance.now() + WAIT_MS_MAX;
    for (;;) {
      const found = this.heard.slice(from).find(fits);
      if (found !== undefined) return found;
      if (performance.now() > endsAt) {
        throw new Error(`no status: ${what}; last was ${JSON.stringify(this.heard.at(-1))}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Waits for a phase of a release, from `from` on. */
  phase(phase: PhaseName, release: string, from = 0): Promise<ServiceStatus> {
    const wanted = ServicePhase[`SERVICE_PHASE_${phase}` as keyof typeof ServicePhase];
    const fits = (status: ServiceStatus): boolean =>
      status.phase === wanted && status.release === release;
    return this.status(`${phase} ${release}`, fits, from);
  }

  #accept(stream: Stream): void {
    stream.on("data", ({ message }: ConnectAgentRequest) => {
      switch (message?.$case) {
        case "hello":
          this.#stream = stream;
          this.agentSwarmAddress = message.hello.swarmAddress;
          this.heard.push(...message.hello.services);
          this.#welcome();
          break;
        case "status":
          this.heard.push(message.status);
          break;
        case "swarm":
          if (message.swarm.joined) this.#introduce(message.swarm.pack);
          break;
      }
    });
    const gone = (): void => {
      if (this.#stream === stream) this.#stream = undefined;
    };
    stream.on("error", gone);
    stream.on("cancelled", gone);
    stream.on("end", () => {
      gone();
      stream.end();
    });
  }

  #welcome(): void {
    const { swarmAddress } = this;
    this.send({
      $case: "welcome",
      welcome: { relay: "relay-1", region: "eu", swarmAddress, relays: [] },
    });
    for (const command of this.#snapshot.values()) this.send(command);
    this.send({ $case: "snapshotEnd", snapshotEnd: { epoch: 1 } });
  }

  #introduce(pack: string): void {
    const sealed = this.#packs.get(pack);
    if (sealed === undefined) return;
    const table = Buffer.from(sealed.table.rows);
    this.send({ $case: "rows", rows: { pack, firstPiece: 0, table, sealed: true } });
    const neighbour = { peer: "relay-1", address: this.swarmAddress, relay: true, callable: false };
    this.send({ $case: "neighbours", neighbours: { pack, neighbours: [neighbour] } });
  }
}
