// What a build's command finds in its environment: what it needs to work, and nothing of the worker's.

/** Marks every process that a worker started, so that its next start can end what a killed one left. */
export const WORKER_MARK = "MILLRACE_WORKER";

export interface BuildFacts {
  readonly worker: string;
  readonly build: string;
  readonly attempt: number;
  readonly service: string;
  readonly sha: string;
  /** Folder kept between builds of the service, for the caches of package managers. */
  readonly home: string;
  /** Folder that is removed with the attempt. */
  readonly temporary: string;
}

/** The clean environment of a build's command. */
export function buildEnvironment(facts: BuildFacts): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: facts.home,
    TMPDIR: facts.temporary,
    LANG: "C.UTF-8",
    CI: "true",
    MILLRACE_BUILD: facts.build,
    MILLRACE_SERVICE: facts.service,
    MILLRACE_SHA: facts.sha,
    MILLRACE_ATTEMPT: `${facts.build}.${facts.attempt}`,
    [WORKER_MARK]: facts.worker,
  };
}
