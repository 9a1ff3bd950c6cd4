// `millrace agents`: the machines and what they run, or one of them in full.
import { Command } from "commander";
import { call } from "../../runtime/grpc/client.ts";
import { agentDetail, agentRecord, agentTable } from "../output/fleet-view.ts";
import { printRead, printRows } from "../output/print.ts";
import { listCommand, type RemoteFlags } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";
import { readPages } from "../remote/pages.ts";
import { patientRead } from "../remote/patient-call.ts";

interface Flags extends RemoteFlags {
  readonly region?: string;
  readonly failing: boolean;
  readonly limit: number;
}

/** The command. */
export function agentsCommand(): Command {
  return listCommand(new Command("agents"), 100)
    .description("List machines and what they run, or show one.")
    .argument("[agent]", "agent id, or the beginning of it")
    .option("--region <name>", "only machines of this region")
    .option("--failing", "only machines on which a release failed", false)
    .action((id: string | undefined, flags: Flags) =>
      withControlPlane(flags.addr, (plane) =>
        id === undefined ? list(plane, flags) : show(plane, id, flags),
      ),
    );
}

async function show(plane: ControlPlane, id: string, flags: Flags): Promise<void> {
  const { agent } = await patientRead(plane, () => call(plane.fleet, plane.fleet.getAgent, { id }));
  if (agent === undefined) throw new Error("the answer to a get has no agent");
  printRead(flags, { agent: agentRecord(agent) }, () => agentDetail(agent));
}

async function list(plane: ControlPlane, flags: Flags): Promise<void> {
  const filter = { region: flags.region ?? "", failingOnly: flags.failing };
  const found = await readPages(flags.limit, async (page) => {
    const answer = await patientRead(plane, () =>
      call(plane.fleet, plane.fleet.listAgents, { ...filter, ...page }),
    );
    return { rows: answer.agents, nextPageToken: answer.nextPageToken };
  });
  printRows(flags, found, { name: "agents", record: agentRecord, table: agentTable });
}
