// `millrace regions`: the regions and the relays that serve them.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { regionTable } from "../output/fleet-view.ts";
import { print, printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { withControlPlane } from "../remote/control-plane.ts";
import { patientRead } from "../remote/patient-call.ts";

interface Flags extends RemoteFlags {
  readonly forget?: string;
}

/** The command. */
export function regionsCommand(): Command {
  return remoteCommand(new Command("regions"))
    .description("List regions with their relays.")
    .option(
      "--forget <relay>",
      "forget a relay that is gone for good: rollouts wait for it no more",
    )
    .action((flags: Flags) =>
      withControlPlane(flags.addr, async (plane) => {
        const { fleet } = plane;
        if (flags.forget !== undefined) {
          await call(fleet, fleet.forgetRelay, { relay: flags.forget });
          print(flags, { ok: true, forgotten: flags.forget }, `forgot relay ${flags.forget}`);
          return;
        }
        const { regions } = await patientRead(plane, () => call(fleet, fleet.listRegions, {}));
        printRead(flags, { regions }, () => regionTable(regions));
      }),
    );
}
