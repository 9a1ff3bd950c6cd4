// The API that build systems, the CLI and the console call for builds.

import type { BuildRow } from "../../core/builds/build-row.ts";
import { isLive } from "../../core/builds/build-row.ts";
import { cancel } from "../../core/builds/build-transitions.ts";
import {
  Build,
  type BuildServiceServer,
  type BuildState,
  type WatchBuildResponse,
} from "../../proto/gen/millrace/v1/builds.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { serverStream, unary } from "../../runtime/grpc/handlers.ts";
import { ending, failedPrecondition, invalid, notFound } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { aboutBuild } from "../../runtime/semantic-names.ts";
import { inRequestSpan } from "../../runtime/telemetry.ts";
import { BUILD_ID, placeOf } from "./build-keys.ts";
import { buildMessage, stateOf } from "./build-message.ts";
import { fittingCount, listLimit, listService } from "./list-page.ts";
import { seenBuild } from "./seen-build.ts";
import { type SubmitOptions, submitBuild } from "./submit-build.ts";
import { type TailLogOptions, tailLog } from "./tail-log.ts";

const SHA_NAME = /^[0-9a-f]{4,40}$/;
const PAGE_TOKEN = /^\d{15}\/b-[0-9a-f]{16}$/;

export interface BuildServiceOptions extends SubmitOptions, TailLogOptions {
  readonly log: Log;
}

/** The handlers of BuildService. */
export function buildService(options: BuildServiceOptions): BuildServiceServer {
  const { table, live, log } = options;
  const shown = (row: BuildRow) => buildMessage(live.withNews(row));
  return {
    submitBuild: unary(log, async (request, { metadata }) => {
      const { row, attached, requester } = await inRequestSpan(
        "build.submit",
        metadata,
        async (traceparent, span) => {
          const submitted = await submitBuild(options, request, traceparent);
          const { id, service, sha } = submitted.row;
          span.setAttributes(aboutBuild(id, service, sha));
          return submitted;
        },
      );
      log.info({ build: row.id, sha: row.sha, attached }, "build submitted");
      return { build: shown(row), attached, requester };
    }),
    getBuild: unary(log, async ({ id }) => ({ build: shown(await find(options, id)) })),
    listBuilds: unary(log, async ({ service, states, limit, pageToken }) => {
      if (pageToken !== "" && !PAGE_TOKEN.test(pageToken)) {
        throw invalid(`page_token "${pageToken}": not one that an answer gave`);
      }
      const filter = { service: listService(service), states: states.map(knownState) };
      const page = await table.page(filter, pageToken, listLimit(limit));
      const builds = page.rows.map(shown);
      const count = fittingCount(builds.map((build) => Build.encode(build).finish().length));
      if (count === builds.length) return { builds, nextPageToken: page.nextPlace };
      const nextPageToken = placeOf(page.rows[count - 1]!);
      return { builds: builds.slice(0, count), nextPageToken };
    }),
    watchBuild: serverStream(log, ({ id }, { signal }) => watch(options, id, signal)),
    cancelBuild: unary(log, async ({ id, requester }) => {
      failpoint("controlplane.before-cancel-txn");
      const result = await table.change(id, (row) => cancel(row, requester, Date.now()));
      failpoint("controlplane.after-cancel-txn");
      const row = result.ok ? result.row : await seenBuild(options, id);
      if (row === undefined) throw notFound(`no build ${id}`);
      const detached = isLive(row) && !(row.state === "leased" && row.cancelling);
      return { build: shown(row), detached };
    }),
    tailLog: serverStream(log, async function* (request, { signal }) {
      const { id } = await find(options, request.id);
      yield* tailLog(options, id, request, signal);
    }),
  };
}

async function* watch(
  { table, past, live }: BuildServiceOptions,
  id: string,
  gone: AbortSignal,
): AsyncGenerator<WatchBuildResponse, void, void> {
  const signal = AbortSignal.any([gone, live.closing]);
  const { follower, end } = live.follow(id);
  let before = "";
  try {
    while (!signal.aborted) {
      await follower.next(signal);
      const row = await seenBuild({ table, past }, id);
      if (row === undefined) throw notFound(`no build ${id}`);
      const build = buildMessage(live.withNews(row));
      const text = JSON.stringify(build);
      if (text !== before) yield { build };
      before = text;
      if (!isLive(row)) return;
    }
    if (live.closing.aborted) throw ending("the control plane is ending; watch it again");
  } finally {
    end();
  }
}

/** The build that an id or a SHA, whole or short, names. */
async function find({ table, past }: BuildServiceOptions, name: string): Promise<BuildRow> {
  const id = name.toLowerCase();
  if (BUILD_ID.test(id)) {
    const row = await seenBuild({ table, past }, id);
    if (row === undefined) throw notFound(`no build ${id}`);
    return row;
  }
  if (!SHA_NAME.test(id)) {
    throw invalid(`build "${name}": expected a build id (b-...) or a SHA of 4 to 40 hex digits`);
  }
  const lookup = await table.findBySha(id);
  switch (lookup.kind) {
    case "found":
      return lookup.row;
    case "absent":
      throw notFound(`no build of ${id} lately; older ones are in "millrace history"`);
    case "ambiguous":
      throw failedPrecondition(
        `"${id}" names builds of more than one SHA: ${lookup.shas.join(", ")}`,
      );
    default:
      throw lookup satisfies never;
  }
}

function knownState(message: BuildState) {
  const state = stateOf(message);
  if (state === undefined) throw invalid(`states: ${message} is not a state of a build`);
  return state;
}
