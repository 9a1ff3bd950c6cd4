// What an agent says to control planes and relays and hears from them, as bytes of protobuf: for ways that do without
// the generated clients.
import {
  AgentServiceService,
  ConnectAgentRequest,
  ConnectAgentResponse,
  FleetServiceService,
  LocateRelaysRequest,
  LocateRelaysResponse,
} from "../../proto/gen/millrace/v1/fleet.ts";
import type { AgentMessage, RelayCommand } from "./relay-ways.ts";

/** Paths of the methods. */
export const LOCATE_PATH = FleetServiceService.locateRelays.path;
export const CONNECT_PATH = AgentServiceService.connectAgent.path;

/** The question for the relays of a region. */
export function locateBytes(region: string): Uint8Array {
  return LocateRelaysRequest.encode({ region }).finish();
}

/** The answer to it. */
export function readRelays(bytes: Uint8Array): LocateRelaysResponse["relays"] {
  return LocateRelaysResponse.decode(bytes).relays;
}

/** What an agent says. */
export function agentBytes(message: AgentMessage): Uint8Array {
  return ConnectAgentRequest.encode({ message }).finish();
}

/** What a relay says. */
export function readResponse(bytes: Uint8Array): ConnectAgentResponse {
  return ConnectAgentResponse.decode(bytes);
}

/** A command without a permit beside it: the first bytes of one with it. */
export function commandBytes(command: RelayCommand): Uint8Array {
  return ConnectAgentResponse.encode({ command, permitBeside: undefined }).finish();
}
