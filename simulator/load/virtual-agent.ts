// An agent without a machine: the session and the service machines that every agent has, and a disk on which all is
// done as soon as it is asked for. What a machine reports in one go is told once, as of a disk that takes no time
// nothing in between could be seen.
import { randomBytes } from "node:crypto";
import type { Effect, Input, ServiceReport } from "../../core/fleet/agent-facts.ts";
import { ServiceMachine } from "../../core/fleet/agent-machine.ts";
import type { Candidate } from "../../core/rollout/targets.ts";
import { RelaySession } from "../../runtime/agent/relay-session.ts";
import type { RelayCommand, Ways } from "../../runtime/agent/relay-ways.ts";
import { readOrders, readPermit, writeStatus } from "../../runtime/agent/wire.ts";
import { Driver } from "../../runtime/driver.ts";
import type { Log } from "../../runtime/log.ts";
import { VERSION } from "../../runtime/version.ts";

/** What a real agent keeps unless told otherwise. */
const KEEP_RELEASES = 3;
const NOTHING = { origin: 0, relay: 0, peer: 0, local: 0 };

export interface VirtualAgentOptions {
  readonly candidate: Candidate;
  /** Control planes or relays to begin with, "host:port". */
  readonly join: readonly string[];
  readonly ways: Ways;
  readonly log: Log;
  /** A relay has taken it, for the first time or again. */
  readonly onWelcome: () => void;
  /** The machine of a service has taken a permit of this rollout. */
  readonly onPermit: (rollout: string) => void;
}

interface Service {
  readonly driver: Driver<Input, Effect>;
  report: ServiceReport | undefined;
  isTold: boolean;
}

export class VirtualAgent {
  readonly #options: VirtualAgentOptions;
  readonly #boot = randomBytes(8).toString("hex");
  readonly #startedAtMs = Date.now();
  readonly #session: RelaySession;
  readonly #services = new Map<string, Service>();

  constructor(options: VirtualAgentOptions) {
    this.#options = options;
    const { candidate, join, ways, log } = options;
    const { agentId, region, labels } = candidate;
    this.#session = new RelaySession({
      agentId,
      region,
      join,
      known: [],
      ways,
      log,
      hello: (connect, relayBefore) => ({
        agent: agentId,
        boot: this.#boot,
        connect,
        region,
        labels: { ...labels },
        swarmAddress: "",
        version: VERSION,
        services: [...this.#services].flatMap(([name, { report }]) =>
          report === undefined ? [] : [statusOf(name, report)],
        ),
        startedAtMs: this.#startedAtMs,
        root: "",
        callable: false,
        earlyPermits: true,
        relayBefore,
      }),
      onCommand: (command) => this.#hear(command),
      onRelays: () => {},
    });
  }

  /** Finds a relay and stays with it until `close`. */
  async run(): Promise<void> {
    await this.#session.run();
  }

  /** Whether a relay has it. */
  get isWelcome(): boolean {
    return this.#session.isWelcome;
  }

  close(): void {
    for (const { driver } of this.#services.values()) driver.stop();
    this.#session.close();
  }

  /** What concerns pieces and calls is nothing to an agent without a disk. */
  #hear(command: RelayCommand): void {
    if (command.$case === "welcome") this.#options.onWelcome();
    else if (command.$case === "assignments") {
      const { assignments } = command;
      this.#service(assignments.service).driver.input({
        kind: "assigned",
        orders: readOrders(assignments),
      });
    } else if (command.$case === "permit") {
      const { permit } = command;
      this.#service(permit.service).driver.input({
        kind: "permitted",
        permit: readPermit(permit),
      });
      this.#options.onPermit(permit.rollout);
    }
  }

  #service(name: string): Service {
    const known = this.#services.get(name);
    if (known !== undefined) return known;
    const { candidate } = this.#options;
    const machine = new ServiceMachine({ candidate, keepReleases: KEEP_RELEASES });
    const service: Service = {
      driver: new Driver(machine, { perform: (effect) => this.#perform(name, effect) }),
      report: undefined,
      isTold: true,
    };
    this.#services.set(name, service);
    const findings = { onDisk: [], running: [], pointed: undefined };
    service.driver.input({ kind: "booted", findings });
    return service;
  }

  #perform(name: string, effect: Effect): void {
    const service = this.#service(name);
    switch (effect.kind) {
      case "stage":
        service.driver.input({ kind: "staged", release: effect.release });
        break;
      case "perform":
        service.driver.input({ kind: "performed", number: effect.number });
        break;
      case "report":
        this.#tell(name, service, effect.status);
        break;
      case "refuse":
      case "refuse-orders":
        this.#options.log.warn({ effect }, "refused");
        break;
      case "persist":
      case "unstage":
      case "restart":
      case "reap":
      case "repoint":
      case "watch":
      case "collect":
        break;
      default:
        effect satisfies never;
    }
  }

  #tell(name: string, service: Service, report: ServiceReport): void {
    service.report = report;
    if (!service.isTold) return;
    service.isTold = false;
    queueMicrotask(() => {
      service.isTold = true;
      if (service.report === undefined) return;
      this.#session.send({ $case: "status", status: statusOf(name, service.report) });
    });
  }
}

function statusOf(service: string, report: ServiceReport) {
  return writeStatus(service, report, {
    bytes: NOTHING,
    missingBytes: 0,
    pid: 0,
    port: 0,
    trouble: "",
  });
}
