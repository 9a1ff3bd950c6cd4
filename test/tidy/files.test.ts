// What each source file must look like beyond what Biome and the compiler check: its name, its length,
// its opening comment, and for `core/` that it knows neither time, nor chance, nor promises.
import { test } from "node:test";
import { assertNone, SOURCES, type SourceFile } from "./source-files.ts";
import { codeOnly } from "./source-text.ts";

/** Longest source file in lines; a longer one is two files. Tests may be longer. */
const LINES_MAX = 400;

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.(ts|js)$/;
const VAGUE_NAMES = ["index", "types", "base"];
const VAGUE_WORDS = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];

/** What would bring time, chance, promises or the world into core. */
const IMPURE =
  /(?<![.#])\b(?:Date|Math\.random|crypto|performance|process|console|Buffer|globalThis|Intl|setTimeout|setInterval|setImmediate|queueMicrotask|async|await(?!\()|Promise)\b(?!\s*[:?])/;

// Put together, so that this file does not hold what it looks for.
const UNFINISHED = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);

test("core knows no clock, no chance, no promises and no process", () => {
  const core = SOURCES.filter(({ folder }) => folder === "core");
  assertNone(
    core.flatMap((source) => linesWith(source, codeOnly(source.text), IMPURE)),
    "time, chance and identity are arguments of core, a completion is its next input",
  );
});

test(`no source file is longer than ${LINES_MAX} lines`, () => {
  assertNone(
    SOURCES.filter(({ path }) => !path.endsWith(".test.ts"))
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
      .filter(({ lines }) => lines > LINES_MAX)
      .map(({ path, lines }) => `${path}:${LINES_MAX + 1} has ${lines} lines`),
    `longer than ${LINES_MAX} lines is two files`,
  );
});

test("each file opens with a comment", () => {
  assertNone(
    SOURCES.filter(({ text }) => !/^(?:#!.*\n)?(?:\/\/ |\/\*)/.test(text)).map(
      ({ path }) => `${path}:1`,
    ),
    "the first line is a comment: what the file owns, and what it does not",
  );
});

test("files are named for what they hold, in kebab-case", () => {
  assertNone(
    SOURCES.filter(({ path }) => isBadlyNamed(path)).map(({ path }) => `${path}:1`),
    `not kebab-case, or one of: ${[...VAGUE_NAMES, ...VAGUE_WORDS].join(" ")}`,
  );
});

test("no class is called a manager or a base, no interface has an I before it", () => {
  const pattern = /\b(?:class \w*(?:Manager|Base|Helper|Util)\b|class Base|interface I[A-Z][a-z])/;
  assertNone(
    SOURCES.flatMap((source) => linesWith(source, codeOnly(source.text), pattern)),
    "name it for what it is",
  );
});

test("nothing is marked as unfinished", () => {
  assertNone(
    SOURCES.flatMap((source) => linesWith(source, source.text, UNFINISHED)),
    "finish it, or write an issue",
  );
});

function linesWith({ path, text }: SourceFile, searched: string, pattern: RegExp): string[] {
  const lines = text.split("\n");
  return searched
    .split("\n")
    .flatMap((line, index) =>
      pattern.test(line) ? [`${path}:${index + 1} ${lines[index]?.trim()}`] : [],
    );
}

function isBadlyNamed(path: string): boolean {
  const name = path.split("/").at(-1) as string;
  const words = path.replace(/\.(?:test\.)?(?:ts|js)$/, "").split(/[/-]/);
  if (!KEBAB_CASE.test(name) || words.some((word) => VAGUE_WORDS.includes(word))) return true;
  return VAGUE_NAMES.includes(name.replace(/\..*$/, ""));
}
