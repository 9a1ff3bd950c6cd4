// Connections that the agents of a load run share: a machine has not ports and memory for 100,000 of its own. Each
// takes so many streams, then the next one is opened; real agents have one each.
import type { Client } from "@grpc/grpc-js";
import type { Ways } from "../../runtime/agent/relay-session.ts";
import { type ClientClass, connect } from "../../runtime/grpc/client.ts";

interface Shared {
  readonly client: Client;
  readonly place: string;
  uses: number;
}

/**
 * Without its own pool a process has one connection to each address, whatever the number of clients. Relays and drivers
 * share the processors: an answer that takes long is no sign that a relay is lost, and 250 agents would come back at once.
 */
const OPTIONS = { "grpc.use_local_subchannel_pool": 1, "grpc.keepalive_timeout_ms": 60_000 };

/** Clients by service and address, each used by `usersMax` agents at most. */
export class SharedConnections implements Ways {
  readonly #usersMax: number;
  readonly #shared = new Map<Client, Shared>();
  /** The connection of each place that has room. */
  readonly #open = new Map<string, Shared>();

  constructor(usersMax: number) {
    this.#usersMax = usersMax;
  }

  /** Connections that are open or opening. */
  get size(): number {
    return this.#shared.size;
  }

  open<C extends Client>(Constructor: ClientClass<C>, address: string): C {
    const place = `${Constructor.name} ${address}`;
    let shared = this.#open.get(place);
    if (shared === undefined) {
      const client = connect(Constructor, address, OPTIONS);
      shared = { client, place, uses: 0 };
      this.#shared.set(client, shared);
      this.#open.set(place, shared);
    }
    shared.uses += 1;
    if (shared.uses === this.#usersMax) this.#open.delete(place);
    return shared.client as C;
  }

  close(client: Client): void {
    const shared = this.#shared.get(client);
    if (shared === undefined) return;
    shared.uses -= 1;
    if (shared.uses > 0) return;
    this.#shared.delete(client);
    if (this.#open.get(shared.place) === shared) this.#open.delete(shared.place);
    client.close();
  }
}
