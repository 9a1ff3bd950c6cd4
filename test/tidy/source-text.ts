// Just enough of TypeScript's grammar to read rules off a file: what of it is code and what is
// comment or text, and which modules it names. TypeScript 7 has no stable API that would do it.

/** One module named in a file; `how` says whether it is imported or started (by `moduleUrl`). */
export interface ModuleReference {
  readonly name: string;
  readonly line: number;
  readonly how: "import" | "start";
}

type Part = "code" | "comment" | "quoted" | "text";

/** After one of these a slash begins a regular expression, not a division. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|of|in))\s*$/;

/** The source with comments, texts and regular expressions made blank; lines stay in place. */
export function codeOnly(source: string): string {
  return withoutParts(source, ["comment", "quoted", "text"]);
}

/** Every module that the source imports, re-exports or names to be started. */
export function moduleReferences(source: string): ModuleReference[] {
  const code = withoutParts(source, ["comment", "text"]);
  const patterns: readonly [RegExp, ModuleReference["how"]][] = [
    [/^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"/gm, "import"],
    [/^\s*import\s*"([^"]+)"/gm, "import"],
    [/\bimport\(\s*"([^"]+)"/g, "import"],
    [/\bmoduleUrl\(\s*"([^"]+)"/g, "start"],
  ];
  return patterns.flatMap(([pattern, how]) =>
    [...code.matchAll(pattern)].map((match) => ({
      name: match[1] as string,
      line: lineAt(code, match.index + match[0].length),
      how,
    })),
  );
}

/** Number of the line, from 1, that the character at `index` stands on. */
function lineAt(source: string, index: number): number {
  return source.slice(0, index).split("\n").length;
}

function withoutParts(source: string, blank: readonly Part[]): string {
  let result = "";
  for (const { part, text } of parts(source)) {
    result += blank.includes(part) ? text.replace(/[^\n]/g, " ") : text;
  }
  return result;
}

function* parts(source: string): Generator<{ part: Part; text: string }> {
  // Each number is the depth of braces inside one open `${` of a template.
  const templates: number[] = [];
  let codeFrom = 0;
  let at = 0;
  while (at < source.length) {
    const end = endOfNonCode(source, at, source.slice(codeFrom, at), templates);
    if (end === undefined) {
      at += 1;
      continue;
    }
    yield { part: "code", text: source.slice(codeFrom, at) };
    yield { part: end.part, text: source.slice(at, end.at) };
    at = end.at;
    codeFrom = at;
  }
  yield { part: "code", text: source.slice(codeFrom) };
}

function endOfNonCode(source: string, at: number, before: string, templates: number[]) {
  const two = source.slice(at, at + 2);
  if (two === "//") return { part: "comment" as const, at: endOf(source, "\n", at) };
  if (two === "/*") return { part: "comment" as const, at: endOf(source, "*/", at + 2) + 2 };
  const character = source[at];
  switch (character) {
    case '"':
    case "'":
      return { part: "quoted" as const, at: endOfQuoted(source, at + 1, character) };
    case "`":
      return { part: "text" as const, at: endOfTemplate(source, at + 1, templates) };
    case "/":
      if (!BEFORE_REGEX.test(before.slice(-40))) return undefined;
      return { part: "text" as const, at: endOfRegex(source, at + 1) };
    case "{":
      if (templates.length > 0) templates.push((templates.pop() as number) + 1);
      return undefined;
    case "}": {
      const depth = templates.pop();
      if (depth === undefined) return undefined;
      if (depth === 0)
        return { part: "text" as const, at: endOfTemplate(source, at + 1, templates) };
      templates.push(depth - 1);
      return undefined;
    }
    default:
      return undefined;
  }
}

function endOf(source: string, mark: string, from: number): number {
  const at = source.indexOf(mark, from);
  return at < 0 ? source.length : at;
}

function endOfQuoted(source: string, from: number, quote: string): number {
  let at = from;
  while (at < source.length && source[at] !== quote) at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}

function endOfTemplate(source: string, from: number, templates: number[]): number {
  let at = from;
  while (at < source.length && source[at] !== "`") {
    if (source[at] === "$" && source[at + 1] === "{") {
      templates.push(0);
      return at + 2;
    }
    at += source[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

function endOfRegex(source: string, from: number): number {
  let inClass = false;
  let at = from;
  while (at < source.length && (inClass || source[at] !== "/")) {
    if (source[at] === "[") inClass = true;
    else if (source[at] === "]") inClass = false;
    at += source[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}
