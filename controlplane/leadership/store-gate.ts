// Keeps work away from a store that went back: what would begin or decide something is refused, at any replica,
// until an operator says that this store is the one to go on from. Builds, releases and logs can be read.
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { GrpcServerOptions } from "../../runtime/grpc/server.ts";
import { behindError } from "./held-term.ts";
import type { BehindRow } from "./leader-row.ts";

type Service = GrpcServerOptions["services"][number];
type Refusable = { emit(event: "error", error: Error): unknown };
type Handler = (call: Refusable, done?: (error: Error) => void) => void;

/** Methods that only read what the store holds. */
const READS = new Set([
  "getBuild",
  "listBuilds",
  "watchBuild",
  "tailLog",
  "getRelease",
  "listReleases",
]);

/** One for all services of a replica. */
export class StoreGate {
  readonly #behind: () => BehindRow | undefined;

  /** `behind` gives what is known now; undefined: the store is the newest. */
  constructor(behind: () => BehindRow | undefined) {
    this.#behind = behind;
  }

  /** The service, refusing with FAILED_PRECONDITION while the store is behind. */
  guarded({ definition, implementation }: Service): Service {
    const guarded: UntypedServiceImplementation = {};
    for (const name of Object.keys(definition as ServiceDefinition)) {
      const handle = (implementation as Record<string, unknown>)[name] as Handler;
      guarded[name] = (READS.has(name) ? handle : this.#guard(handle)) as never;
    }
    return { definition, implementation: guarded };
  }

  #guard(handle: Handler): Handler {
    return (call, done) => {
      const behind = this.#behind();
      if (behind === undefined) handle(call, done);
      else if (done !== undefined) done(behindError(behind));
      else call.emit("error", behindError(behind));
    };
  }
}
