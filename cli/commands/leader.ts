// `millrace leader`: which replica of the control plane leads, or that it hands over.
import { Command } from "commander";
import type { Leader } from "../../proto/gen/millrace/v1/leadership.ts";
import { call } from "../../runtime/grpc/client.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { formatAge } from "../output/format.ts";
import { printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { withControlPlane } from "../remote/control-plane.ts";

/** Until another is elected, or the same again where there is no other. */
const RESIGN_MS_MAX = 10_000;

interface Flags extends RemoteFlags {
  readonly resign: boolean;
}

/** The command. */
export function leaderCommand(): Command {
  return remoteCommand(new Command("leader"))
    .description("Show which control plane leads; with --resign have it hand over.")
    .option("--resign", "end the leader's term, and wait for the next one", false)
    .action((flags: Flags) =>
      withControlPlane(flags.addr, async ({ leadership }) => {
        const { leader } = await call(leadership, leadership.getLeader, {});
        if (leader === undefined) {
          throw new CommandError(EXIT.error, "no control plane leads at this moment; ask again");
        }
        if (!flags.resign) {
          printRead(flags, { leader }, () => sentence(leader));
          return;
        }
        const options = { deadlineMs: RESIGN_MS_MAX };
        const request = { epoch: leader.epoch };
        const next = await call(leadership, leadership.resignLeader, request, options);
        printRead(
          flags,
          { leader: next.leader, before: leader },
          () => `${leader.replica} has resigned\n${next.leader && sentence(next.leader)}`,
        );
      }),
    );
}

function sentence({ replica, address, epoch, sinceMs }: Leader): string {
  return `${replica} at ${address} leads with epoch ${epoch}, for ${formatAge(sinceMs, Date.now())}`;
}
