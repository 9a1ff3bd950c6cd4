// What reaches command lines and disks from outside, thrown at the parts that take it: names of
// repositories that try to be options or shell commands, and trees that resist being deleted.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { checkRepository, resolveCommit } from "../../controlplane/builds/git-refs.ts";
import { RpcError } from "../../runtime/grpc/rpc-error.ts";
import { GitError } from "../../worker/git.ts";
import { SourceMirrors, shownRepository } from "../../worker/source.ts";

const SHA = "0123456789012345678901234567890123456789";
const PATH = process.env["PATH"];
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-hostile-"));
  // Names such as "host:path" mean ssh; the tests reach no other machine.
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/ssh"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  process.env["PATH"] = `${join(folder, "bin")}:${PATH}`;
});
after(() => {
  process.env["PATH"] = PATH;
  rmSync(folder, { recursive: true, force: true });
});

/** What a command that should not run would make. */
const canary = (): string => join(folder, "canary");

/** Texts that try to be options, transports that run commands, or words of a shell. */
function words(): fc.Arbitrary<string> {
  const touch = `touch ${canary()}`;
  const parts = fc.constantFrom(
    ...["-", "--", "--upload-pack=", "-c core.sshCommand=", "-oProxyCommand=", "--exec="],
    ...[
      "ext::",
      "ext::sh -c ",
      `ext::sh -c touch% ${canary()}`,
      "fd::1",
      "host:",
      "ssh://",
      "file://",
    ],
    ...[touch, `$(${touch})`, `\`${touch}\``, `;${touch};`, `|${touch}|`, `&&${touch}`],
    ...[`\n${touch}\n`, "'", '"', "\\", "/", "..", " ", "x", "x.git", "^{commit}", "@{u}", ":/"],
  );
  return fc.array(parts, { minLength: 1, maxLength: 5 }).map((each) => each.join(""));
}

test("threat 27: no repository's name runs anything in a worker", async () => {
  const mirrors = new SourceMirrors(folder);
  const target = join(folder, "target");
  const options = { worker: "worker-1", signal: new AbortController().signal };
  await fc.assert(
    fc.asyncProperty(words(), async (repository) => {
      await assert.rejects(mirrors.checkOut(repository, SHA, target, options), GitError);
      assert.equal(existsSync(canary()), false, repository);
    }),
    { numRuns: 150 },
  );
});

test("threat 27: no repository and no ref runs anything in a control plane", async () => {
  const repository = join(folder, "repository");
  execFileSync("git", ["init", "--quiet", repository]);
  let asked = 0;
  // Of words alone few are names that are passed on to git; of paths most.
  const names = fc.oneof(
    words(),
    words().map((name) => `/${name}`),
  );
  await fc.assert(
    fc.asyncProperty(names, words(), async (name, ref) => {
      await assert.rejects(resolveCommit(repository, ref), RpcError);
      const known = knownRepository(name);
      if (known !== undefined) {
        asked += 1;
        await assert.rejects(resolveCommit(known, ref), RpcError);
      }
      assert.equal(existsSync(canary()), false, `${name} ${ref}`);
    }),
    { numRuns: 100 },
  );
  assert.ok(asked > 2, `${asked} reached git`);
});

/** The repository as git may be given it; undefined: it was refused. */
function knownRepository(name: string): string | undefined {
  try {
    return checkRepository(name);
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    return undefined;
  }
}

test("what is shown of a repository holds no password, and no token", () => {
  const shown: Record<string, string> = {
    "https://user:secret@host/a.git": "https://host/a.git",
    "https://token@host/a.git": "https://host/a.git",
    "http://host/a@b.git": "http://host/a@b.git",
    "ssh://git:secret@host/a": "ssh://git@host/a",
    "ssh://git@host/a": "ssh://git@host/a",
    "git@host:a/b.git": "git@host:a/b.git",
    "/a/b@c": "/a/b@c",
  };
  for (const [repository, expected] of Object.entries(shown)) {
    assert.equal(shownRepository(repository), expected);
  }
});

test("a tree is deleted though its folders may not be written, read or entered", () => {
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "a/b/c"), { recursive: true });
  writeFileSync(join(tree, "a/b/c/file"), "");
  writeFileSync(join(tree, "a/file"), "", { mode: 0o400 });
  for (const path of ["a/b/c", "a/b", "a"]) chmodSync(join(tree, path), path === "a" ? 0o500 : 0);
  const module = new URL("../../worker/remove-tree.ts", import.meta.url).href;
  const script = `import { removeTree } from ${JSON.stringify(module)};
    await removeTree(${JSON.stringify(tree)}); await removeTree(${JSON.stringify(tree)});`;
  const node = [process.execPath, "--input-type=module", "--eval", script];
  // For root, modes mean nothing unless it gives up the right to pass over them.
  const drop = "-dac_override,-dac_read_search";
  const setpriv = ["setpriv", `--inh-caps=${drop}`, `--bounding-set=${drop}`];
  const [command, ...args] = process.getuid?.() === 0 ? [...setpriv, ...node] : node;
  execFileSync(command as string, args, { stdio: "pipe" });
  assert.equal(existsSync(tree), false);
});
