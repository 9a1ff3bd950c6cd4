// A gRPC server of one program: limits, health, and reflection where it is a public API.
import { join } from "node:path";
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { service as healthDefinition, protoPath as healthProto } from "grpc-health-check";
import { formatAddress, type ListenAddress } from "../listen-address.ts";
import type { Log } from "../log.ts";
import type { Health } from "../program/health.ts";
import { HealthService } from "./health-service.ts";
import { SERVER_OPTIONS } from "./limits.ts";

/** The API's own files. */
const PROTOS = [
  "builds",
  "diagnosis",
  "fleet",
  "garbage",
  "history",
  "leadership",
  "release_format",
  "rollouts",
  "workers",
];

/** Calls that wait for something are sent away before a server closes; the others end at once. */
const GRACE_MS_DEFAULT = 3_000;

export interface GrpcServerOptions {
  readonly address: ListenAddress;
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  }[];
  /** Folder that holds `millrace/v1/*.proto`, for reflection; absent: no reflection. */
  readonly protoRoot?: string;
  /** False: `openCalls` knows nothing of it, and each stream costs a little less. */
  readonly isCounted?: boolean;
  readonly health: Health;
  readonly log: Log;
}

export interface GrpcServer {
  /** Where it listens, the port filled in. */
  readonly address: ListenAddress;
  /** Takes no new calls, waits so long for the running ones, milliseconds, then ends them. */
  close(graceMs?: number): Promise<void>;
}

/** Starts a server; rejects with a clear error where the address is taken. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const isCounted = options.isCounted ?? true;
  const server = new Server({ ...SERVER_OPTIONS, "grpc.enable_channelz": isCounted ? 1 : 0 });
  for (const { definition, implementation } of options.services) {
    server.addService(definition, implementation);
  }
  const health = new HealthService(options.health);
  health.addTo(server);
  if (options.protoRoot !== undefined) {
    const definitions = options.services.map(({ definition }) => definition);
    await addReflection(server, options.protoRoot, definitions);
  }
  const port = await bind(server, options.address);
  const address = { host: options.address.host, port };
  options.log.info({ address: formatAddress(address) }, "listening");
  return { address, close: (graceMs = GRACE_MS_DEFAULT) => shutdown(server, health, graceMs) };
}

function bind(server: Server, address: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    const target = formatAddress(address);
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(new Error(`cannot listen on ${target}: ${error.message}`));
    });
  });
}

function shutdown(server: Server, health: HealthService, graceMs: number): Promise<void> {
  health.close();
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Reflection reads our own proto files, never input; loaded late because it costs 50 ms. */
async function addReflection(
  server: Server,
  protoRoot: string,
  served: readonly ServiceDefinition[],
): Promise<void> {
  const { loadSync } = await import("@grpc/proto-loader");
  const { ReflectionService } = await import("@grpc/reflection");
  const files = PROTOS.map((name) => join("millrace", "v1", `${name}.proto`));
  files.push(healthProto);
  const definition = loadSync(files, { includeDirs: [protoRoot], keepCase: true });
  // The files describe services of other programs too: only what is served here is offered.
  const services = [...served, healthDefinition].map(serviceName);
  new ReflectionService(definition, { services }).addToServer(server);
}

/** Full name of a service, as its methods' paths begin: "/millrace.v1.BuildService/GetBuild". */
function serviceName(definition: ServiceDefinition): string {
  const [method] = Object.values(definition);
  if (method === undefined) throw new Error("a service without methods");
  return method.path.split("/")[1] as string;
}
