// Counts what an agent was told and did not do, because it came from a leader that is none any more.
import type { Counter } from "@opentelemetry/api";
import { counter } from "../runtime/telemetry.ts";

/** Add with the attribute `command`: assignments, permit or order. */
export function refusals(): Counter {
  const description = "Commands of leaders that are none any more, refused, by kind";
  return counter("millrace.agent.refused", description, "{command}");
}
