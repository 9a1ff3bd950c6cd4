// A virtual relay whose machines run several services: one relay of the tests for each service, on one stream
// to the control plane. It sums up what they say and hands commands to whom they are for.
import type { ConnectRelayRequest, RelayReport } from "../../proto/gen/millrace/v1/fleet.ts";
import {
  type RelayEnd,
  type RelayPace,
  type RelayWay,
  TestRelay,
} from "../../test/integration/rollout-relay.ts";

type Command = Parameters<RelayEnd["obey"]>[0];
type Message = NonNullable<ConnectRelayRequest["message"]>;

interface Part {
  readonly relay: TestRelay;
  readonly end: RelayEnd;
  report: RelayReport | undefined;
}

export interface RelayOfServicesOptions {
  readonly id: string;
  readonly region: string;
  readonly services: readonly string[];
  readonly machines: number;
  readonly pace: RelayPace;
  readonly open: (end: RelayEnd) => RelayWay;
}

/** The relay; it connects at once and comes back by itself. */
export class RelayOfServices {
  readonly #parts: ReadonlyMap<string, Part>;
  readonly #serviceOf = new Map<string, string>();
  readonly #way: RelayWay;
  readonly #timer: NodeJS.Timeout;

  constructor({ id, region, services, machines, pace, open }: RelayOfServicesOptions) {
    this.#parts = new Map(
      services.map((service) => [service, this.#part(id, region, machines, pace)]),
    );
    this.#way = open({
      hello: () => this.#first.end.hello(),
      obey: (command) => this.#obey(command),
      refused: (message) => this.#first.end.refused(message),
    });
    this.#timer = setInterval(() => this.#report(), pace.reportMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const { relay } of this.#parts.values()) relay.stop();
    this.#way.stop();
  }

  get #first(): Part {
    return [...this.#parts.values()][0] as Part;
  }

  #part(id: string, region: string, machines: number, pace: RelayPace): Part {
    let end: RelayEnd | undefined;
    const relay = new TestRelay(
      id,
      region,
      machines,
      (its) => {
        end = its;
        return { send: (message) => this.#said(part, message), stop: () => {} };
      },
      { ...pace, agents: `agent-${id}` },
    );
    const part: Part = { relay, end: end as RelayEnd, report: undefined };
    return part;
  }

  #said(part: Part, message: Message): void {
    if (message.$case === "report") part.report = message.report;
    else this.#way.send(message);
  }

  #report(): void {
    const { report } = this.#first;
    if (report === undefined) return;
    const rollouts = [...this.#parts.values()].flatMap((part) => part.report?.rollouts ?? []);
    this.#way.send({ $case: "report", report: { ...report, rollouts } });
  }

  #obey(command: Command): void {
    switch (command.$case) {
      case "assignments": {
        const { service, assignments } = command.assignments;
        for (const { rollout } of assignments) this.#serviceOf.set(rollout, service);
        this.#parts.get(service)?.end.obey(command);
        return;
      }
      case "quota":
        this.#of(command.quota.rollout).end.obey(command);
        return;
      case "census":
        this.#of(command.census.rollout).end.obey(command);
        return;
      case "heartbeat":
        for (const { end } of this.#parts.values()) end.obey(command);
        return;
      default:
        this.#first.end.obey(command);
    }
  }

  #of(rollout: string): Part {
    return this.#parts.get(this.#serviceOf.get(rollout) ?? "") ?? this.#first;
  }
}
