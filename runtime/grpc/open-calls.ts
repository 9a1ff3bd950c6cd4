// How many calls the gRPC servers of this process have open, as gRPC's own books (channelz) have it.
import { getChannelzHandlers, type sendUnaryData } from "@grpc/grpc-js";

interface Servers {
  readonly server: readonly {
    readonly data: {
      readonly calls_started: number | string;
      readonly calls_succeeded: number | string;
      readonly calls_failed: number | string;
    };
  }[];
}

type GetServers = (call: unknown, answer: sendUnaryData<Servers>) => void;

/** Servers of one process. */
const SERVERS_MAX = 10;

/** Calls and streams that are open now. */
export function openCalls(): number {
  const { GetServers } = getChannelzHandlers() as unknown as { GetServers: GetServers };
  let open = 0;
  // It answers before it returns.
  GetServers({ request: { start_server_id: 0, max_results: SERVERS_MAX } }, (_error, answer) => {
    for (const { data } of answer?.server ?? []) {
      open += Number(data.calls_started) - Number(data.calls_succeeded) - Number(data.calls_failed);
    }
  });
  return open;
}
