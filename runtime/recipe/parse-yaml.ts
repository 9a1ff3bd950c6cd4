// Reads a YAML file into what a schema says, and says of every fault in which line and column it is.
import {
  type Document,
  isMap,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
} from "yaml";
import type { z } from "zod";

/** A file is read whole; 256 KiB is 5,000 lines. */
export const YAML_BYTES_MAX = 256 * 1024;

/** Aliases that a file may expand to, against documents that blow up. */
const ALIAS_COUNT_MAX = 100;

/** Faults of a file, each with file, line and column. */
export class RecipeError extends Error {
  override readonly name = "RecipeError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/**
 * What the text of a file holds; `fields` are some that it should. `file` is how errors name it. Throws
 * RecipeError with every fault found.
 */
export function parseYaml<Schema extends z.ZodType>(
  text: string,
  file: string,
  schema: Schema,
  fields: string,
): z.output<Schema> {
  const bytes = Buffer.byteLength(text);
  if (bytes > YAML_BYTES_MAX) {
    throw new RecipeError([`${file}: ${bytes} bytes, the limit is ${YAML_BYTES_MAX}`]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new RecipeError(document.errors.map((fault) => `${at(fault.pos[0])}: ${fault.message}`));
  }
  if (!isMap(document.contents)) {
    throw new RecipeError([`${file}:1:1: expected fields such as ${fields}`]);
  }
  const value = expand(document, file);
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new RecipeError(
    parsed.error.issues.flatMap((issue) => describe(issue, document.contents, at)),
  );
}

/** Resolves aliases, which is where a small document could become a huge one. */
function expand(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIAS_COUNT_MAX });
  } catch (error) {
    throw new RecipeError([`${file}:1:1: ${(error as Error).message}`]);
  }
}

function describe(
  issue: z.core.$ZodIssue,
  root: ParsedNode | null,
  at: (offset: number) => string,
): string[] {
  const path = issue.path.map(String);
  const name = path.length === 0 ? "" : `${path.join(".")}: `;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const where = at(offsetOf(root, [...path, key], "key"));
      return `${where}: ${name}unknown field "${key}"`;
    });
  }
  return [`${at(offsetOf(root, path, "value"))}: ${name}${sentence(issue)}`];
}

function sentence(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && issue.input === undefined) {
    return issue.message.startsWith("Invalid input")
      ? "is missing"
      : `is missing; ${issue.message}`;
  }
  return issue.message;
}

/** Offset of the key or value that a path ends at, or of the deepest part of it that is there. */
function offsetOf(
  root: ParsedNode | null,
  path: readonly string[],
  wanted: "key" | "value",
): number {
  let node: Node | null = root;
  let keyOffset = root?.range[0] ?? 0;
  for (const part of path) {
    const next = child(node, part);
    if (next === undefined) return keyOffset;
    keyOffset = next.keyOffset;
    node = next.value;
  }
  return wanted === "value" ? (node?.range?.[0] ?? keyOffset) : keyOffset;
}

function child(
  node: Node | null,
  part: string,
): { readonly keyOffset: number; readonly value: Node | null } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => String(item.key) === part);
    if (pair === undefined) return undefined;
    return { keyOffset: (pair.key as ParsedNode).range[0], value: pair.value as Node | null };
  }
  if (!isSeq(node)) return undefined;
  const item = node.items[Number(part)] as Node | undefined;
  return item === undefined ? undefined : { keyOffset: item.range?.[0] ?? 0, value: item };
}
