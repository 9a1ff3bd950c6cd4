// Services to ship in tests: small, told apart by a version, that note each start.
import { type Content, recipe } from "./repository.ts";

/** Beside `releases`, so that it outlives them; a line a start. */
export const STARTS_FILE = "starts.txt";

const SERVER = `import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
const { MILLRACE_RELEASE, PORT } = process.env;
appendFileSync("../../${STARTS_FILE}", MILLRACE_RELEASE + "\\n");
const { version, healthy } = JSON.parse(readFileSync("version.json", "utf8"));
createServer((request, response) => {
  response.statusCode = request.url === "/healthz" && !healthy ? 503 : 200;
  response.end(JSON.stringify({ version, pid: process.pid }));
}).listen(Number(PORT), "127.0.0.1");
`;

const HOOK = `#!/bin/sh
echo "$MILLRACE_RELEASE" >> "../../${STARTS_FILE}"
`;

export interface Sample {
  readonly service: string;
  readonly version: string;
  /** False: its health check never holds. */
  readonly healthy?: boolean;
  /** How long its health may take to hold. */
  readonly within?: string;
  /** Build command that adds to the output. */
  readonly run?: string;
  readonly timeout?: string;
  readonly rollout?: object;
  /** More files; those below dist/ are shipped. */
  readonly files?: Readonly<Record<string, Content>>;
}

/** A repository's files whose service answers its version over HTTP. */
export function httpSample(sample: Sample): Record<string, Content> {
  const { version, healthy = true, within = "20s" } = sample;
  return {
    "dist/server.mjs": SERVER,
    "dist/version.json": JSON.stringify({ version, healthy }),
    ...sample.files,
    "millrace.yaml": sampleRecipe(sample, {
      exec: ["node", "server.mjs"],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how a recipe writes it.
      health: { http: "http://127.0.0.1:${PORT}/healthz", within },
      drain: "2s",
    }),
  };
}

/** A repository's files whose service is a hook: cheap, where no process is needed. */
export function hookSample(sample: Sample): Record<string, Content> {
  const { version, healthy = true } = sample;
  return {
    "dist/hook.sh": { executable: `${HOOK}${healthy ? "" : "exit 7\n"}` },
    "dist/version.json": JSON.stringify({ version, healthy }),
    ...sample.files,
    "millrace.yaml": sampleRecipe(sample, { hook: ["./hook.sh"] }),
  };
}

function sampleRecipe(sample: Sample, activate: object): string {
  const { service, run = ":", timeout, rollout } = sample;
  return recipe({
    service,
    run,
    activate,
    ...(timeout !== undefined && { timeout }),
    ...(rollout !== undefined && { rollout }),
  });
}
