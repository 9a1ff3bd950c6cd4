// Asks a program whether it lives or is ready: by gRPC's health service where it has a listener, by HTTP at its
// port of metrics where it has none, as workers and agents.
import { Client, type MethodDefinition } from "@grpc/grpc-js";
import { service as healthDefinition } from "grpc-health-check";
import { connect } from "../../runtime/grpc/client.ts";
import { failureCause } from "../../runtime/grpc/failure-cause.ts";
import { LIVE_SERVICE, READY_SERVICE } from "../../runtime/grpc/health-service.ts";
import { isServiceError } from "./failure.ts";

/** A program that does not answer by then does not live, for whoever asks. */
const ANSWER_MS_MAX = 5_000;

export type HealthQuestion = "live" | "ready";

/** What it said. */
export interface HealthAnswer {
  readonly holds: boolean;
  /** Why it does not, as far as it is known; empty where it does. */
  readonly why: string;
}

interface CheckResponse {
  readonly status: string;
}

/** Asks the listener at "host:port". */
export async function askByGrpc(address: string, question: HealthQuestion): Promise<HealthAnswer> {
  const client = connect(Client, address);
  const { path, requestSerialize, responseDeserialize } = healthDefinition[
    "Check"
  ] as MethodDefinition<object, CheckResponse>;
  const request = { service: question === "live" ? LIVE_SERVICE : READY_SERVICE };
  try {
    const status = await new Promise<string>((resolve, reject) => {
      const deadline = Date.now() + ANSWER_MS_MAX;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        { deadline },
        (error, answer) => (answer === undefined ? reject(error) : resolve(answer.status)),
      );
    });
    const holds = status === "SERVING";
    return { holds, why: holds ? "" : `it says ${status}` };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { holds: false, why: failureCause(error.details) };
  } finally {
    client.close();
  }
}

/** Asks the port of metrics on this machine. */
export async function askByHttp(port: number, question: HealthQuestion): Promise<HealthAnswer> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/${question}z`, {
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const text = (await answer.text()).trim().replaceAll("\n", "; ");
    return { holds: answer.ok, why: answer.ok ? "" : text };
  } catch (error) {
    const { cause, message } = error as Error & { cause?: Error };
    return { holds: false, why: cause?.message ?? message };
  }
}
