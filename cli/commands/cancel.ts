// `millrace cancel`: let go of a build; the last to let go ends it.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { buildRecord } from "../output/build-view.ts";
import { describeBuild } from "../output/describe.ts";
import { printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { withControlPlane } from "../remote/control-plane.ts";
import { patientCall } from "../remote/patient-call.ts";

interface Flags extends RemoteFlags {
  readonly requester?: string;
}

/** The command. */
export function cancelCommand(): Command {
  return remoteCommand(new Command("cancel"))
    .description("Cancel a build: for everybody, or for one of those who asked for it.")
    .argument("<build>", "build id")
    .option("--requester <id>", "let go for this requester only; others still get their build")
    .action((id: string, flags: Flags) =>
      withControlPlane(flags.addr, async ({ builds, address }) => {
        const request = { id, requester: flags.requester ?? "" };
        const { build, detached } = await patientCall({ address }, () =>
          call(builds, builds.cancelBuild, request),
        );
        if (build === undefined) throw new Error("the answer to a cancel has no build");
        printRead(flags, { ok: true, detached, build: buildRecord(build) }, () =>
          detached ? `${describeBuild(build)}; it goes on, others want it` : describeBuild(build),
        );
      }),
    );
}
