// An agent that says only what a test has it say: the generated client of AgentService.
import {
  type AgentHello,
  AgentServiceClient,
  type ConnectAgentRequest,
  type ConnectAgentResponse,
  ServicePhase,
  type ServiceStatus,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { connect } from "../../runtime/grpc/client.ts";
import { Inbox } from "./relay-inbox.ts";

type Command = NonNullable<ConnectAgentResponse["command"]>;

/** One stream of one agent. */
export class ScriptedAgent {
  readonly commands = new Inbox<Command | { readonly $case: "ended"; readonly error?: string }>();
  readonly #client: AgentServiceClient;
  readonly #stream: ReturnType<AgentServiceClient["connectAgent"]>;
  readonly id: string;

  /** Connects to a relay and says hello. */
  constructor(address: string, hello: Partial<AgentHello> & { readonly agent: string }) {
    this.id = hello.agent;
    this.#client = connect(AgentServiceClient, address);
    this.#stream = this.#client.connectAgent();
    this.#stream.on("data", ({ command }: ConnectAgentResponse) => {
      if (command !== undefined) this.commands.push(command);
    });
    this.#stream.on("error", (error) =>
      this.commands.push({ $case: "ended", error: error.message }),
    );
    this.#stream.on("end", () => this.commands.push({ $case: "ended" }));
    this.send({ $case: "hello", hello: helloOf(hello) });
  }

  send(message: NonNullable<ConnectAgentRequest["message"]>): void {
    this.#stream.write({ message });
  }

  /** Tells how a service stands. */
  status(status: Partial<ServiceStatus>): void {
    this.send({ $case: "status", status: statusOf(status) });
  }

  /** The first command of that kind which fits. */
  command<Case extends Command["$case"]>(
    $case: Case,
    fits: (command: Extract<Command, { $case: Case }>) => boolean = () => true,
  ): Promise<Extract<Command, { $case: Case }>> {
    return this.commands.find(`${$case} for ${this.id}`, (command) => {
      if (command.$case !== $case) return undefined;
      const wanted = command as Extract<Command, { $case: Case }>;
      return fits(wanted) ? wanted : undefined;
    });
  }

  /** Commands of that kind so far. */
  count($case: Command["$case"]): number {
    return this.commands.all.filter((command) => command.$case === $case).length;
  }

  /** How the stream ended. */
  ended(): Promise<string> {
    return this.commands.find(
      `end of ${this.id}'s stream`,
      (command) => command.$case === "ended" && (command.error ?? "without an error"),
    );
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

/** A status with everything that a test leaves out. */
export function statusOf(status: Partial<ServiceStatus>): ServiceStatus {
  return {
    service: "hello",
    rollout: "r-1",
    release: "",
    running: "",
    lastGood: "",
    phase: ServicePhase.SERVICE_PHASE_FETCHING,
    permit: "",
    error: "",
    bytes: undefined,
    missingBytes: 0,
    pid: 0,
    port: 0,
    healthy: false,
    epoch: 1,
    ...status,
  };
}

function helloOf(hello: Partial<AgentHello>): AgentHello {
  return {
    agent: "agent-1",
    boot: "boot-1",
    connect: 1,
    region: "eu",
    labels: {},
    swarmAddress: "",
    version: "0",
    services: [],
    startedAtMs: 1,
    root: "/agent",
    callable: false,
    earlyPermits: false,
    relayBefore: "",
    ...hello,
  };
}
