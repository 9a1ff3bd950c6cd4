// What a build's command finds in its environment: what it needs to work, and nothing of the worker's.

export interface BuildFacts {
  readonly build: string;
  readonly service: string;
  readonly sha: string;
  /** Folder kept between builds, for the caches of package managers. */
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
  };
}
