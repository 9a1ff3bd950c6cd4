// Which paths and symlinks a release may hold, so that unpacking it can never touch anything outside
// its folder (zip-slip, symlink escape, two names for one file). Checked by the packer, and again by
// everyone who reads a manifest. Nothing here looks at a disk.
import { NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_PARTS_MAX } from "./limits.ts";

/** A rule that a path or a symlink broke. */
export type PathRule =
  | "empty"
  | "too-long"
  | "name-too-long"
  | "too-deep"
  | "absolute"
  | "empty-part"
  | "dot-part"
  | "control-character"
  | "not-unicode"
  | "not-normalised"
  | "out-of-order"
  | "under-non-directory"
  | "bad-mode"
  | "target-empty"
  | "target-too-long"
  | "target-absolute"
  | "target-character"
  | "target-climbs-after-name"
  | "target-outside";

/** A refused path, the rule it broke, and a sentence for people. */
export interface PathFault {
  readonly path: string;
  readonly rule: PathRule;
  readonly detail: string;
}

const encoder = new TextEncoder();
/** C0, DEL and C1: they forge log lines, and NUL ends a name in the kernel. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const PLAIN = /^[\u0020-\u007e]*$/;

/** The first rule that a relative path breaks, or undefined. */
export function pathFault(path: string): PathFault | undefined {
  if (path.length === 0) return fault(path, "empty", "is empty");
  const plain = PLAIN.test(path);
  const bytes = plain ? path.length : encoder.encode(path).length;
  if (bytes > PATH_BYTES_MAX) {
    return fault(path, "too-long", `has ${bytes} bytes, the limit is ${PATH_BYTES_MAX}`);
  }
  if (path.startsWith("/")) return fault(path, "absolute", "starts with a slash");
  if (!plain) {
    if (CONTROL.test(path)) return fault(path, "control-character", "holds a control character");
    if (!path.isWellFormed()) return fault(path, "not-unicode", "is not valid Unicode");
    if (path.normalize("NFC") !== path) {
      return fault(path, "not-normalised", "is not in Unicode normal form C");
    }
  }
  const parts = path.split("/");
  for (const part of parts) {
    if (part === "") return fault(path, "empty-part", "has an empty part between slashes");
    if (part === "." || part === "..") {
      return fault(path, "dot-part", `has a part "${part}"`);
    }
    const partBytes = plain ? part.length : encoder.encode(part).length;
    if (partBytes > NAME_BYTES_MAX) {
      const detail = `has a part of ${partBytes} bytes, the limit is ${NAME_BYTES_MAX}`;
      return fault(path, "name-too-long", detail);
    }
  }
  if (parts.length > PATH_PARTS_MAX) {
    return fault(path, "too-deep", `has ${parts.length} parts, the limit is ${PATH_PARTS_MAX}`);
  }
  return undefined;
}

/**
 * The first rule that a symlink breaks, or undefined. Its target must be relative and stay in the
 * tree. ".." may stand at its start only: after a name it would climb from wherever that name leads,
 * which may be another link; at the start it climbs real folders, as no path passes through a link.
 */
export function targetFault(path: string, target: string): PathFault | undefined {
  if (target.length === 0) return fault(path, "target-empty", "is a symlink to nothing");
  const bytes = encoder.encode(target).length;
  if (bytes > PATH_BYTES_MAX) {
    const detail = `is a symlink to ${bytes} bytes of path, the limit is ${PATH_BYTES_MAX}`;
    return fault(path, "target-too-long", detail);
  }
  if (CONTROL.test(target) || !target.isWellFormed()) {
    const detail = "is a symlink whose target holds a control character or is not Unicode";
    return fault(path, "target-character", detail);
  }
  const shown = JSON.stringify(target);
  if (target.startsWith("/")) {
    return fault(path, "target-absolute", `is a symlink to ${shown}, which is absolute`);
  }
  let depth = path.split("/").length - 1;
  let named = false;
  for (const part of target.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") {
      named = true;
      continue;
    }
    if (named) {
      const detail = `is a symlink to ${shown}, which has ".." after a name`;
      return fault(path, "target-climbs-after-name", detail);
    }
    depth -= 1;
    if (depth < 0) {
      return fault(path, "target-outside", `is a symlink to ${shown}, outside of the tree`);
    }
  }
  return undefined;
}

/** Refuses setuid, setgid, sticky and whatever is not a permission bit. */
export function modeFault(path: string, mode: number): PathFault | undefined {
  if ((mode & ~0o777) === 0 && mode >= 0) return undefined;
  const detail = `has mode 0o${mode.toString(8)}; setuid, setgid and sticky bits are refused`;
  return fault(path, "bad-mode", detail);
}

/**
 * Checks the sequence of paths of a tree: strictly rising in the order of their UTF-8 bytes, hence
 * distinct, and none beneath another entry (a file, a symlink or a directory said to be empty).
 */
export class PathOrder {
  /** Earlier paths, each a prefix of the next: all that can still be above a later path. */
  readonly #prefixes: string[] = [];
  #previous = "";

  /** Takes the next path of the tree and returns the rule it breaks, or undefined. */
  next(path: string): PathFault | undefined {
    if (this.#previous !== "" && compareUtf8(this.#previous, path) >= 0) {
      const detail = `comes after ${JSON.stringify(this.#previous)}, against the order of bytes`;
      return fault(path, "out-of-order", detail);
    }
    this.#previous = path;
    while (this.#prefixes.length > 0 && !path.startsWith(this.#prefixes.at(-1) as string)) {
      this.#prefixes.pop();
    }
    for (const prefix of this.#prefixes) {
      if (path.charCodeAt(prefix.length) !== 0x2f) continue;
      const detail = `lies beneath ${JSON.stringify(prefix)}, which is not a directory`;
      return fault(path, "under-non-directory", detail);
    }
    this.#prefixes.push(path);
    return undefined;
  }
}

/** Orders texts by their UTF-8 bytes, which is the order of their code points. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // UTF-16 puts surrogates (code points from 0x10000 on) below 0xe000..0xffff; lift them above.
    return lifted(x) - lifted(y);
  }
  return a.length - b.length;
}

function lifted(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function fault(path: string, rule: PathRule, detail: string): PathFault {
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  return { path, rule, detail: `${JSON.stringify(shown)} ${detail}` };
}
