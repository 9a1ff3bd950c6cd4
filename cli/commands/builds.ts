// `millrace builds`: builds, newest first, or one of them in full.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { buildDetail, buildRecord, buildTable } from "../output/build-view.ts";
import { printRead, printRows } from "../output/print.ts";
import { listCommand, type RemoteFlags } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { readPages } from "../remote/pages.ts";
import { BUILDS_FAILED, BUILDS_OPEN } from "../remote/states.ts";

interface Flags extends RemoteFlags {
  readonly service?: string;
  readonly open: boolean;
  readonly failing: boolean;
  readonly limit: number;
}

/** The command. */
export function buildsCommand(): Command {
  return listCommand(new Command("builds"), 20)
    .description("List builds, newest first, or show one.")
    .argument("[build]", "build id, or SHA, whole or short")
    .option("--service <name>", "only builds of this service")
    .option("--open", "only builds that have not ended", false)
    .option("--failing", "only builds that ended without a release", false)
    .action((id: string | undefined, flags: Flags) =>
      withControlPlane(flags.addr, (plane) =>
        id === undefined ? list(plane, flags) : show(plane, id, flags),
      ),
    );
}

async function show(plane: ControlPlane, id: string, flags: Flags): Promise<void> {
  const { build } = await call(plane.builds, plane.builds.getBuild, { id });
  if (build === undefined) throw new Error("the answer to a get has no build");
  printRead(flags, { build: buildRecord(build) }, () => buildDetail(build, Date.now()));
}

async function list(plane: ControlPlane, flags: Flags): Promise<void> {
  const service = flags.service ?? "";
  const states = [...(flags.open ? BUILDS_OPEN : []), ...(flags.failing ? BUILDS_FAILED : [])];
  const found = await readPages(flags.limit, async (page) => {
    const request = { service, states, ...page };
    const answer = await call(plane.builds, plane.builds.listBuilds, request);
    return { rows: answer.builds, nextPageToken: answer.nextPageToken };
  });
  printRows(flags, found, {
    name: "builds",
    record: buildRecord,
    table: (builds) => buildTable(builds, Date.now()),
  });
}
