// How an agent comes to control planes and relays: asks for the relays of its region, and opens its stream to one.
// Agents have connections of their own; those of a load run share theirs.
import type { ServiceError } from "@grpc/grpc-js";
import type { KnownRelay } from "../../core/fleet/agent-relay-choice.ts";
import {
  AgentServiceClient,
  type ConnectAgentRequest,
  type ConnectAgentResponse,
  FleetServiceClient,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { call, connect } from "../grpc/client.ts";

export type RelayCommand = NonNullable<ConnectAgentResponse["command"]>;
export type AgentMessage = NonNullable<ConnectAgentRequest["message"]>;

/** Hears what a relay sends. */
export interface StreamListener {
  command(command: RelayCommand): void;
  /** Said last and once, with a reason for the log. */
  ended(reason: string): void;
}

/** A stream to a relay. */
export interface RelayStream {
  send(message: AgentMessage): void;
  /** Says no more; the relay ends the stream. */
  end(): void;
  /** Ends it at once. */
  cancel(): void;
}

export interface Ways {
  /**
   * Asks a control plane, "host:port", for the relays of a region within so many milliseconds. Rejects with a
   * ServiceError.
   */
  locate(
    address: string,
    region: string,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<readonly KnownRelay[]>;
  /** Opens a stream to the relay at "host:port". */
  open(address: string, listener: StreamListener): RelayStream;
}

/** Hands over what a relay said in one message: a permit beside assignments comes after them. */
export function hand(
  { command, permitBeside }: ConnectAgentResponse,
  listener: StreamListener,
): void {
  if (command !== undefined) listener.command(command);
  if (permitBeside !== undefined) listener.command({ $case: "permit", permit: permitBeside });
}

/** Each call and each stream has a connection of its own. */
export const OWN_CONNECTIONS: Ways = {
  async locate(address, region, deadlineMs, signal) {
    const client = connect(FleetServiceClient, address);
    try {
      const options = { deadlineMs, signal };
      return (await call(client, client.locateRelays, { region }, options)).relays;
    } finally {
      client.close();
    }
  },

  open(address, listener) {
    const client = connect(AgentServiceClient, address);
    const stream = client.connectAgent();
    let isOver = false;
    const over = (reason: string): void => {
      if (isOver) return;
      isOver = true;
      client.close();
      listener.ended(reason);
    };
    stream.on("data", (response: ConnectAgentResponse) => hand(response, listener));
    stream.on("error", (error: ServiceError) => over(error.details));
    stream.on("end", () => over("the relay ended the stream"));
    return {
      send: (message) => stream.write({ message }),
      end: () => stream.end(),
      cancel: () => stream.cancel(),
    };
  },
};
