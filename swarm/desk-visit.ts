// A peer's side of a desk: it comes, asks for the piece table row after row, hears of members once it has
// begun to fetch, and comes again when the connection is lost. A desk that is away is no failure of a swarm that knows its table.
import { decodeNote } from "../core/introduction/desk-note.ts";
import type { DeskMember } from "../core/introduction/introduction-desk.ts";
import { FrameError, type Hello } from "../core/swarm/frame.ts";
import type { Connection } from "../runtime/peer/connection.ts";
import type { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { BackOff } from "../runtime/program/back-off.ts";
import { deskName, tell } from "./desk.ts";
import { type TableClaim, TableRefused } from "./table-proof.ts";

/** Bounds of the wait before the desk is visited again. */
const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 5_000;

export interface DeskVisitOptions {
  readonly node: SwarmNode;
  readonly swarm: string;
  /** Of the desk, host:port. */
  readonly address: string;
  /** Where others can dial us; "": nowhere. */
  readonly ownAddress: string;
  readonly claim: TableClaim;
  /** Resolves when we fetch: nobody is told of us before. */
  readonly begun: Promise<void>;
  /** Calls back when more members are to be asked for; returns how to stop that. */
  readonly onSeek: (callback: () => void) => () => void;
  /** Who answers at the desk. */
  readonly onHost: (hello: Hello) => void;
  readonly onMembers: (members: readonly DeskMember[]) => void;
  /** More rows are proven, or that they are all. */
  readonly onProven: () => void;
  /** What the desk told is not the ticket's. */
  readonly onRefused: (refused: TableRefused) => void;
  /** The desk could not be reached, or was lost. */
  readonly onAway: (reason: string) => void;
}

/** Keeps a connection to the desk until the signal. */
export async function visitDesk(options: DeskVisitOptions, signal: AbortSignal): Promise<void> {
  const backOff = new BackOff(RETRY_MS_MIN, RETRY_MS_MAX);
  while (!signal.aborted) {
    const reason = await visitOnce(options, signal, () => backOff.reset());
    if (signal.aborted) return;
    options.onAway(reason);
    await backOff.wait(signal);
  }
}

/** Resolves with the reason when the visit is over. */
function visitOnce(
  options: DeskVisitOptions,
  signal: AbortSignal,
  answered: () => void,
): Promise<string> {
  const { node, swarm, address, ownAddress, claim, begun, onSeek } = options;
  return new Promise((resolve) => {
    void node.callDesk(deskName(swarm), address, {
      failed: resolve,
      answered: (connection, hello) => {
        answered();
        let said: string | undefined;
        const join = () => tell(connection, { kind: "join", address: ownAddress });
        // Joining once more asks for more members.
        const stopSeeking = onSeek(join);
        const leave = () => {
          connection.close("done");
          resolve("left");
        };
        signal.addEventListener("abort", leave, { once: true });
        connection.greeted({
          frame: (frame) => {
            if (frame.kind === "note") hear(options, connection, frame.bytes);
            else if (frame.kind === "bye") said = `it said: ${frame.reason}`;
          },
          block: (_, buffer) => {
            connection.release(buffer);
            connection.destroy();
          },
          closed: (reason) => {
            signal.removeEventListener("abort", leave);
            stopSeeking();
            resolve(said ?? reason);
          },
        });
        options.onHost(hello);
        claim.restart();
        ask(connection, claim);
        void begun.then(join);
      },
    });
  });
}

function hear(options: DeskVisitOptions, connection: Connection, bytes: Uint8Array): void {
  const { claim, onMembers, onProven, onRefused } = options;
  const note = decodeNote(bytes);
  if (note.kind === "members") onMembers(note.members);
  if (note.kind !== "rows") return;
  try {
    if (claim.take(note.first, note.rows, note.proof)) onProven();
    ask(connection, claim);
  } catch (error) {
    if (!(error instanceof TableRefused)) throw error;
    onRefused(error);
    throw new FrameError(error.message);
  }
}

function ask(connection: Connection, claim: TableClaim): void {
  if (!claim.proven.proof.isSealed) tell(connection, { kind: "ask", first: claim.next });
}
