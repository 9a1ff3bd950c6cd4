// `millrace logs`: the log of a build, from an offset, followed while it runs.
import { once } from "node:events";
import { Command } from "commander";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { readLog } from "../remote/build-log.ts";
import { openControlPlane } from "../remote/control-plane.ts";

interface Flags {
  readonly addr?: string;
  readonly follow: boolean;
  readonly offset: number;
  readonly attempt: number;
}

/** The command. */
export function logsCommand(): Command {
  return new Command("logs")
    .description("Print the log of a build, named by its id or its commit.")
    .argument("<build>", "build id, or SHA, whole or short")
    .option("-f, --follow", "go on until the build has ended", false)
    .option("--offset <bytes>", "begin at this byte", wholeNumber(0), 0)
    .option("--attempt <n>", "log of this attempt (default: the current one)", wholeNumber(0), 0)
    .option("--addr <host:port>", "the control plane (or MILLRACE_ADDR)")
    .action(logs);
}

async function logs(id: string, flags: Flags): Promise<void> {
  const plane = openControlPlane(flags.addr);
  const { attempt, offset, follow } = flags;
  try {
    for await (const run of readLog(plane, { id, attempt, offset, follow })) {
      if (!process.stdout.write(run)) await once(process.stdout, "drain");
    }
  } finally {
    plane.close();
  }
}
