// Exit codes of every command and of programs that people start themselves; scripts rely on them.

export const EXIT = {
  done: 0,
  error: 1,
  usage: 2,
  planHasChanges: 3,
  rolloutFailed: 4,
  refused: 5,
  conflict: 6,
  waitTimedOut: 124,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a code and a sentence that says what, where and what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
