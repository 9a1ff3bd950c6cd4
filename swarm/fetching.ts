// One fetch: the swarm joined, the desk visited, and the end of it, good or bad. The pieces and whom they
// come from are the swarm's business; this knows when the file is whole and what stands in the way.
import type { DeskMember } from "../core/introduction/introduction-desk.ts";
import type { Hello } from "../core/swarm/frame.ts";
import type { Swarm } from "../runtime/peer/swarm.ts";
import { type SwarmNode, UNKNOWN_SWARM } from "../runtime/peer/swarm-node.ts";
import { CommandError, EXIT, type ExitCode } from "../runtime/program/exit-codes.ts";
import { formatDuration } from "../runtime/recipe/duration.ts";
import { Desk } from "./desk.ts";
import { visitDesk } from "./desk-visit.ts";
import { describeFetch, type FileProgress, type Report } from "./report.ts";
import { TableClaim } from "./table-proof.ts";
import type { TargetFile } from "./target-file.ts";
import type { Ticket } from "./ticket.ts";

/** How long a desk that has never answered is tried. */
const FIRST_ANSWER_MS_MAX = 30_000;

export interface FetchingOptions {
  readonly ticket: Ticket;
  /** Of the desk. */
  readonly from: string;
  readonly node: SwarmNode;
  readonly target: TargetFile;
  /** Infinity: no limit. */
  readonly timeoutMs: number;
}

export class Fetching {
  readonly #options: FetchingOptions;
  readonly #report: Report;
  readonly #claim: TableClaim;
  readonly #swarm: Swarm;
  readonly #desk: Desk;
  /** Before, the table is fetched, and no piece. */
  readonly #begun = Promise.withResolvers<void>();
  #startedAt = Number.POSITIVE_INFINITY;
  /** Ends the visits. */
  readonly #over = new AbortController();
  readonly #whole = Promise.withResolvers<void>();
  #wasAnswered = false;
  #isAway = false;

  /** Joins the swarm and visits its desk, for the table alone; what an earlier process fetched counts at once. */
  constructor(options: FetchingOptions, report: Report) {
    const { node, target, ticket } = options;
    this.#options = options;
    this.#report = report;
    this.#claim = new TableClaim(ticket, target.store.rows());
    this.#swarm = node.join(ticket.swarm, target.store, [], ticket.isUrgent);
    this.#desk = new Desk({ node, swarm: ticket.swarm, table: () => this.#claim.proven });
    // What fails before somebody waits for the end is told to who does.
    this.#whole.promise.catch(() => {});
    this.#visit();
  }

  /** Fetches; resolves when the file is whole and has its name. Throws CommandError. */
  async run(stop: AbortSignal): Promise<void> {
    const { timeoutMs } = this.#options;
    this.#startedAt = performance.now();
    this.#swarm.want("all");
    this.#begun.resolve();
    const interrupted = () => this.#fail(EXIT.interrupted, "interrupted; the same command goes on");
    stop.addEventListener("abort", interrupted, { once: true });
    if (stop.aborted) interrupted();
    const isLimited = Number.isFinite(timeoutMs);
    const timer = isLimited ? setTimeout(() => this.#late(), timeoutMs) : undefined;
    const forget = [
      this.#swarm.onPiece(() => this.#look()),
      this.#swarm.onFailed(({ message }) => this.#fail(EXIT.error, message)),
    ];
    try {
      this.#look();
      await this.#whole.promise;
      await this.#options.target.complete();
      this.#tellDone();
    } finally {
      stop.removeEventListener("abort", interrupted);
      clearTimeout(timer);
      for (const end of forget) end();
    }
  }

  /** Leaves the desk. */
  leave(): void {
    this.#over.abort();
  }

  #visit(): void {
    const { node, ticket, from } = this.#options;
    const visit = {
      node,
      swarm: ticket.swarm,
      address: from,
      ownAddress: node.address,
      claim: this.#claim,
      begun: this.#begun.promise,
      onSeek: (callback: () => void) => this.#swarm.onSeek(callback),
      onHost: (hello: Hello) => this.#meetHost(hello),
      onMembers: (members: readonly DeskMember[]) => this.#meet(members),
      onProven: () => this.#learnRows(),
      onRefused: ({ message }: Error) =>
        this.#fail(EXIT.conflict, `${from} told ${message}; nothing of it was taken`),
      onAway: (reason: string) => this.#away(reason),
    };
    visitDesk(visit, this.#over.signal).catch((error: Error) => this.#whole.reject(error));
  }

  #meetHost({ peer, role }: Hello): void {
    const { from } = this.#options;
    if (this.#isAway) this.#report.event("back", { from }, `${from} answers again`);
    this.#wasAnswered = true;
    this.#isAway = false;
    this.#swarm.introduce([{ peerId: peer, address: from, role }]);
  }

  #meet(members: readonly DeskMember[]): void {
    const peers = members.map(({ peer, address }) => ({ peerId: peer, address }));
    this.#swarm.introduce(peers.map((one) => ({ ...one, role: "agent" })));
  }

  /** Hands on rows that are proven now; those of an earlier process are known. */
  #learnRows(): void {
    const known = this.#options.target.store.rows().length;
    this.#swarm.extend(this.#claim.proven.rows.subarray(known));
    this.#desk.tableGrown();
    this.#look();
  }

  #look(): void {
    const { have, wanted } = this.#swarm.progress();
    if (this.#startedAt === Number.POSITIVE_INFINITY) return;
    if (this.#claim.proven.proof.isSealed && have === wanted) this.#whole.resolve();
  }

  #away(reason: string): void {
    const { from, ticket } = this.#options;
    if (reason.includes(UNKNOWN_SWARM)) {
      this.#fail(
        EXIT.conflict,
        `${from} does not seed ${ticket.name}: the ticket is of another seed`,
      );
      return;
    }
    const triedMs = performance.now() - this.#startedAt;
    if (!this.#wasAnswered && triedMs > FIRST_ANSWER_MS_MAX && this.#claim.next === 0) {
      this.#fail(EXIT.error, `nobody answers at ${from}: ${reason}; see --from`);
      return;
    }
    if (!this.#isAway) {
      this.#report.event("away", { from, reason }, `${from}: ${reason}; it is tried again`);
    }
    this.#isAway = true;
  }

  #late(): void {
    const { timeoutMs } = this.#options;
    const { have, wanted } = this.#swarm.progress();
    const far = wanted === 0 ? "nothing is known of it" : `${have} of ${wanted} pieces are there`;
    const what = `not whole after ${formatDuration(timeoutMs)}: ${far}; the same command goes on`;
    this.#fail(EXIT.waitTimedOut, what);
  }

  #fail(exitCode: ExitCode, message: string): void {
    this.#whole.reject(new CommandError(exitCode, message));
  }

  /** How far it is. */
  progress(): FileProgress {
    const { bytesHave, bytesWanted } = this.#swarm.progress();
    const { isSealed } = this.#claim.proven.proof;
    const wanted = this.#options.ticket.bytes ?? bytesWanted;
    const { sent: bytesSent } = this.#swarm.bytes;
    return { bytesHave, bytesWanted: wanted, isSealed, bytesSent, peers: this.#swarm.peers() };
  }

  #tellDone(): void {
    const { path } = this.#options.target;
    const { bytesHave: bytes, fromRelay, fromPeers } = this.#swarm.progress();
    const ms = Math.round(performance.now() - this.#startedAt);
    const fields = { path, bytes, ms, fromSeed: fromRelay, fromPeers };
    this.#report.event("done", fields, `${path}: ${describeFetch(bytes, ms)}`);
  }
}
