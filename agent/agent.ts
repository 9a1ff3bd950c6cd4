// The agent: hands what its relay says to whom it concerns, and says how its services stand. It
// decides nothing; each service has a machine that does.
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { KnownRelay } from "../core/fleet/agent-relay-choice.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  AgentHello,
  PeerSignal,
  ServiceAssignments,
  ServiceStatus,
} from "../proto/gen/millrace/v1/fleet.ts";
import { RelaySession } from "../runtime/agent/relay-session.ts";
import type { RelayCommand } from "../runtime/agent/relay-ways.ts";
import type { Log } from "../runtime/log.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { readJson, writeJson } from "../runtime/program/json-file.ts";
import { type Drain, endedOr } from "../runtime/program/lifecycle.ts";
import { UrgentPacks } from "../runtime/release/urgent-packs.ts";
import { gauge } from "../runtime/telemetry.ts";
import { VERSION } from "../runtime/version.ts";
import type { WebRtcTransport } from "../runtime/webrtc/web-rtc-transport.ts";
import { DiskBudget } from "./disk-budget.ts";
import { Prefetch } from "./prefetch.ts";
import { removeTree } from "./remove-tree.ts";
import { ServiceRunner } from "./service-runner.ts";
import { PackShelf } from "./swarm/pack-shelf.ts";

/** Services of one machine; the relay takes no more. */
const SERVICES_MAX = 200;

