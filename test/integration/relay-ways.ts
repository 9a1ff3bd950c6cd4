// Ways of a test's relay to the control plane: a stream to one address that is tried again for ever, and the
// link of the relay program, which finds the leader among replicas.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RelayServiceClient } from "../../proto/gen/millrace/v1/fleet.ts";
import { CommandGate } from "../../relay/command-gate.ts";
import { ControlLink } from "../../relay/control-link.ts";
import { connect } from "../../runtime/grpc/client.ts";
import { createLog } from "../../runtime/log.ts";
import type { RelayEnd, RelayWay } from "./rollout-relay.ts";

const RECONNECT_MS = 100;

/** To wherever `address` says, whoever answers. */
export function straightTo(address: () => string): (end: RelayEnd) => RelayWay {
  return (end) => {
    let isStopped = false;
    let line:
      | { readonly stream: ReturnType<RelayServiceClient["connectRelay"]>; close(): void }
      | undefined;
    const open = (): void => {
      if (isStopped) return;
      const client = connect(RelayServiceClient, address());
      const stream = client.connectRelay();
      line = { stream, close: () => client.close() };
      stream.on("data", ({ command }) => {
        if (command !== undefined && line?.stream === stream) end.obey(command);
      });
      let isOver = false;
      const again = (): void => {
        if (isOver) return;
        isOver = true;
        client.close();
        if (line?.stream === stream) line = undefined;
        setTimeout(open, RECONNECT_MS).unref();
      };
      stream.on("error", (error) => {
        end.refused(error.message);
        again();
      });
      stream.on("end", again);
      stream.write({ message: { $case: "hello", hello: end.hello() } });
    };
    open();
    return {
      send: (message) => void line?.stream.write({ message }),
      stop: () => {
        isStopped = true;
        line?.stream.cancel();
        line?.close();
      },
    };
  };
}

/** What the link of a relay has seen. */
export interface LinkNotes {
  /** First heartbeats by epoch, at which time of the monotonic clock. */
  readonly epochs: Map<number, number>;
  /** The last heartbeats and commands that it obeyed, by epoch. */
  readonly obeyed: Map<number, number>;
  /** Commands and leaders that it refused because they are of old. */
  refused(): number;
}

/** By the relay program's own link, to whichever of the replicas leads. */
export function followingLeader(
  addresses: readonly string[],
  onNotes: (notes: LinkNotes) => void = () => {},
): (end: RelayEnd) => RelayWay {
  return (end) => {
    const root = mkdtempSync(join(tmpdir(), "millrace-link-"));
    const log = createLog("test", {});
    log.level = process.env["MILLRACE_LOG"] ?? "fatal";
    const gate = new CommandGate(root);
    const epochs = new Map<number, number>();
    const obeyed = new Map<number, number>();
    onNotes({ epochs, obeyed, refused: () => gate.refused });
    const link = new ControlLink({
      ...{ addresses, gate, log },
      hello: () => ({ ...end.hello(), epoch: gate.epoch, store: gate.store }),
      onBegin: () => {},
      onLed: () => {
        const now = performance.now();
        if (!epochs.has(gate.epoch)) epochs.set(gate.epoch, now);
        obeyed.set(gate.epoch, now);
        const ttlMs = gate.ledUntil - performance.now();
        end.obey({
          $case: "heartbeat",
          heartbeat: { epoch: gate.epoch, ttlMs, store: gate.store },
        });
      },
      onCommand: (command) => {
        obeyed.set(gate.epoch, performance.now());
        end.obey(command);
      },
      memory: () => [{ assignments: [], packs: [], growing: [], last: true }],
    });
    return {
      send: (message) => void link.send(message),
      stop: () => void link.stop().then(() => rmSync(root, { recursive: true, force: true })),
    };
  };
}
