// Holds docs/faults.md to what the tests say: each row names tests that exist and that name it, each quoted
// title stands in its file, and each place where a program can be killed is one where a test kills it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { packageRoot } from "../../runtime/package-root.ts";
import { assertNone, SOURCES } from "./source-files.ts";

const PAGE = "docs/faults.md";
/** Rows that the page must have; it may have more. */
const DUE = [
  ...[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
    28, 29, 30, 31, 32, 33, 34, 35,
  ].map((number) => `fault ${number}`),
  ...[6, 7, 8, 9, 10, 11, 17, 18, 19, 23, 24, 25, 27, 29].map((number) => `threat ${number}`),
];

const rows = readFileSync(new URL(PAGE, packageRoot()), "utf8")
  .split("\n")
  .map((text, index) => ({ text, where: `${PAGE}:${index + 1}` }))
  .filter(({ text }) => text.startsWith("| "));

const textOf = (path: string): string | undefined =>
  SOURCES.find((source) => source.path === path)?.text;

/** Whether a title names the row, alone ("fault 9: ...") or with others ("faults 1 and 9: ..."). */
function names(text: string, row: string): boolean {
  const [kind, number] = row.split(" ");
  return new RegExp(`["\`]${kind}s?(?: \\d+ and| \\d+,)* ${number}(?: and \\d+)*: `).test(text);
}

test("each row of the page of faults names tests that exist and name it", () => {
  const found = new Set<string>();
  const violations = rows.flatMap(({ text, where }) => {
    const row = /^\| ((?:fault|threat) \d+) \|/.exec(text)?.[1];
    if (row === undefined) return [];
    found.add(row);
    const files = [...text.matchAll(/`([^`]+)`/g)]
      .map((match) => match[1] as string)
      .filter((name) => name.includes("/"));
    if (files.length === 0) return [`${where} ${row} names no test`];
    return files.flatMap((path) => {
      const source = textOf(path);
      if (source === undefined) return [`${where} ${path} is not there`];
      return names(source, row) ? [] : [`${where} no title of ${path} begins with "${row}: "`];
    });
  });
  assertNone(violations, "name the row in the title of its test");
  assert.deepEqual(
    DUE.filter((row) => !found.has(row)),
    [],
    "a row is missing",
  );
});

test("each title that the page of faults quotes stands in its file", () => {
  const quotes = rows.flatMap(({ text, where }) => {
    const match = /`([^`]+)` "([^"]+)" \|$/.exec(text);
    return match === null ? [] : [{ where, path: match[1] as string, title: match[2] as string }];
  });
  assert.ok(quotes.length >= 16, `${quotes.length} titles are quoted`);
  assertNone(
    quotes
      .filter(({ path, title }) => textOf(path)?.includes(title) !== true)
      .map(({ where, path, title }) => `${where} ${path} has no "${title}"`),
    "quote the title as it is",
  );
});

test("fault 1: a test kills a program at each of its named places", () => {
  const tests = SOURCES.filter(({ folder }) => folder === "test").map(({ text }) => text);
  const places = SOURCES.filter(({ folder }) => folder !== "test").flatMap(({ path, text }) =>
    [...text.matchAll(/\bfailpoint\("([^"]+)"\)/g)].map((match) => ({ path, name: match[1] })),
  );
  assert.ok(places.length > 30, `${places.length} places`);
  const isStruck = new RegExp(
    `"(${[...new Set(places.map(({ name }) => name))].join("|")})(@\\d+)?"`,
    "g",
  );
  const struck = new Set(
    tests.flatMap((text) => [...text.matchAll(isStruck)].map((match) => match[1])),
  );
  assertNone(
    places
      .filter(({ name }) => !struck.has(name))
      .map(({ path, name }) => `${path} "${name}" is struck by no test`),
    "a place that no test strikes shows nothing",
  );
});