export interface AgentOptions {
  readonly root: string;
  readonly candidate: Candidate;
  readonly join: readonly string[];
  readonly node: SwarmNode;
  /** Takes calls of peers that TCP does not lead to. */
  readonly calls?: WebRtcTransport;
  readonly pieceCacheBytes: number;
  /** What releases and pieces may take; 0: no limit. */
  readonly diskBudgetBytes: number;
  readonly keepReleases: number;
  readonly log: Log;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #boot = randomBytes(8).toString("hex");
  readonly #startedAtMs = Date.now();
  readonly #urgent = new UrgentPacks();
  readonly #shelf: PackShelf;
  readonly #budget: DiskBudget;
  readonly #prefetch: Prefetch;
  readonly #session: RelaySession;
  readonly #services = new Map<string, ServiceRunner>();
  /** Set while a service's runner starts, so that what concerns it waits. */
  readonly #starting = new Map<string, Promise<void>>();
  #isStopping = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { root, candidate, join: addresses, node, log } = options;
    mkdirSync(root, { recursive: true });
    this.#shelf = new PackShelf({
      folder: join(root, ".packs"),
      node,
      isUrgent: (pack) => this.#urgent.has(pack),
      budgetBytes: options.pieceCacheBytes,
      log,
      announce: (pack, joined, hungry) => {
        this.#session.send({ $case: "swarm", swarm: { pack, joined, hungry } });
      },
    });
    this.#budget = new DiskBudget({
      budgetBytes: options.diskBudgetBytes,
      shelf: this.#shelf,
      services: () => this.#services.values(),
      log,
      onChange: () => this.#tellAll(),
    });
    this.#prefetch = new Prefetch(this.#shelf, this.#urgent, candidate, log);
    this.#session = new RelaySession({
      agentId: candidate.agentId,
      region: candidate.region,
      join: addresses,
      known: readJson<KnownRelay[]>(join(root, "relays.json")) ?? [],
      hello: (connect, relayBefore) => this.#hello(connect, relayBefore),
      onCommand: (command) => this.#hear(command),
      onRelays: (relays) => this.#rememberRelays(relays),
      log,
    });
  }

  /** Looks after the services that are on disk, then finds a relay and stays with it. */
  async start(): Promise<void> {
    const { root, log } = this.#options;
    void removeTree(join(root, ".trash")).catch((error: unknown) => {
      log.warn({ err: error }, "trash not deleted");
    });
    for (const entry of readdirSync(root, { withFileTypes: true })) {
      if (entry.isDirectory() && !entry.name.startsWith(".")) await this.#runner(entry.name);
    }
    this.#shelf.reopen();
    this.#measure();
    void this.#session.run();
  }

  /** Hands the relay a step of a call; lost where no relay listens now. */
  signal(signal: PeerSignal): void {
    this.#session.send({ $case: "signal", signal });
  }

  /** Whether a relay has welcomed this agent and still listens. */
  get isWelcome(): boolean {
    return this.#session.isWelcome;
  }

  /** Begins nothing new, ends the switches that are under way, leaves relay and swarms; services run on unless told. */
  async stop(stopServices: boolean, { over }: Drain): Promise<void> {
    this.#isStopping = true;
    const settling = [...this.#services.values()].map((service) => service.settled());
    await endedOr(over, Promise.all(settling));
    this.#session.close();
    this.#budget.stop();
    await Promise.all([...this.#services.values()].map((service) => service.stop(stopServices)));
    await this.#shelf.close();
    await this.#options.node.close();
  }

  #measure(): void {
    const connected = (): number => Number(this.#session.isWelcome);
    gauge("millrace.agent.connected", "1 where a relay has it, else 0", connected);
    gauge("millrace.agent.services", "Services by phase", () => this.#phases(), "{service}");
  }

  /** Services by what each does. */
  #phases(): [number, { phase: string }][] {
    const counts = new Map<string, number>();
    for (const { phase } of this.#services.values()) {
      counts.set(phase, (counts.get(phase) ?? 0) + 1);
    }
    return [...counts].map(([phase, count]) => [count, { phase }]);
  }

  #hear(command: RelayCommand): void {
    if (this.#isStopping) return;
    switch (command.$case) {
      case "welcome":
        this.#prefetch.snapshotBegun();
        this.#shelf.announceAll();
        break;
      case "assignments":
        this.#assigned(command.assignments);
        break;
      case "permit": {
        const { service } = command.permit;
        this.#with(service, (runner) => runner.permitted(command.permit));
        break;
      }
      case "order":
        this.#prefetch.ordered(command.order);
        break;
      case "orderEnded":
        this.#prefetch.ended(command.orderEnded);
        break;
      case "rows":
        this.#shelf.addRows(command.rows.pack, command.rows.firstPiece, command.rows.table);
        break;
      case "neighbours": {
        const { pack, neighbours } = command.neighbours;
        const peers = neighbours.map(({ peer, address, relay, callable }) => ({
          peerId: peer,
          address,
          isCallable: callable,
          role: relay ? ("relay" as const) : ("agent" as const),
        }));
        this.#shelf.introduce(pack, peers);
        break;
      }
      case "signal":
        this.#options.calls?.heard(command.signal);
        break;
      case "snapshotEnd":
        this.#prefetch.snapshotEnded();
        break;
      case "reconnect":
        break;
      default:
        command satisfies never;
    }
  }

  #assigned(message: ServiceAssignments): void {
    const { service } = message;
    const { log } = this.#options;
    if (!this.#services.has(service) && !this.#starting.has(service)) {
      if (message.assignments.length === 0) return;
      if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(service)) {
        log.warn({ service }, "assignments of a service with a bad name");
        return;
      }
      if (this.#services.size + this.#starting.size >= SERVICES_MAX) {
        log.error({ service }, `not taken: ${SERVICES_MAX} services are the limit of a machine`);
        return;
      }
      this.#runner(service).catch((error: unknown) => {
        log.error({ service, err: error }, "the service's folder cannot be used");
      });
    }
    this.#urgent.assigned(message);
    this.#shelf.urgencyChanged();
    this.#with(service, (runner) => runner.assigned(message));
  }

  async #runner(service: string): Promise<void> {
    const { root, candidate, keepReleases, log } = this.#options;
    const begin = async (): Promise<void> => {
      const runner = new ServiceRunner({
        service,
        root,
        candidate,
        shelf: this.#shelf,
        keepReleases,
        log,
        changed: (status) => {
          this.#session.send({ $case: "status", status: this.#withTrouble(status) });
          this.#budget.look();
        },
      });
      await runner.start();
      this.#services.set(service, runner);
    };
    const begun = begin();
    this.#starting.set(service, begun);
    try {
      await begun;
    } finally {
      this.#starting.delete(service);
    }
  }

  /** Does something with a service's runner, after it has started. */
  #with(service: string, use: (runner: ServiceRunner) => void): void {
    const safely = (): void => {
      const runner = this.#services.get(service);
      if (runner === undefined) return;
      try {
        use(runner);
      } catch (error) {
        this.#options.log.warn({ service, err: error }, "the relay told something unusable");
      }
    };
    const starting = this.#starting.get(service);
    if (starting === undefined) safely();
    else starting.then(safely, () => {});
  }

  #statuses(): ServiceStatus[] {
    const statuses = [...this.#services.values()].flatMap((runner) => runner.status() ?? []);
    return statuses.map((status) => this.#withTrouble(status));
  }

  #tellAll(): void {
    for (const status of this.#statuses()) this.#session.send({ $case: "status", status });
  }

  /** A disk that is too small for what is needed shows wherever there is no other error. */
  #withTrouble(status: ServiceStatus): ServiceStatus {
    return { ...status, error: status.error || this.#budget.trouble };
  }

  #hello(connect: number, relayBefore: string): AgentHello {
    const { candidate, root, node, calls } = this.#options;
    return {
      agent: candidate.agentId,
      boot: this.#boot,
      connect,
      region: candidate.region,
      labels: { ...candidate.labels },
      swarmAddress: node.address,
      version: VERSION,
      services: this.#statuses(),
      startedAtMs: this.#startedAtMs,
      root,
      callable: calls !== undefined,
      earlyPermits: true,
      relayBefore,
    };
  }

  #rememberRelays(relays: readonly KnownRelay[]): void {
    const known = relays.map(({ id, address, agents, capacity }) => {
      return { id, address, agents, capacity };
    });
    try {
      writeJson(join(this.#options.root, "relays.json"), known);
    } catch (error) {
      this.#options.log.warn({ err: error }, "relays not written down");
    }
  }
}
