// `millrace doctor`: what is wrong with a cluster, one line each, and what to do.
import { status } from "@grpc/grpc-js";
import { Command } from "commander";
import {
  clockChecks,
  noLeader,
  unreachable,
  versionChecks,
} from "../../core/diagnosis/caller-checks.ts";
import { type Finding, ordered } from "../../core/diagnosis/finding.ts";
import { DiagnosisServiceClient } from "../../proto/gen/millrace/v1/diagnosis.ts";
import { LeadershipServiceClient } from "../../proto/gen/millrace/v1/leadership.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
import { failureCause } from "../../runtime/grpc/failure-cause.ts";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { VERSION } from "../../runtime/version.ts";
import { findingRecord, findingTable } from "../output/finding-view.ts";
import { print } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { controlPlaneAddress } from "../remote/control-plane.ts";
import { isServiceError } from "../remote/failure.ts";
import { findingOf } from "../remote/findings.ts";

/** The leader writes to the store, which may take 10 s to say that it cannot, and asks each relay. */
const DIAGNOSE_MS_MAX = 20_000;

/** What one replica said. */
interface Replica {
  readonly address: string;
  /** Why it did not answer; undefined: it did. */
  readonly trouble: string | undefined;
  readonly hasLeader: boolean;
}

/** The command. */
export function doctorCommand(): Command {
  return remoteCommand(new Command("doctor"))
    .description("Say what is wrong with a cluster, one line each; exit code 1 where anything is.")
    .action(async (flags: RemoteFlags) => {
      const addresses = controlPlaneAddress(flags.addr).split(",");
      const findings = ordered(await examine(addresses));
      const report = { ok: findings.length === 0, findings: findings.map(findingRecord) };
      print(flags, report, findingTable(findings));
      if (findings.length > 0) process.exitCode = EXIT.error;
    });
}

async function examine(addresses: readonly string[]): Promise<Finding[]> {
  const replicas = await Promise.all(addresses.map(askReplica));
  const findings = replicas.flatMap(({ address, trouble }) =>
    trouble === undefined ? [] : [unreachable(address, trouble)],
  );
  const asked = replicas.find(({ trouble }) => trouble === undefined);
  if (asked === undefined) return findings;
  if (!asked.hasLeader) return [...findings, noLeader(asked.address)];
  return [...findings, ...(await diagnosed(asked.address))];
}

async function askReplica(address: string): Promise<Replica> {
  const client = connect(LeadershipServiceClient, address);
  try {
    const { leader } = await call(client, client.getLeader, {});
    return { address, trouble: undefined, hasLeader: leader !== undefined };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { address, trouble: failureCause(error.details), hasLeader: false };
  } finally {
    client.close();
  }
}

async function diagnosed(address: string): Promise<Finding[]> {
  const client = connect(DiagnosisServiceClient, address);
  const where = "this command";
  try {
    const askedAtMs = Date.now();
    const options = { deadlineMs: DIAGNOSE_MS_MAX };
    const { findings, version, nowMs } = await call(client, client.diagnose, {}, options);
    const answeredAtMs = Date.now();
    // The leader's clock was read somewhere between the two.
    const apartMs = nowMs < askedAtMs ? askedAtMs - nowMs : Math.min(0, answeredAtMs - nowMs);
    return [
      ...versionChecks(where, VERSION, version),
      ...clockChecks(where, apartMs),
      ...findings.map(findingOf),
    ];
  } catch (error) {
    if (!isServiceError(error)) throw error;
    if (error.code === status.UNIMPLEMENTED) return versionChecks(where, VERSION, "an older one");
    return [unreachable("that leads", failureCause(error.details))];
  } finally {
    client.close();
  }
}
