// Runs the machine of one service against this disk and these processes: effects are begun in order,
// each only after what it relies on is durable, and what they come to is told back as facts.
import { join } from "node:path";
import type { Span } from "@opentelemetry/api";
import type { Effect, Input, ServiceReport } from "../core/fleet/agent-facts.ts";
import type { Journal } from "../core/fleet/agent-journal.ts";
import { ServiceMachine } from "../core/fleet/agent-machine.ts";
import type { Step } from "../core/fleet/agent-switch.ts";
import type { HeldRelease } from "../core/fleet/disk-budget.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  Permit as PermitMessage,
  ServiceAssignments,
  ServiceStatus,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import { readOrders, readPermit, recordsOf, writeStatus } from "../runtime/agent/wire.ts";
import { Driver } from "../runtime/driver.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import { pause } from "../runtime/program/back-off.ts";
import { counter, openSpan } from "../runtime/telemetry.ts";
import { heldReleases } from "./held-releases.ts";
import { refusals } from "./refusals.ts";
import { removeTree } from "./remove-tree.ts";
import { ServiceActivation } from "./run/activation.ts";
import { findProcesses, isAlive, type ServiceProcess } from "./run/service-process.ts";
import { ServiceFolder } from "./service-folder.ts";
import { ServiceStager } from "./service-stager.ts";
import { ReleaseFlush } from "./stage/release-flush.ts";
import type { PackShelf } from "./swarm/pack-shelf.ts";

/** Between two looks at the health of a release that runs. */
const PROBE_MS = 10_000;
/** Between two reports of bytes while they come. */
const PROGRESS_MS = 1_000;
/** Before a journal that could not be written is written again. */
const PERSIST_RETRY_MS = 1_000;

export interface ServiceRunnerOptions {
  readonly service: string;
  /** The agent's root. */
  readonly root: string;
  readonly candidate: Candidate;
  readonly shelf: PackShelf;
  readonly keepReleases: number;
  readonly log: Log;
  /** The service stands otherwise than before. */
  readonly changed: (status: ServiceStatus) => void;
}

/** Effects whose order matters. */
type Queued = Exclude<Effect, { kind: "report" | "refuse" | "refuse-orders" }>;

