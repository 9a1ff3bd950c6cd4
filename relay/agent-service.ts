// The AgentService as a relay serves it: what is told to many agents is encoded once, not for each of them.
import {
  AgentServiceService,
  ConnectAgentResponse,
  type ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";

/** Encoded by what it says; it goes when nobody holds that any more. */
const encoded = new WeakMap<ServiceAssignments, Buffer>();

/** The service as generated, with that way to encode. */
export const RELAY_AGENT_SERVICE = {
  ...AgentServiceService,
  connectAgent: { ...AgentServiceService.connectAgent, responseSerialize: encode },
} as const;

/** Assignments are plain data that nobody changes: the same object is the same message. */
function encode(response: ConnectAgentResponse): Buffer {
  const { command } = response;
  if (command?.$case !== "assignments") return bytesOf(response);
  const known = encoded.get(command.assignments);
  if (known !== undefined) return known;
  const bytes = bytesOf(response);
  encoded.set(command.assignments, bytes);
  return bytes;
}

function bytesOf(response: ConnectAgentResponse): Buffer {
  return Buffer.from(ConnectAgentResponse.encode(response).finish());
}
