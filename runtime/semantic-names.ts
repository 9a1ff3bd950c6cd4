// Names of attributes and metrics that OpenTelemetry's semantic conventions have for what Millrace does.
// The conventions are imported as types alone: they check the names, and cost nothing at run time (the
// module of the unstable ones takes 150 ms and 11 MB).
import type {
  ATTR_CICD_PIPELINE_NAME,
  ATTR_CICD_PIPELINE_RESULT,
  ATTR_CICD_PIPELINE_RUN_ID,
  ATTR_CICD_PIPELINE_RUN_STATE,
  ATTR_CICD_WORKER_ID,
  ATTR_CICD_WORKER_STATE,
  ATTR_VCS_REF_HEAD_REVISION,
  METRIC_CICD_PIPELINE_RUN_ACTIVE,
  METRIC_CICD_PIPELINE_RUN_DURATION,
  METRIC_CICD_WORKER_COUNT,
} from "@opentelemetry/semantic-conventions/incubating";

/** Service that is built. */
export const PIPELINE_NAME: typeof ATTR_CICD_PIPELINE_NAME = "cicd.pipeline.name";
/** How a build ended: "success", "failure", "cancellation", "timeout". */
export const PIPELINE_RESULT: typeof ATTR_CICD_PIPELINE_RESULT = "cicd.pipeline.result";
/** Id of a build. */
export const PIPELINE_RUN_ID: typeof ATTR_CICD_PIPELINE_RUN_ID = "cicd.pipeline.run.id";
/** "pending" in the queue, "executing" at a worker. */
export const PIPELINE_RUN_STATE: typeof ATTR_CICD_PIPELINE_RUN_STATE = "cicd.pipeline.run.state";
/** Id of a worker. */
export const WORKER_ID: typeof ATTR_CICD_WORKER_ID = "cicd.worker.id";
/** "available" or "busy". */
export const WORKER_STATE: typeof ATTR_CICD_WORKER_STATE = "cicd.worker.state";
/** Git SHA. */
export const REVISION: typeof ATTR_VCS_REF_HEAD_REVISION = "vcs.ref.head.revision";

/** Live builds by state. */
export const RUN_ACTIVE: typeof METRIC_CICD_PIPELINE_RUN_ACTIVE = "cicd.pipeline.run.active";
/** Seconds that builds were in a state. */
export const RUN_DURATION: typeof METRIC_CICD_PIPELINE_RUN_DURATION = "cicd.pipeline.run.duration";
/** Workers by state. */
export const WORKER_COUNT: typeof METRIC_CICD_WORKER_COUNT = "cicd.worker.count";

/** Attributes of a span that is about a build; `service` is empty until the recipe is known. */
export function aboutBuild(id: string, service: string, sha: string): Record<string, string> {
  const about = { [PIPELINE_RUN_ID]: id, [REVISION]: sha };
  return service === "" ? about : { ...about, [PIPELINE_NAME]: service };
}
