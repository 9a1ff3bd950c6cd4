// A program's health as gRPC's health service tells it. "millrace.live" is served as long as the program answers;
// "millrace.ready" while it can do its work. "", which is for those who ask of no service, is as "millrace.live",
// and not served from the moment that the program ends.
import type { Server, ServerWritableStream, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Health } from "../program/health.ts";

export const LIVE_SERVICE = "millrace.live";
export const READY_SERVICE = "millrace.ready";

type Watcher = ServerWritableStream<unknown, unknown>;

/** Serves a program's health. */
export class HealthService {
  readonly #statuses = new HealthImplementation({
    "": "SERVING",
    [LIVE_SERVICE]: "SERVING",
    [READY_SERVICE]: "NOT_SERVING",
  });
  readonly #watchers = new Set<Watcher>();

  constructor(health: Health) {
    const tell = (): void => {
      this.#statuses.setStatus(READY_SERVICE, health.isReady ? "SERVING" : "NOT_SERVING");
    };
    tell();
    health.onChange(tell);
  }

  addTo(server: Server): void {
    const addService: Server["addService"] = (definition, implementation) => {
      server.addService(definition, this.#followed(implementation));
    };
    this.#statuses.addToServer({ addService } as Server);
  }

  /** The program ends: says so, and ends the watches, for which a closing server would wait. */
  close(): void {
    for (const name of ["", READY_SERVICE]) this.#statuses.setStatus(name, "NOT_SERVING");
    for (const watcher of this.#watchers) watcher.end();
  }

  /** The implementation, whose watches are known here. */
  #followed(implementation: UntypedServiceImplementation): UntypedServiceImplementation {
    const watch = implementation["watch"] as (call: Watcher) => void;
    return {
      ...implementation,
      watch: (call: Watcher) => {
        this.#watchers.add(call);
        call.on("close", () => this.#watchers.delete(call));
        call.on("cancelled", () => this.#watchers.delete(call));
        watch(call);
      },
    };
  }
}
