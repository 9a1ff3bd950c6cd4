// git for repositories that a command makes by itself: works where git was never configured, and gives the same commits
// each time.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";

/** Runs git in a folder and gives what it printed; `atSeconds` since 1970 is the date of a commit. Throws CommandError. */
export async function localGit(
  path: string,
  args: readonly string[],
  atSeconds = 0,
): Promise<string> {
  const author = ["-c", "user.name=millrace", "-c", "user.email=millrace@localhost"];
  const date = `${atSeconds} +0000`;
  const { PATH } = process.env;
  const env = {
    PATH,
    // Nothing of this user's set-up: no hooks, no signing, no GIT_DIR.
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    ...(atSeconds > 0 && { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }),
  };
  try {
    const { stdout } = await promisify(execFile)("git", [...author, ...args], { cwd: path, env });
    return stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new CommandError(EXIT.error, "git is not installed");
  }
}
