// `millrace regions`: the regions and the relays that serve them.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { regionTable } from "../output/fleet-view.ts";
import { printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { withControlPlane } from "../remote/control-plane.ts";
import { patientRead } from "../remote/patient-call.ts";

/** The command. */
export function regionsCommand(): Command {
  return remoteCommand(new Command("regions"))
    .description("List regions with their relays.")
    .action((flags: RemoteFlags) =>
      withControlPlane(flags.addr, async (plane) => {
        const { regions } = await patientRead(plane, () =>
          call(plane.fleet, plane.fleet.listRegions, {}),
        );
        printRead(flags, { regions }, () => regionTable(regions));
      }),
    );
}
