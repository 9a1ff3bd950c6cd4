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
  const { command, permitBeside } = response;
  if (command?.$case !== "assignments") return bytesOf(response);
  const bytes = encoded.get(command.assignments) ?? bytesOf({ command, permitBeside: undefined });
  encoded.set(command.assignments, bytes);
  // Fields may follow each other in any order: one message and another are the message that has the fields of both.
  return permitBeside === undefined
    ? bytes
    : Buffer.concat([bytes, bytesOf({ command: undefined, permitBeside })]);
}

function bytesOf(response: ConnectAgentResponse): Buffer {
  return Buffer.from(ConnectAgentResponse.encode(response).finish());
}
