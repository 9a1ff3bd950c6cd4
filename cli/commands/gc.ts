// `millrace gc`: which packs are kept and why, and which go; has those deleted that have waited long enough.
import { Command } from "commander";
import type { PackFate } from "../../proto/gen/millrace/v1/garbage.ts";
import { garbageRecord, garbageTable } from "../output/garbage-view.ts";
import { printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { withControlPlane } from "../remote/control-plane.ts";
import { asCommandError, isServiceError } from "../remote/failure.ts";

interface Flags extends RemoteFlags {
  readonly dryRun: boolean;
}

/** The command. */
export function gcCommand(): Command {
  return remoteCommand(new Command("gc"))
    .description(
      "Mark packs at the origin that no kept release needs, and delete those that have waited.",
    )
    .option("--dry-run", "only say what would be done", false)
    .action((flags: Flags) =>
      withControlPlane(flags.addr, async ({ garbage, address }) => {
        const packs: PackFate[] = [];
        let held = "";
        try {
          for await (const answer of garbage.collectGarbage({ dryRun: flags.dryRun })) {
            packs.push(...answer.packs);
            held = answer.held;
          }
        } catch (error) {
          throw isServiceError(error) ? asCommandError(error, address) : error;
        }
        const { dryRun } = flags;
        printRead(flags, garbageRecord(packs, held, dryRun), () =>
          garbageTable(packs, held, dryRun),
        );
      }),
    );
}
