// `millrace rollouts`: rollouts, newest first, or one of them with its waves, regions and failures.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { printRead, printRows } from "../output/print.ts";
import { rolloutDetail, rolloutRecord, rolloutTable } from "../output/rollout-view.ts";
import { listCommand, type RemoteFlags } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { readPages } from "../remote/pages.ts";
import { patientRead } from "../remote/patient-call.ts";

interface Flags extends RemoteFlags {
  readonly service?: string;
  readonly open: boolean;
  readonly limit: number;
}

/** The command. */
export function rolloutsCommand(): Command {
  return listCommand(new Command("rollouts"), 20)
    .description("List rollouts, newest first, or show one.")
    .argument("[rollout]", "rollout id, or the service; or a SHA or release, for its newest")
    .option("--service <name>", "only rollouts of this service")
    .option("--open", "only rollouts that have not ended", false)
    .action((id: string | undefined, flags: Flags) =>
      withControlPlane(flags.addr, (plane) =>
        id === undefined ? list(plane, flags) : show(plane, id, flags),
      ),
    );
}

async function show(plane: ControlPlane, id: string, flags: Flags): Promise<void> {
  const { rollout } = await patientRead(plane, () =>
    call(plane.rollouts, plane.rollouts.getRollout, { id }),
  );
  if (rollout === undefined) throw new Error("the answer to a get has no rollout");
  printRead(flags, { rollout: rolloutRecord(rollout) }, () => rolloutDetail(rollout, Date.now()));
}

async function list(plane: ControlPlane, flags: Flags): Promise<void> {
  const filter = { service: flags.service ?? "", openOnly: flags.open };
  const found = await readPages(flags.limit, async (page) => {
    const request = { ...filter, ...page };
    const answer = await patientRead(plane, () =>
      call(plane.rollouts, plane.rollouts.listRollouts, request),
    );
    return { rows: answer.rollouts, nextPageToken: answer.nextPageToken };
  });
  printRows(flags, found, {
    name: "rollouts",
    record: rolloutRecord,
    table: (rollouts) => rolloutTable(rollouts, Date.now()),
  });
}
