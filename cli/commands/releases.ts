// `millrace releases`: what builds have made, newest first, or one of them in full.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { printRead, printRows } from "../output/print.ts";
import { releaseDetail, releaseRecord, releaseTable } from "../output/release-view.ts";
import { listCommand, type RemoteFlags } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { readPages } from "../remote/pages.ts";

interface Flags extends RemoteFlags {
  readonly service?: string;
  readonly limit: number;
}

/** The command. */
export function releasesCommand(): Command {
  return listCommand(new Command("releases"), 20)
    .description("List releases, newest first, or show one.")
    .argument("[release]", "SHA or release id, whole or short")
    .option("--service <name>", "only releases of this service")
    .action((id: string | undefined, flags: Flags) =>
      withControlPlane(flags.addr, (plane) =>
        id === undefined ? list(plane, flags) : show(plane, id, flags),
      ),
    );
}

async function show(plane: ControlPlane, id: string, flags: Flags): Promise<void> {
  const request = { id, service: flags.service ?? "" };
  const { release } = await call(plane.releases, plane.releases.getRelease, request);
  if (release === undefined) throw new Error("the answer to a get has no release");
  printRead(flags, { release: releaseRecord(release) }, () => releaseDetail(release));
}

async function list(plane: ControlPlane, flags: Flags): Promise<void> {
  const service = flags.service ?? "";
  const found = await readPages(flags.limit, async (page) => {
    const request = { service, ...page };
    const answer = await call(plane.releases, plane.releases.listReleases, request);
    return { rows: answer.releases, nextPageToken: answer.nextPageToken };
  });
  printRows(flags, found, {
    name: "releases",
    record: releaseRecord,
    table: (releases) => releaseTable(releases, Date.now()),
  });
}