export class ServiceRunner {
  readonly #options: ServiceRunnerOptions;
  readonly #folder: ServiceFolder;
  readonly #trash: string;
  readonly #activation: ServiceActivation;
  readonly #stager: ServiceStager;
  readonly #flush: ReleaseFlush;
  readonly #driver: Driver<Input, Effect>;
  readonly #records = new Map<string, Release>();
  readonly #traceparents = new Map<string, string>();
  readonly #queue: Queued[] = [];
  readonly #switches = counter("millrace.agent.switches", "Switches ended, by outcome", "{switch}");
  readonly #refused = refusals();
  #draining = false;
  #stopped = false;
  #journal: Journal;
  #report: ServiceReport | undefined;
  #sent = "";
  #trouble = "";
  #step = new AbortController();
  #performing: Step["do"] | undefined;
  /** Those who wait for a switch to be over. */
  readonly #settling: (() => void)[] = [];
  #watched: string | undefined;
  #span: Span | undefined;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: ServiceRunnerOptions) {
    this.#options = options;
    const { service, root, candidate, log, shelf } = options;
    this.#folder = new ServiceFolder(join(root, service));
    this.#trash = join(root, ".trash");
    const { journal, got } = this.#folder.readState();
    this.#journal = journal;
    this.#activation = new ServiceActivation({
      ...{ service, agentId: candidate.agentId, region: candidate.region },
      folder: this.#folder,
      record: (release) => this.#record(release),
      exited: (release, detail) => {
        log.warn({ service, release, detail }, "service process ended");
        this.#tell({ kind: "exited", release, detail });
      },
      changed: () => this.#writeProcesses(),
    });
    const folder = this.#folder;
    const workRoot = join(root, ".staging", service);
    const tell = (fact: Input): void => this.#tell(fact);
    this.#flush = new ReleaseFlush(folder, log);
    const staging = { service, folder, shelf, flush: this.#flush, workRoot, log, tell };
    this.#stager = new ServiceStager(staging, got);
    const machine = new ServiceMachine({ candidate, journal, keepReleases: options.keepReleases });
    this.#driver = new Driver(machine, { perform: (effect) => this.#perform(effect) });
  }

  /** Looks at what an earlier life left, and goes on from there. */
  async start(): Promise<void> {
    await this.#stager.clean();
    const { processes } = this.#folder.readState();
    const { service, candidate } = this.#options;
    const found = findProcesses(candidate.agentId, service);
    for (const [release, process] of [...found, ...Object.entries(processes)]) {
      if (isAlive(process)) this.#activation.adopt(release, process);
    }
    await this.#discardTorn();
    const running = Object.keys(this.#activation.processes);
    const onDisk = this.#folder.releases();
    this.#tell({ kind: "booted", findings: { onDisk, running, pointed: this.#folder.pointed() } });
    this.#timers.push(setInterval(() => this.#probe(), PROBE_MS));
    this.#timers.push(setInterval(() => this.#send(), PROGRESS_MS));
  }

  /** Throws WireError for assignments that cannot be followed. */
  assigned(message: ServiceAssignments): void {
    const orders = readOrders(message);
    for (const record of recordsOf(message)) this.#records.set(record.release, record);
    for (const { rollout, traceparent } of message.assignments) {
      this.#traceparents.set(rollout, traceparent);
    }
    this.#tell({ kind: "assigned", orders });
  }

  /** Throws WireError for a permit that says nothing. */
  permitted(message: PermitMessage): void {
    this.#tell({ kind: "permitted", permit: readPermit(message) });
  }

  /** How it stands; undefined before `start`. */
  status(): ServiceStatus | undefined {
    if (this.#report === undefined) return undefined;
    const process = this.#runningProcess();
    return writeStatus(this.#options.service, this.#report, {
      bytes: this.#stager.bytesOf(this.#report.rollout),
      missingBytes: this.#stager.progress.missingBytes,
      pid: process?.pid ?? 0,
      port: process?.port ?? 0,
      trouble: this.#trouble,
    });
  }

  /** What it has on disk, or brings there. */
  held(): HeldRelease[] {
    return heldReleases(this.#options.service, this.#folder, this.#journal, this.#report?.release);
  }

  /** Lets go of these releases where nothing needs them. */
  evict(releases: readonly string[]): void {
    this.#tell({ kind: "evicted", releases });
  }

  /** What it does, in a word. */
  get phase(): string {
    return this.#report?.phase ?? "starting";
  }

  /**
   * Resolves when no switch is half-way: the service runs, or there is nothing but a check to wait for, which
   * the next life of this agent does again.
   */
  async settled(): Promise<void> {
    while (
      this.#journal.switching !== undefined &&
      this.#performing !== "check" &&
      !this.#stopped
    ) {
      await new Promise<void>((resolve) => this.#settling.push(resolve));
    }
  }

  #changed(): void {
    for (const look of this.#settling.splice(0)) look();
  }

  /** Stops looking after the service, which runs on unless `stopService`. */
  async stop(stopService: boolean): Promise<void> {
    this.#stopped = true;
    this.#changed();
    this.#driver.stop();
    for (const timer of this.#timers) clearInterval(timer);
    this.#step.abort();
    await this.#stager.stop();
    this.#flush.stop();
    if (stopService) {
      const releases = Object.keys(this.#activation.processes);
      await Promise.all(releases.map((release) => this.#activation.stop(release)));
    }
    this.#activation.detach();
  }

  /** A power loss may have torn what was not on disk yet: that is fetched again, not run. */
  async #discardTorn(): Promise<void> {
    const { service, log } = this.#options;
    const onDisk = this.#folder.releases();
    const torn = new Set(await this.#flush.torn(onDisk));
    if (torn.size > 0) log.warn({ service, releases: [...torn] }, "torn releases are dropped");
    this.#collect(new Set(onDisk.filter((release) => !torn.has(release))));
  }

  #tell(fact: Input): void {
    if (!this.#stopped) this.#driver.input(fact);
  }

  #perform(effect: Effect): void {
    const { service, log } = this.#options;
    if (effect.kind === "report") {
      this.#report = effect.status;
      const { phase, release, running, error } = effect.status;
      log.info({ service, phase, release, running, ...(error && { error }) }, "service stands");
      this.#send();
      return;
    }
    if (effect.kind === "refuse") {
      const { permit, reason, isOld } = effect;
      log.warn({ service, permit: permit.id, reason }, "permit refused");
      if (isOld) this.#refused.add(1, { command: "permit" });
      return;
    }
    if (effect.kind === "refuse-orders") {
      const { epoch, revision } = effect.orders;
      const highest = { epoch: this.#journal.epoch, revision: this.#journal.revision };
      log.warn({ service, epoch, revision, highest }, "refused assignments of old");
      this.#refused.add(1, { command: "assignments" });
      return;
    }
    this.#queue.push(effect);
    if (!this.#draining) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    for (let effect = this.#queue.shift(); effect; effect = this.#queue.shift()) {
      if (effect.kind === "persist") await this.#persist(effect.journal);
      else this.#begin(effect);
      if (this.#stopped) return;
    }
    this.#draining = false;
  }

  #begin(effect: Exclude<Queued, { kind: "persist" }>): void {
    switch (effect.kind) {
      case "stage":
        this.#stage(effect.release, effect.rollout);
        break;
      case "unstage":
        this.#stager.giveUp();
        break;
      case "perform":
        void this.#performStep(effect);
        break;
      case "restart":
        void this.#activation.restart(effect.release);
        break;
      case "reap":
        void this.#activation.stop(effect.release);
        break;
      case "repoint":
        this.#attempt("set current", () => this.#activation.point(effect.release));
        break;
      case "watch":
        this.#watched = effect.release;
        break;
      case "collect":
        this.#attempt("delete old releases", () => this.#collect(new Set(effect.keep)));
        break;
      default:
        effect satisfies never;
    }
  }

  /** Nothing goes on before the journal is on disk; a full disk is waited for. */
  async #persist(journal: Journal): Promise<void> {
    this.#trace(journal);
    this.#journal = journal;
    while (!this.#stopped) {
      try {
        this.#writeState();
        this.#trouble = "";
        break;
      } catch (error) {
        this.#trouble = `the state of the service cannot be written: ${(error as Error).message}`;
        this.#options.log.error({ service: this.#options.service, err: error }, this.#trouble);
        this.#send();
        await pause(PERSIST_RETRY_MS);
      }
    }
    this.#changed();
    const { switching } = journal;
    if (switching?.direction === "undo" || switching?.isRollback) failpoint("agent.mid-revert");
  }

  #writeState(): void {
    const { processes } = this.#activation;
    this.#folder.writeState({ journal: this.#journal, processes, got: this.#stager.got });
  }

  /** A table that could not be written is made up for by looking through /proc. */
  #writeProcesses(): void {
    this.#attempt("write the processes", () => this.#writeState());
    this.#send();
  }

  #stage(release: string, rollout: string): void {
    const record = this.#record(release);
    if (record === undefined) {
      const error = `release ${release} is not on disk, and nobody has told where its packs are`;
      this.#tell({ kind: "staging-failed", release, error, hopeless: true });
      return;
    }
    const { current } = this.#journal;
    const base = current?.release ?? this.#folder.releases().at(-1);
    const traceparent = this.#traceparents.get(rollout) ?? "";
    this.#stager.begin({ record, base, rollout, traceparent });
  }

  async #performStep({ number, step }: Extract<Effect, { kind: "perform" }>): Promise<void> {
    this.#step.abort();
    this.#step = new AbortController();
    this.#performing = step.do;
    this.#changed();
    const error = await this.#activation.perform(step, this.#step.signal);
    this.#performing = undefined;
    this.#span?.addEvent(`${step.do} ${error ?? "done"}`);
    this.#tell({ kind: "performed", number, error });
  }

  /** One span for each switch, from its journal's first to its last mention. */
  #trace({ switching, outcome }: Journal): void {
    if (switching !== undefined && this.#span === undefined) {
      const parent = this.#traceparents.get(switching.rollout);
      const attributes = {
        "millrace.service": this.#options.service,
        "millrace.release": switching.to?.release ?? "",
      };
      this.#span = openSpan("agent.activate", { parent, attributes });
    }
    if (switching !== undefined || this.#span === undefined) return;
    this.#span.setAttribute("millrace.outcome", outcome?.kind ?? "");
    this.#switches.add(1, { outcome: outcome?.kind ?? "none" });
    this.#span.end();
    this.#span = undefined;
  }

  #collect(keep: ReadonlySet<string>): void {
    this.#folder.discard(keep, this.#trash);
    removeTree(this.#trash).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "old releases not deleted");
    });
  }

  #probe(): void {
    const release = this.#watched;
    if (release === undefined || this.#journal.switching !== undefined) return;
    this.#activation.probe(release).then(
      (healthy) => this.#tell({ kind: "probed", release, healthy }),
      () => {},
    );
  }

  #send(): void {
    const status = this.status();
    if (status === undefined || this.#stopped) return;
    const text = JSON.stringify(status);
    if (text === this.#sent) return;
    this.#sent = text;
    this.#options.changed(status);
  }

  #attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.warn({ service: this.#options.service, err: error }, `cannot ${what}`);
    }
  }

  #record(release: string): Release | undefined {
    return this.#records.get(release) ?? this.#folder.readRecord(release);
  }

  #runningProcess(): ServiceProcess | undefined {
    const { current, switching } = this.#journal;
    const release = switching?.to?.release ?? current?.release ?? "";
    return (
      this.#activation.processOf(release) ?? this.#activation.processOf(current?.release ?? "")
    );
  }
}
