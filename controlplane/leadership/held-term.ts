// The term of a leader whose store went back: it decides nothing and tells relays nothing but to say what they
// remember. It ends when an operator says that this store is the one to go on from; that raises the incarnation,
// so that relays and machines obey it, whatever epochs they have seen.
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { isLive, packOf } from "../../core/builds/build-row.ts";
import { reissue } from "../../core/builds/build-transitions.ts";
import type { DiagnosisServiceServer } from "../../proto/gen/millrace/v1/diagnosis.ts";
import type {
  ConnectRelayRequest,
  ConnectRelayResponse,
  RelayServiceServer,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { failedPrecondition, invalid, type RpcError } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { type Store, scan } from "../../runtime/store/store.ts";
import { TRANSACTION_OPERATIONS_MAX } from "../../runtime/store/store-limits.ts";

import type { BuildTable } from "../builds/build-table.ts";
import { heldDiagnosisService } from "../diagnosis/diagnosis-service.ts";
import { type Fence, FenceLostError } from "../fence.ts";
import { parseRelay, RELAYS_PREFIX } from "../fleet/relay-row.ts";
import { helloFault } from "../fleet/relay-service.ts";
import { droppedKey, markKey } from "../garbage/pack-mark-row.ts";
import { keepService } from "../rollouts/keep-service.ts";
import { type BehindRow, incarnationOperations } from "./leader-row.ts";
import { RestoreReview, type Review } from "./restore-review.ts";
import { replacingOperations, type StoreName } from "./store-name.ts";

/** A relay whose memory does not come in this time is let go; it comes back. */
const MEMORY_MS_MAX = 10_000;

/** Packs of one transaction: two keys each, and a compare. */
const SPARED_MAX = Math.floor((TRANSACTION_OPERATIONS_MAX - 1) / 2);

type Stream = ServerDuplexStream<ConnectRelayRequest, ConnectRelayResponse>;

export interface HeldTermOptions {
  readonly store: Store;
  readonly storeName: StoreName;
  readonly fence: Fence;
  readonly builds: BuildTable;
  readonly behind: BehindRow;
  readonly log: Log;
}

/** What is known of the store and of what it lacks. */
export interface RestoreReport extends Review {
  readonly behind: BehindRow;
  /** Relays by id: those that have told what they remember, and those that are registered and have not. */
  readonly heard: readonly string[];
  readonly silent: readonly string[];
}

/** A term in which nothing is decided. */
export class HeldTerm {
  readonly kind = "held";
  readonly fence: Fence;
  readonly relayService: RelayServiceServer;
  readonly diagnosisService: DiagnosisServiceServer;
  readonly #options: HeldTermOptions;
  readonly #review: RestoreReview;
  readonly #streams = new Set<Stream>();
  /** Stores that relays have followed, this one too, and the highest epoch that they have seen of any. */
  readonly #stores = new Set<string>();
  #highest: number;

  constructor(options: HeldTermOptions) {
    this.#options = options;
    this.#highest = options.behind.epoch;
    this.fence = options.fence;
    this.#review = new RestoreReview(options.store, options.fence.epoch);
    this.diagnosisService = heldDiagnosisService(lossOf(options.behind), options.log);
    this.relayService = { connectRelay: (stream) => this.#ask(stream) };
    options.log.error({ ...options.behind }, sentenceOf(options.behind));
  }

  /** What the store lacks, as far as relays have told. */
  async report(): Promise<RestoreReport> {
    const { store, behind } = this.#options;
    const { heard } = this.#review;
    const silent: string[] = [];
    for await (const entry of scan(store, RELAYS_PREFIX)) {
      const { relay } = parseRelay(entry);
      if (!heard.includes(relay)) silent.push(relay);
    }
    return { behind, heard, silent, ...(await this.#review.compare()) };
  }

  /**
   * Goes on from this store: machines of services that relays know better stay as they are, live builds are done
   * again under attempts that nobody had, and then the incarnation is raised, which ends this term. Resolves with
   * what is lost; throws FenceLostError where another leads.
   */
  async raise(): Promise<RestoreReport> {
    const { store, storeName, fence, log } = this.#options;
    const report = await this.report();
    for (const service of report.services) await keepService(store, fence, service);
    const packs = new Set([...report.packs, ...(await this.#reissueBuilds())]);
    await this.#spare([...packs]);
    const operations = [
      ...(await incarnationOperations(store, this.#highest)),
      ...replacingOperations(storeName, this.#stores),
    ];
    const { committed } = await store.transact({ compares: [fence.compare], operations });
    if (!committed) throw new FenceLostError();
    for (const missing of report.missing) log.error({ ...missing }, "lost with the newer store");
    log.warn({ services: report.services, lost: report.missing.length }, "raised the incarnation");
    return report;
  }

  /** Ends the streams that are open. */
  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.end();
  }

  /** Has every live build done again; resolves with the packs of the attempts that are given up. */
  async #reissueBuilds(): Promise<string[]> {
    const { builds, fence } = this.#options;
    const packs: string[] = [];
    for (const { id } of (await builds.live()).rows) {
      const result = await builds.change(id, (row) => reissue(row, Date.now()), fence);
      if (result.ok && isLive(result.before) && result.before.attempt > 0) {
        packs.push(packOf(id, result.before.attempt));
      }
    }
    return packs;
  }

  /** Packs that are marked for deletion here may belong to releases that this store has forgotten. */
  async #spare(packs: readonly string[]): Promise<void> {
    const { store, fence } = this.#options;
    for (let from = 0; from < packs.length; from += SPARED_MAX) {
      const some = packs.slice(from, from + SPARED_MAX);
      const keys = some.flatMap((pack) => [droppedKey(pack), markKey(pack)]);
      const operations = keys.map((key) => ({ delete: key }));
      const { committed } = await store.transact({ compares: [fence.compare], operations });
      if (!committed) throw new FenceLostError();
    }
  }

  /** Asks a relay what it remembers, and sends it away. */
  #ask(stream: Stream): void {
    let relay = "";
    const over = (): void => {
      clearTimeout(timer);
      this.#streams.delete(stream);
    };
    const end = (error: RpcError): void => {
      if (this.#streams.has(stream)) stream.emit("error", error);
      over();
    };
    const timer = setTimeout(() => end(invalid("memory: none came in time")), MEMORY_MS_MAX);
    this.#streams.add(stream);
    stream.on("cancelled", over);
    stream.on("error", over);
    stream.on("end", () => {
      stream.end();
      over();
    });
    stream.on("data", ({ message }: ConnectRelayRequest) => {
      if (message?.$case === "hello" && relay === "") {
        const wrong = helloFault(message.hello);
        if (wrong !== undefined) return end(invalid(wrong));
        relay = message.hello.relay;
        this.#stores.add(message.hello.store);
        this.#highest = Math.max(this.#highest, message.hello.epoch);
        stream.write({ command: { $case: "recall", recall: {} } });
      } else if (message?.$case === "memory" && relay !== "") {
        const isAll = this.#review.hear(relay, message.memory);
        if (isAll) end(behindError(this.#options.behind));
      }
    });
  }
}

/** What whoever asks the leader to decide is told meanwhile. */
export function behindError(behind: BehindRow): RpcError {
  return failedPrecondition(sentenceOf(behind));
}

/** By what it is known that the store went back. */
function lossOf({ relay, epoch, revision, ownEpoch, ownRevision }: BehindRow): string {
  if (relay === "") return "an operator says that the store was restored";
  return (
    `relay ${relay} has seen epoch ${epoch} and revision ${revision}, this store had epoch ` +
    `${ownEpoch} at revision ${ownRevision}: it is older`
  );
}

function sentenceOf(behind: BehindRow): string {
  return (
    `${lossOf(behind)}. Nothing is decided, machines run on. \`millrace leader\` tells what is missing; ` +
    "`millrace leader --raise-incarnation` goes on from this store"
  );
}
