// RelayService at any replica: the leader takes a relay's stream; another holds it until it is known who leads,
// and then sends the relay there. It holds it for a while only, so that the relay tries others too.
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type {
  ConnectRelayRequest,
  ConnectRelayResponse,
  RelayServiceServer,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { Candidate } from "./candidate.ts";
import type { Terms } from "./terms.ts";

/** An election takes 4 s at most; the relay itself leaves a silent stream after 3 s. */
const HELD_MS_MAX = 5_000;
/** Before a relay comes to the leader that it was told of, which may be dying: it asks once more then. */
const REDIRECTED_MS = 50;

export interface RelayDoorOptions {
  readonly candidate: Pick<Candidate, "leaderElsewhere" | "until">;
  readonly terms: Pick<Terms, "current">;
  /** Aborted when the program ends. */
  readonly closing: AbortSignal;
}

/** Makes the service. */
export function relayDoor(options: RelayDoorOptions): RelayServiceServer {
  return {
    connectRelay: (stream) => {
      const term = options.terms.current;
      if (term !== undefined) term.relayService.connectRelay(stream);
      else void hold(options, stream);
    },
  };
}

async function hold(
  { candidate, closing }: RelayDoorOptions,
  stream: ServerDuplexStream<ConnectRelayRequest, ConnectRelayResponse>,
): Promise<void> {
  const gone = new AbortController();
  stream.on("cancelled", () => gone.abort());
  stream.on("error", () => gone.abort());
  stream.on("data", () => {});
  const timeout = AbortSignal.timeout(HELD_MS_MAX);
  try {
    await candidate.until(
      (leader) => leader !== undefined,
      AbortSignal.any([gone.signal, closing, timeout]),
    );
  } catch {
    if (!gone.signal.aborted) {
      stream.emit("error", unavailable("no control plane leads at this moment"));
    }
    return;
  }
  // Where it is this replica itself, its term begins in a moment.
  const address = candidate.leaderElsewhere?.address ?? "";
  stream.write({ command: { $case: "reconnect", reconnect: { afterMs: REDIRECTED_MS, address } } });
  stream.end();
}
