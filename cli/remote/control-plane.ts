// The control plane as commands see it: which one, and a client of each of its services.
import { BuildServiceClient, ReleaseServiceClient } from "../../proto/gen/millrace/v1/builds.ts";
import { FleetServiceClient } from "../../proto/gen/millrace/v1/fleet.ts";
import { GarbageServiceClient } from "../../proto/gen/millrace/v1/garbage.ts";
import { HistoryServiceClient } from "../../proto/gen/millrace/v1/history.ts";
import { LeadershipServiceClient } from "../../proto/gen/millrace/v1/leadership.ts";
import { RolloutServiceClient } from "../../proto/gen/millrace/v1/rollouts.ts";
import { callTarget, connect } from "../../runtime/grpc/client.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { runningUp } from "../up/up-state.ts";

const ADDRESS_DEFAULT = "127.0.0.1:7070";

/** Clients of one control plane. */
export interface ControlPlane {
  readonly address: string;
  readonly builds: BuildServiceClient;
  readonly releases: ReleaseServiceClient;
  readonly rollouts: RolloutServiceClient;
  readonly fleet: FleetServiceClient;
  readonly leadership: LeadershipServiceClient;
  readonly history: HistoryServiceClient;
  readonly garbage: GarbageServiceClient;
  close(): void;
}

/** Where commands go: `--addr`, else MILLRACE_ADDR, else this user's running `up`, else the default. */
export function controlPlaneAddress(flag: string | undefined): string {
  const address = flag ?? process.env["MILLRACE_ADDR"] ?? runningUp()?.address ?? ADDRESS_DEFAULT;
  try {
    callTarget(address);
  } catch (error) {
    throw new CommandError(EXIT.usage, (error as Error).message);
  }
  return address;
}

/** Opens the clients; nothing is sent before the first call. */
export function openControlPlane(flag: string | undefined): ControlPlane {
  const address = controlPlaneAddress(flag);
  const builds = connect(BuildServiceClient, address);
  const releases = connect(ReleaseServiceClient, address);
  const rollouts = connect(RolloutServiceClient, address);
  const fleet = connect(FleetServiceClient, address);
  const leadership = connect(LeadershipServiceClient, address);
  const history = connect(HistoryServiceClient, address);
  const garbage = connect(GarbageServiceClient, address);
  const clients = { builds, releases, rollouts, fleet, leadership, history, garbage };
  const close = (): void => {
    for (const client of Object.values(clients)) client.close();
  };
  return { address, ...clients, close };
}

/** Runs a command's calls with the clients open. */
export async function withControlPlane(
  flag: string | undefined,
  run: (plane: ControlPlane) => Promise<void>,
): Promise<void> {
  const plane = openControlPlane(flag);
  try {
    await run(plane);
  } finally {
    plane.close();
  }
}
