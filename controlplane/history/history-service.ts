// HistoryService: what has ended, from the store and the archive, at any replica.
import {
  HistoryItem,
  type HistoryServiceServer,
  type ListHistoryRequest,
} from "../../proto/gen/millrace/v1/history.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { invalid } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { buildMessage } from "../builds/build-message.ts";
import { fittingCount, listLimit, listService } from "../builds/list-page.ts";
import { endedRollout } from "../rollouts/rollout-wire.ts";
import type { HistoryReader, HistoryRow } from "./history-reader.ts";

const PAGE_TOKEN = /^\d{15}(?:-[br]-[0-9a-f]{16})?$/;

/** The handlers. */
export function historyService(reader: HistoryReader, log: Log): HistoryServiceServer {
  return {
    listHistory: unary(log, async (request) => {
      checkRequest(request);
      const { sinceMs, untilMs, pageToken } = request;
      const limit = listLimit(request.limit);
      const service = listService(request.service);
      const page = await reader.page({ service, sinceMs, untilMs, limit, pageToken });
      const items = page.rows.map(messageOf);
      const count = fittingCount(items.map((item) => HistoryItem.encode(item).finish().length));
      if (count === items.length) return { items, nextPageToken: page.nextPageToken };
      const nextPageToken = page.rows[count - 1]?.place ?? "";
      return { items: items.slice(0, count), nextPageToken };
    }),
  };
}

function checkRequest({ sinceMs, untilMs, pageToken }: ListHistoryRequest): void {
  if (pageToken !== "" && !PAGE_TOKEN.test(pageToken)) {
    throw invalid(`page_token "${pageToken}": not one that an answer gave`);
  }
  for (const [name, ms] of Object.entries({ since_ms: sinceMs, until_ms: untilMs })) {
    if (ms > MS_MAX) throw invalid(`${name}: ${ms}, at most ${MS_MAX} (unix milliseconds)`);
  }
}

/** The last time that has a date of four digits for its year. */
const MS_MAX = Date.parse("9999-12-31T00:00:00Z");

function messageOf({ item, isArchived }: HistoryRow): HistoryItem {
  switch (item.kind) {
    case "build":
      return { item: { $case: "build", build: buildMessage(item.row) }, archived: isArchived };
    case "rollout": {
      const rollout = endedRollout(item.record, item.revision);
      return { item: { $case: "rollout", rollout }, archived: isArchived };
    }
    default:
      throw item satisfies never;
  }
}
