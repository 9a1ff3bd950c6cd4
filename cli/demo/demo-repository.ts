// The git repository that the demo ships: a copy of examples/hello, and the three commits of the story.
// Works where git was never configured, and gives the same commits each time.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";
import { localGit } from "../up/local-git.ts";

/** The asset that the second commit changes: 1 MiB of 24. */
const CHANGED_ASSET = "asset-03.bin";

/** Seconds since 1970 of the first commit. */
const FIRST_COMMIT_AT = 1_767_225_600;

/** A commit of the story. */
export interface DemoCommit {
  readonly name: "first" | "changed" | "bad";
  /** What happens, for people. */
  readonly story: string;
  readonly expected: "succeeded" | "rolled_back";
  /** Makes the commit; resolves with its SHA. */
  commit(): Promise<string>;
}

/** Makes the repository in the new folder `path`, and gives its commits, each to be made in its turn. */
export function makeDemoRepository(path: string): DemoCommit[] {
  mkdirSync(path, { recursive: true });
  cpSync(fileURLToPath(new URL("examples/hello", packageRoot())), path, {
    recursive: true,
    filter: (source) => basename(source) !== "dist",
  });
  const steps: readonly Omit<DemoCommit, "commit">[] = [
    {
      name: "first",
      story: "The first release: 24 MiB that no machine has yet.",
      expected: "succeeded",
    },
    {
      name: "changed",
      story: "One of its 24 assets changes: only that is packed and moved.",
      expected: "succeeded",
    },
    {
      name: "bad",
      story: "A release that never becomes healthy: the first wave fails, and is taken back.",
      expected: "rolled_back",
    },
  ];
  const edits = {
    first: () => {},
    changed: () => {
      writeVersion(path, "1.1.0", true);
      raiseAsset(path, CHANGED_ASSET);
    },
    bad: () => writeVersion(path, "1.2.0", false),
  };
  return steps.map((step, index) => ({
    ...step,
    commit: async () => {
      edits[step.name]();
      if (index === 0) await localGit(path, ["init", "--quiet", "--initial-branch=main"]);
      await localGit(path, ["add", "--all"]);
      await localGit(path, ["commit", "--quiet", "--message", step.name], FIRST_COMMIT_AT + index);
      return (await localGit(path, ["rev-parse", "HEAD"])).trim();
    },
  }));
}

function writeVersion(path: string, version: string, healthy: boolean): void {
  writeFileSync(join(path, "version.json"), `${JSON.stringify({ version, healthy })}\n`);
}

function raiseAsset(path: string, name: string): void {
  const file = join(path, "assets.json");
  const list = JSON.parse(readFileSync(file, "utf8")) as {
    assets: { name: string; version: number }[];
  };
  const asset = list.assets.find((candidate) => candidate.name === name);
  if (asset === undefined) throw new Error(`examples/hello has no ${name}`);
  asset.version += 1;
  writeFileSync(file, `${JSON.stringify(list, undefined, 2)}\n`);
}
