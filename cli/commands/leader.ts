// `millrace leader`: which replica of the control plane leads, that it hands over, and what to do about a store
// that was restored from a backup.
import { Command } from "commander";
import type {
  Leader,
  MissingState,
  ReviewRestoreResponse,
  StoreBehind,
} from "../../proto/gen/millrace/v1/leadership.ts";
import { call } from "../../runtime/grpc/client.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { formatAge } from "../output/format.ts";
import { printRead } from "../output/print.ts";
import { type RemoteFlags, remoteCommand } from "../remote/command-options.ts";
import { type ControlPlane, withControlPlane } from "../remote/control-plane.ts";

/** Until another is elected, or the same again where there is no other. */
const RESIGN_MS_MAX = 10_000;
/** Beside the election: a transaction for each service and each live build. */
const RAISE_MS_MAX = 60_000;
/** Digits of a release or SHA that are shown. */
const SHORT_DIGITS = 12;

interface Flags extends RemoteFlags {
  readonly resign: boolean;
  readonly restored: boolean;
  readonly raiseIncarnation: boolean;
}

/** The command. */
export function leaderCommand(): Command {
  return remoteCommand(new Command("leader"))
    .description(
      "Show which control plane leads, have it hand over, or go on from a restored store.",
    )
    .option("--resign", "end the leader's term, and wait for the next one", false)
    .option("--restored", "say that the store was restored; nothing is decided from then on", false)
    .option("--raise-incarnation", "go on from a restored store as it is", false)
    .action((flags: Flags) =>
      withControlPlane(flags.addr, async (plane) => {
        const actions = [flags.resign, flags.restored, flags.raiseIncarnation];
        if (actions.filter(Boolean).length > 1) {
          throw new CommandError(
            EXIT.usage,
            "give one of --resign, --restored, --raise-incarnation",
          );
        }
        const { leadership } = plane;
        const { leader, behind } = await call(leadership, leadership.getLeader, {});
        if (leader === undefined) {
          throw new CommandError(EXIT.error, "no control plane leads at this moment; ask again");
        }
        if (flags.resign) await resign(plane, flags, leader);
        else if (flags.raiseIncarnation) await raise(plane, flags, leader);
        else if (flags.restored) await report(plane, flags, leader);
        else if (behind === undefined) printRead(flags, { leader }, () => sentence(leader));
        else await review(plane, flags, leader);
      }),
    );
}

async function resign({ leadership }: ControlPlane, flags: Flags, leader: Leader): Promise<void> {
  const options = { deadlineMs: RESIGN_MS_MAX };
  const request = { epoch: leader.epoch };
  const next = await call(leadership, leadership.resignLeader, request, options);
  printRead(
    flags,
    { leader: next.leader, before: leader },
    () => `${leader.replica} has resigned\n${next.leader && sentence(next.leader)}`,
  );
}

async function report({ leadership }: ControlPlane, flags: Flags, leader: Leader): Promise<void> {
  const options = { deadlineMs: RESIGN_MS_MAX };
  const request = { epoch: leader.epoch };
  const { behind } = await call(leadership, leadership.reportRestore, request, options);
  printRead(flags, { leader, behind }, () =>
    [
      "nothing is decided from now on, and relays are asked what they remember",
      "  millrace leader                        what is missing here",
      "  millrace leader --raise-incarnation    go on from this store",
    ].join("\n"),
  );
}

async function review({ leadership }: ControlPlane, flags: Flags, leader: Leader): Promise<void> {
  const answer = await call(leadership, leadership.reviewRestore, {});
  printRead(flags, { leader, ...answer }, () =>
    [sentence(leader), ...describeReview(answer)].join("\n"),
  );
}

async function raise({ leadership }: ControlPlane, flags: Flags, leader: Leader): Promise<void> {
  const options = { deadlineMs: RAISE_MS_MAX };
  const request = { epoch: leader.epoch };
  const raised = await call(leadership, leadership.raiseIncarnation, request, options);
  printRead(flags, { ...raised, before: leader }, () =>
    [
      raised.leader === undefined ? "" : sentence(raised.leader),
      ...describeMissing("lost", raised.missing, raised.more),
      ...(raised.kept.length === 0
        ? []
        : [
            `machines stay as they are, until a rollout succeeds, of: ${raised.kept.join(", ")}`,
            "  millrace ship or deploy brings them to what they should run; open rollouts are paused",
          ]),
    ].join("\n"),
  );
}

function describeReview({ behind, missing, more, heard, silent }: ReviewRestoreResponse): string[] {
  const unheard = silent.length === 0 ? "" : `; not heard yet: ${silent.join(", ")}`;
  return [
    ...(behind === undefined ? [] : [describeBehind(behind)]),
    ...describeMissing("missing here", missing, more),
    `relays that have told what they know: ${heard.length}${unheard}`,
    "was it restored on purpose? millrace leader --raise-incarnation goes on from it as it is",
    "was it not? stop the control planes, and start them on the newest store",
  ];
}

function describeBehind({ relay, epoch, revision, ownEpoch, ownRevision }: StoreBehind): string {
  if (relay === "") return "the store was restored, as was said; nothing is decided";
  return (
    `the store is older than what relay ${relay} has seen (epoch ${epoch}, revision ${revision}; ` +
    `here ${ownEpoch}, ${ownRevision}); nothing is decided, machines run on`
  );
}

function describeMissing(what: string, missing: readonly MissingState[], more: boolean): string[] {
  if (missing.length === 0) return [`${what}: nothing that relays know of`];
  const rows = missing.map(({ service, rollout, release, sha, build }) =>
    [
      `  ${service}`,
      ...(rollout === "" ? [] : [`rollout ${rollout}`]),
      ...(release === "" ? [] : [`release ${release.slice(0, SHORT_DIGITS)}`]),
      ...(build === "" ? [] : [`build ${build}`]),
      ...(sha === "" ? [] : [`of ${sha.slice(0, SHORT_DIGITS)}`]),
    ].join("  "),
  );
  return [`${what}:`, ...rows, ...(more ? ["  and more"] : [])];
}

function sentence({ replica, address, epoch, sinceMs }: Leader): string {
  return `${replica} at ${address} leads with epoch ${epoch}, for ${formatAge(sinceMs, Date.now())}`;
}
