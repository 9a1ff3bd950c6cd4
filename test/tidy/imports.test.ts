// Who may import whom: the rules of folders that keep `core/` pure, the programs apart and every file
// in use. What is inside a file is the concern of the other tidy tests.
import { test } from "node:test";
import { assertNone, isInRepository, PROGRAMS, SOURCES, type SourceFile } from "./source-files.ts";

const EVERYTHING = ["core", "runtime", "proto", ...PROGRAMS];

/** Folders that a file of the folder may import besides its own. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  runtime: ["core", "proto"],
  ...Object.fromEntries(PROGRAMS.map((program) => [program, ["core", "runtime", "proto"]])),
  simulator: ["core"],
  test: [...EVERYTHING, "bench"],
  bench: [...EVERYTHING, "test"],
  scripts: [],
};

/** The files of the simulator that touch the world or start threads: they may import `runtime` too. */
const SIMULATOR_WITH_RUNTIME =
  /^simulator\/(?:(?:main|fleet\/main|report|shard-threads)\.ts|load\/.+)$/;

const byPath = new Map(SOURCES.map((source) => [source.path, source]));

test("each folder imports only what it may", () => {
  assertNone(
    SOURCES.flatMap((source) =>
      imported(source)
        .filter(({ target }) => !mayImport(source, target))
        .map(({ target, line }) => `${source.path}:${line} imports ${target}`),
    ),
    "core may import core; runtime core and proto; programs core, runtime and proto, never each other",
  );
});

test("core imports no package and no node module", () => {
  assertNone(
    SOURCES.filter((source) => source.folder === "core").flatMap((source) =>
      source.references
        .filter((reference) => !reference.isFile)
        .map(({ target, line }) => `${source.path}:${line} imports ${target}`),
    ),
    "core is arithmetic on plain data and imports only files of core",
  );
});

test("nothing imports a main.ts", () => {
  assertNone(
    SOURCES.flatMap((source) =>
      imported(source)
        .filter(({ target }) => target.endsWith("/main.ts"))
        .map(({ target, line }) => `${source.path}:${line} imports ${target}`),
    ),
    "a main.ts wires one program and is only ever started",
  );
});

test("only cli starts another program", () => {
  assertNone(
    SOURCES.filter(({ folder }) => !["cli", "test", "bench"].includes(folder)).flatMap((source) =>
      source.references
        .filter(({ how, target }) => how === "start" && target.endsWith("/main.ts"))
        .map(({ target, line }) => `${source.path}:${line} starts ${target}`),
    ),
    "programs are started by cli only",
  );
});

test("every file named by an import or a start exists and is named with its ending", () => {
  assertNone(
    SOURCES.flatMap((source) =>
      source.references
        .filter(({ isFile, target }) => isFile && !isInRepository(target))
        .map(({ target, line }) => `${source.path}:${line} names ${target}`),
    ),
    "no such file",
  );
});

test("no file imports itself by way of others", () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const from = trail.indexOf(path);
    if (from >= 0) {
      cycles.push([...trail.slice(from), path].join(" -> "));
    } else if (!done.has(path)) {
      for (const { target } of imported(byPath.get(path))) visit(target, [...trail, path]);
      done.add(path);
    }
  };
  for (const { path } of SOURCES) visit(path, []);
  assertNone(cycles, "imports go round in a circle (imports of types count)");
});

test("every file of a program is in use", () => {
  const mains = SOURCES.filter(({ path }) =>
    PROGRAMS.some((name) => path.startsWith(`${name}/`) && path.endsWith("/main.ts")),
  );
  const live = reachable([...mains.map(({ path }) => path), "cli/millrace.js"]);
  const checked = SOURCES.filter(({ path }) => /^(test|bench)\//.test(path));
  const tested = reachable(checked.map(({ path }) => path));
  assertNone(
    SOURCES.filter(({ path, folder }) => EVERYTHING.includes(folder) && !live.has(path)).map(
      ({ path }) => `${path}:1 ${tested.has(path) ? "only tests reach it" : "nothing reaches it"}`,
    ),
    "dead: no main.ts imports or starts it",
  );
});

test("modules that are started are named through moduleUrl", () => {
  const pattern = /new URL\(\s*"[^"]*\.ts"/;
  assertNone(
    SOURCES.filter(({ folder }) => EVERYTHING.includes(folder)).flatMap(({ path, text }) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          pattern.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [],
        ),
    ),
    "in the installed package there is no .ts file: use moduleUrl of runtime/module-url.ts",
  );
});

function imported(source: SourceFile | undefined) {
  return (source?.references ?? []).filter(({ how, isFile }) => how === "import" && isFile);
}

function mayImport(source: SourceFile, target: string): boolean {
  const folder = target.split("/")[0] as string;
  if (folder === source.folder) return true;
  if (folder === "runtime" && SIMULATOR_WITH_RUNTIME.test(source.path)) return true;
  return ALLOWED[source.folder]?.includes(folder) === true;
}

function reachable(roots: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const queue = [...roots];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { isFile, target } of byPath.get(path)?.references ?? []) {
      if (isFile) queue.push(target);
    }
  }
  return seen;
}
