// Why an output cannot be packed: what the user who wrote the build can mend.

/** A kind of refusal, stable for programs. */
export type PackFault =
  | "output-missing"
  | "output-kind"
  | "output-empty"
  | "release-too-large"
  | "too-many-entries"
  | "too-many-chunks"
  | "manifest-too-large"
  | "bad-path"
  | "bad-symlink"
  | "bad-mode"
  | "special-file"
  | "unreadable"
  | "changed";

/** A refused output; the message says what, where, the limit, and what to do. */
export class PackError extends Error {
  override readonly name = "PackError";
  readonly fault: PackFault;

  constructor(fault: PackFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** What a file-system call failed with, as a PackError where the output is to blame. */
export function unreadable(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
    case "ELOOP":
    case "ENOTDIR":
    case "EISDIR":
      return changed(path);
    case "EACCES":
    case "EPERM":
      return new PackError(
        "unreadable",
        `${JSON.stringify(path)} in the output cannot be read (${code}); let the build make it readable`,
      );
    case "ENAMETOOLONG":
      return new PackError("bad-path", `${JSON.stringify(path)} is too long to be opened`);
    default:
      return error;
  }
}

/** A file is no longer what it was when the tree was walked. */
export function changed(path: string): PackError {
  const what = `${JSON.stringify(path)} in the output changed while it was packed`;
  return new PackError("changed", `${what}; the build must have ended all its processes by then`);
}
