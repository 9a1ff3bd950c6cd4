// `millrace health`: whether a program is ready, or lives; for supervisors and people.
import { Command } from "commander";
import { EXIT } from "../../runtime/program/exit-codes.ts";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { print } from "../output/print.ts";
import { askByGrpc, askByHttp, type HealthQuestion } from "../remote/ask-health.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { controlPlaneAddress } from "../remote/control-plane.ts";

interface Flags extends RemoteFlags {
  readonly live: boolean;
  readonly metricsPort?: number;
}

/** The command. */
export function healthCommand(): Command {
  return remoteCommand(new Command("health"))
    .description("Ask programs whether they are ready; exit code 1 where one is not.")
    .option("--live", "ask whether they live, ready or not", false)
    .option("--metrics-port <n>", "ask the program with this port of metrics here", wholeNumber(1))
    .action(async (flags: Flags) => {
      const question = flags.live ? "live" : "ready";
      const programs = await ask(flags, question);
      const isOk = programs.every(({ holds }) => holds);
      const lines = programs.map(({ address, holds, why }) => {
        return `${address} ${holds ? question : `not ${question}: ${why}`}`;
      });
      print(flags, { ok: isOk, question, programs }, lines.join("\n"));
      if (!isOk) process.exitCode = EXIT.error;
    });
}

async function ask({ addr, metricsPort }: Flags, question: HealthQuestion) {
  if (metricsPort !== undefined) {
    const answer = await askByHttp(metricsPort, question);
    return [{ address: `127.0.0.1:${metricsPort}`, ...answer }];
  }
  const addresses = controlPlaneAddress(addr).split(",");
  return Promise.all(
    addresses.map(async (address) => ({ address, ...(await askByGrpc(address, question)) })),
  );
}
