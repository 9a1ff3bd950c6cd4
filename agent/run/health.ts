// Whether a service works: a GET that answers 2xx, or a command that exits with 0. Never a shell.
import { spawn } from "node:child_process";
import { get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { pause } from "../../runtime/program/back-off.ts";

/** One try of a check. */
const TRY_MS = 2_000;
/** Between two tries: first short, as most services are up in well under a second. */
const RETRY_MS_FIRST = 50;
const RETRY_MS_LAST = 1_000;
/** A check that says nothing about how long it may take. */
const WITHIN_MS_DEFAULT = 30_000;
/** A process without a check has to stay up for so long. */
const UP_MS = 1_000;

export interface HealthQuestion {
  /** URL, or command, or neither: nothing is asked. */
  readonly http: string;
  readonly command: readonly string[];
  readonly withinMs: number;
  readonly port: number;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Asks until it is healthy: undefined; or what was wrong last when the time is over or it was aborted. */
export async function untilHealthy(
  question: HealthQuestion,
  signal: AbortSignal,
): Promise<string | undefined> {
  const withinMs = question.withinMs || WITHIN_MS_DEFAULT;
  const endsAt = performance.now() + withinMs;
  let waitMs = RETRY_MS_FIRST;
  for (;;) {
    const fault = await askHealth(question, signal);
    if (fault === undefined) return undefined;
    if (signal.aborted) return "the check was given up";
    if (performance.now() + waitMs >= endsAt) return `not healthy within ${withinMs} ms: ${fault}`;
    await pause(waitMs, signal);
    waitMs = Math.min(waitMs * 2, RETRY_MS_LAST);
  }
}

/** Asks once; what is wrong, or undefined. */
export async function askHealth(
  question: HealthQuestion,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const tried = AbortSignal.timeout(TRY_MS);
  const cut = signal === undefined ? tried : AbortSignal.any([tried, signal]);
  if (question.http !== "") return askHttp(question.http, question.port, cut);
  const [file, ...args] = question.command;
  if (file !== undefined) return askCommand(file, args, question, cut);
  return undefined;
}

/** Waits as long as a process without a check has to stay up. */
export const stayedUp = (signal: AbortSignal): Promise<void> => pause(UP_MS, signal);

function askHttp(http: string, port: number, cut: AbortSignal): Promise<string | undefined> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how a recipe writes it.
  const url = http.replaceAll("${PORT}", String(port));
  const get = url.startsWith("https:") ? httpsGet : httpGet;
  return new Promise((resolve) => {
    const failed = (error: Error): void => {
      resolve(`GET ${url}: ${cut.aborted ? `no answer within ${TRY_MS} ms` : error.message}`);
    };
    try {
      get(url, { signal: cut, agent: false }, (response) => {
        const { statusCode = 0 } = response;
        response.on("error", () => {});
        response.destroy();
        resolve(statusCode >= 200 && statusCode < 300 ? undefined : `GET ${url}: ${statusCode}`);
      }).on("error", failed);
    } catch (error) {
      failed(error as Error);
    }
  });
}

function askCommand(
  file: string,
  args: readonly string[],
  { cwd, env }: HealthQuestion,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd, env, stdio: "ignore", signal, killSignal: "SIGKILL" });
    child.once("error", (error) => {
      resolve(signal.aborted ? `${file} ran over ${TRY_MS} ms` : `${file}: ${error.message}`);
    });
    child.once("exit", (code, by) => {
      resolve(code === 0 ? undefined : `${file}: ${by ?? `exit code ${code}`}`);
    });
  });
}
