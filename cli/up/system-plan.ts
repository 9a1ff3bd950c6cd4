// Which programs a system on one machine consists of, and with which flags each is started. Plain data:
// starting them is `system.ts`'s business.
import { join } from "node:path";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import type { PassedFlags } from "./passed-on.ts";
import type { Program } from "./program-path.ts";

/** Names for regions where only a number is asked for. */
const REGION_NAMES = [
  "eu-west",
  "us-east",
  "ap-south",
  "us-west",
  "eu-north",
  "ap-east",
  "sa-east",
  "af-south",
  "ca-east",
  "me-central",
] as const;

const RELAYS_MAX = 8;
const AGENTS_MAX = 200;
const WORKERS_MAX = 16;
/** Whoever ends a system waits for it; builds are handed back at once. */
const DRAIN = "5s";

export interface SystemOptions {
  readonly root: string;
  /** Port of the control plane; 0: a free one. */
  readonly port: number;
  readonly regions: readonly string[];
  readonly agents: number;
  readonly relays: number;
  readonly workers: number;
  /** Agents that a relay takes; the relay's own default unless given. */
  readonly relayCapacity?: number;
  /** Labels of every agent, `k=v`. */
  readonly labels: readonly string[];
  /** URL that all blob stores lie below; the root where it is left out. */
  readonly blobs?: string;
  /** Serve metrics: each program on a free port. */
  readonly metrics: boolean;
  /** Further flags of programs, as they take them. */
  readonly passedOn?: PassedFlags;
}

/** One program of a system. */
export interface PlannedChild {
  readonly name: string;
  readonly program: Program;
  /** Flags; `listens` lists those whose port is kept from start to start. */
  readonly flags: Readonly<Record<string, string>>;
  readonly listens: readonly string[];
  readonly extra: readonly string[];
}

/** Names of regions from "3" or "eu,us"; throws CommandError. */
export function regionNames(text: string): string[] {
  if (/^\d+$/.test(text)) {
    const count = Number(text);
    if (count < 1 || count > REGION_NAMES.length) {
      throw new CommandError(EXIT.usage, `--regions ${text}: expected 1 to ${REGION_NAMES.length}`);
    }
    return REGION_NAMES.slice(0, count);
  }
  const names = text.split(",");
  for (const name of names) {
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
      throw new CommandError(
        EXIT.usage,
        `--regions: "${name}" is no name of a region (lower-case letters, digits and dashes)`,
      );
    }
  }
  if (new Set(names).size < names.length) {
    throw new CommandError(EXIT.usage, "--regions: a name twice");
  }
  return names;
}

/** Throws CommandError on a number that is out of bounds. */
export function checkSystemOptions(options: SystemOptions): void {
  checkCount("--port", options.port, 0, 65_535);
  checkCount("--workers", options.workers, 0, WORKERS_MAX);
  checkCount("--relays", options.relays, 1, RELAYS_MAX);
  checkCount("--agents", options.agents, 0, AGENTS_MAX);
}

/** The control plane of a system. */
export function planControlPlane(options: SystemOptions): PlannedChild {
  const { root } = options;
  return {
    name: "controlplane",
    program: "controlplane",
    flags: {
      "--listen": `127.0.0.1:${options.port}`,
      "--store": `sqlite:${join(root, "controlplane", "millrace.db")}`,
      "--origin": storeUrl(options, "origin"),
      ...commonFlags(options, "controlplane"),
    },
    listens: options.port === 0 ? ["--listen"] : [],
    extra: [],
  };
}

/** Workers and relays: everything that needs the control plane only. */
export function planServers(options: SystemOptions, controlplane: string): PlannedChild[] {
  const { root } = options;
  const origin = storeUrl(options, "origin");
  const workers = numbered(options.workers).map(
    (number): PlannedChild => ({
      name: `worker-${number}`,
      program: "worker",
      flags: {
        "--controlplane": controlplane,
        "--origin": origin,
        "--root": join(root, "workers", `worker-${number}`),
        ...commonFlags(options, "worker"),
      },
      listens: [],
      extra: [],
    }),
  );
  const relays = options.regions.flatMap((region) =>
    numbered(options.relays).map(
      (number): PlannedChild => ({
        name: `relay-${region}-${number}`,
        program: "relay",
        flags: {
          "--controlplane": controlplane,
          "--region": region,
          "--root": join(root, "regions", region, `relay-${number}`),
          "--origin": origin,
          "--region-store": storeUrl(options, `regions/${region}/store`),
          "--listen": "127.0.0.1:0",
          "--swarm-listen": "127.0.0.1:0",
          ...(options.relayCapacity !== undefined && {
            "--capacity": String(options.relayCapacity),
          }),
          ...commonFlags(options, "relay"),
        },
        listens: ["--listen", "--swarm-listen"],
        extra: [],
      }),
    ),
  );
  return [...workers, ...relays];
}

/** Agents: `options.agents` in each region. */
export function planAgents(options: SystemOptions, controlplane: string): PlannedChild[] {
  return options.regions.flatMap((region) =>
    numbered(options.agents).map(
      (number): PlannedChild => ({
        name: `agent-${region}-${number}`,
        program: "agent",
        flags: {
          "--join": controlplane,
          "--region": region,
          "--root": join(root(options, region), `agent-${number}`),
          "--listen": "127.0.0.1:0",
          ...commonFlags(options, "agent"),
        },
        listens: [],
        extra: [
          "--stop-services",
          "--label",
          "role=web",
          "--label",
          `index=${number}`,
          ...options.labels.flatMap((label) => ["--label", label]),
        ],
      }),
    ),
  );
}

function root(options: SystemOptions, region: string): string {
  return join(options.root, "regions", region);
}

function storeUrl({ root, blobs }: SystemOptions, name: string): string {
  if (blobs === undefined) return `file:${join(root, name)}`;
  const [place = "", settings] = blobs.split("?", 2);
  return `${place.replace(/\/$/, "")}/${name}${settings === undefined ? "" : `?${settings}`}`;
}

/** Flags of every program, and those that this one is given beside. */
function commonFlags({ metrics, passedOn }: SystemOptions, program: Program) {
  return {
    "--drain-timeout": DRAIN,
    ...(metrics && { "--metrics-port": "0" }),
    ...passedOn?.[program],
  };
}

function numbered(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

function checkCount(flag: string, count: number, countMin: number, countMax: number): void {
  if (Number.isInteger(count) && count >= countMin && count <= countMax) return;
  throw new CommandError(EXIT.usage, `${flag} ${count}: expected ${countMin} to ${countMax}`);
}
