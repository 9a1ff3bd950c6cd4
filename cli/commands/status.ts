// `millrace status`: everything at a glance, once or each second.
import { Command } from "commander";
import type { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import { call } from "../../runtime/grpc/client.ts";
import { pause } from "../../runtime/program/back-off.ts";
import { formatAge } from "../output/format.ts";
import { openPage } from "../output/page.ts";
import { printRead } from "../output/print.ts";
import { statusPage, statusRecord } from "../output/status-view.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { isTransient } from "../remote/failure.ts";
import { patientRead } from "../remote/patient-call.ts";

const WATCH_MS = 1_000;

interface Flags extends RemoteFlags {
  readonly watch: boolean;
}

/** The command. */
export function statusCommand(): Command {
  return remoteCommand(new Command("status"))
    .description("Show regions, builds that run, open rollouts and the last ones.")
    .option("-w, --watch", "show it anew each second, until Ctrl-C", false)
    .action((flags: Flags) =>
      withControlPlane(flags.addr, async (plane) => {
        if (flags.watch) return watch(plane, flags);
        const status = await patientRead(plane, () => read(plane));
        printRead(flags, statusRecord(status), () => statusPage(status, plane.address, Date.now()));
      }),
    );
}

function read({ fleet }: ControlPlane): Promise<GetStatusResponse> {
  return call(fleet, fleet.getStatus, {});
}

/** Shows the status until Ctrl-C; while the control plane is away, the last one and since when. */
async function watch(plane: ControlPlane, flags: Flags): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const page = flags.json ? undefined : openPage();
  let last: GetStatusResponse | undefined;
  let heardAtMs = 0;
  try {
    while (!stop.signal.aborted) {
      let away = "";
      try {
        last = await read(plane);
        heardAtMs = Date.now();
        if (flags.json) printRead(flags, statusRecord(last), () => "");
      } catch (error) {
        // What was never reached is more likely a wrong address than a restart.
        if (last === undefined || !isTransient(error)) throw error;
        away = `\n\nno contact with ${plane.address} for ${formatAge(heardAtMs, Date.now())}`;
      }
      page?.show(`${statusPage(last, plane.address, Date.now())}${away}`);
      await pause(WATCH_MS, stop.signal);
    }
  } finally {
    page?.close();
  }
}
