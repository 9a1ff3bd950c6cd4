// What the file system's errors mean to a user of a file: store. Errors that are ours already, and
// those of bodies, pass as they are.
import { BlobFullError, BlobUnavailableError } from "./blob-store.ts";

/** Whether an error is the file system's with this code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

/** The typed error for what a file system call on `what` below `root` threw. */
export function blobFailure(error: unknown, what: string, root: string): unknown {
  if (isCode(error, "ENOSPC") || isCode(error, "EDQUOT")) {
    return new BlobFullError(`no space left for ${what} in ${root}: free some`, { cause: error });
  }
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  return new BlobUnavailableError(`cannot use ${what} in ${root}: ${error.message}`, {
    cause: error,
  });
}
