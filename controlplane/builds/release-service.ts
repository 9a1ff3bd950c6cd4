// The API by which releases are found and listed.
import type { ReleaseServiceServer } from "../../proto/gen/millrace/v1/builds.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { invalid } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import { fittingCount, listLimit, listService } from "./list-page.ts";
import { listReleases, releasePlace, requireRelease } from "./release-index.ts";

const PAGE_TOKEN = /^\d{15}-b-[0-9a-f]{16}$/;

/** The handlers of ReleaseService. */
export function releaseService(store: Store, log: Log): ReleaseServiceServer {
  return {
    getRelease: unary(log, async ({ id, service }) => ({
      release: await requireRelease(store, id, service),
    })),
    listReleases: unary(log, async ({ service, limit, pageToken }) => {
      if (pageToken !== "" && !PAGE_TOKEN.test(pageToken)) {
        throw invalid(`page_token "${pageToken}": not one that an answer gave`);
      }
      const of = listService(service);
      const page = await listReleases(store, { service: of, limit: listLimit(limit), pageToken });
      const sizes = page.releases.map((release) => Release.encode(release).finish().length);
      const releases = page.releases.slice(0, fittingCount(sizes));
      const isCut = releases.length < page.releases.length;
      const nextPageToken = isCut ? releasePlace(releases.at(-1)!) : page.nextPageToken;
      return { releases, nextPageToken };
    }),
  };
}
