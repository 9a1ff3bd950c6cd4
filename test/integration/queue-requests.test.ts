// What may be asked of the queue: commits named in every way, clear refusals, deadlines, and the API as
// a stranger finds it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { call } from "../../runtime/grpc/client.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { until } from "../lab/until.ts";
import { complete, leaseOne, scratch, startQueue, submit } from "./queue-system.ts";

const { root, remove } = scratch();
const queue = await startQueue(root, { sweepMs: 50 });
const repository = join(root, "repository");
const shas = makeRepository(repository);
after(async () => {
  await queue.stop();
  remove();
});

const get = async (id: string) => (await call(queue.builds, queue.builds.getBuild, { id })).build!;

/** A repository with two commits, a branch and an annotated tag on the first. */
function makeRepository(path: string): string[] {
  mkdirSync(path);
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", path, "-c", "user.name=t", "-c", "user.email=t@t", ...args])
      .toString()
      .trim();
  git("init", "-q", "-b", "main");
  return ["one", "two"].map((text) => {
    writeFileSync(join(path, "file"), text);
    git("add", "file");
    git("commit", "-q", "-m", text);
    if (text === "one") git("tag", "-a", "v1", "-m", "first");
    if (text === "one") git("branch", "old");
    return git("rev-parse", "HEAD");
  });
}

for (const from of [repository, `file://${repository}`, `${repository}/`]) {
  test(`refs of ${from.replace(root, "")} are resolved when they are asked for`, async () => {
    const resolved = async (ref: string) =>
      (await submit(queue, { repository: from, ref })).build!.sha;
    assert.equal(await resolved("HEAD"), shas[1]);
    assert.equal(await resolved("main"), shas[1]);
    assert.equal(await resolved("old"), shas[0]);
    assert.equal(await resolved("v1"), shas[0], "the commit, not the tag");
    assert.equal(await resolved(shas[0]!), shas[0]);
    assert.equal(await resolved(shas[0]!.slice(0, 9)), shas[0]);
  });
}

const REFUSED: readonly {
  readonly what: string;
  readonly request: Parameters<typeof submit>[1];
  readonly code: status;
  readonly says: RegExp;
}[] = [
  {
    what: "a transport that runs commands",
    request: { repository: "ext::sh -c touch% /tmp/pwned", ref: "main" },
    code: status.INVALID_ARGUMENT,
    says: /repository "ext::.*absolute path or a URL/,
  },
  {
    what: "a repository that looks like an option",
    request: { repository: "--upload-pack=touch", ref: "main" },
    code: status.INVALID_ARGUMENT,
    says: /expected an absolute path/,
  },
  {
    what: "a ref that looks like an option",
    request: { repository, ref: "--output=x" },
    code: status.INVALID_ARGUMENT,
    says: /ref "--output=x"/,
  },
  {
    what: "a path without a repository",
    request: { repository: "/nowhere/at-all", ref: "main" },
    code: status.NOT_FOUND,
    says: /repository \/nowhere\/at-all/,
  },
  {
    what: "a repository that cannot be reached",
    request: { repository: "git://127.0.0.1:1/x", ref: "main" },
    code: status.FAILED_PRECONDITION,
    says: /repository git:\/\/127.0.0.1:1\/x: /,
  },
  {
    what: "an unknown branch",
    request: { repository, ref: "nothing" },
    code: status.NOT_FOUND,
    says: /ref "nothing": no such/,
  },
  {
    what: "an unknown SHA of a local repository",
    request: { repository, ref: "0123456789".repeat(4) },
    code: status.NOT_FOUND,
    says: /ref "0123456789.*": no such commit/,
  },
  {
    what: "a recipe with a fault",
    request: { recipe: "service: hello\nbuild: 7\n" },
    code: status.INVALID_ARGUMENT,
    says: /millrace.yaml:2:/,
  },
  {
    what: "another service than the recipe's",
    request: { service: "other", recipe: recipe("hello") },
    code: status.INVALID_ARGUMENT,
    says: /the recipe is for service "hello"/,
  },
  {
    what: "a service with a slash",
    request: { service: "a/b" },
    code: status.INVALID_ARGUMENT,
    says: /service "a\/b"/,
  },
  {
    what: "an overall limit of a year",
    request: { overallTimeoutMs: 365 * 86_400_000 },
    code: status.INVALID_ARGUMENT,
    says: /overall_timeout_ms/,
  },
];

for (const { what, request, code, says } of REFUSED) {
  test(`threat 27: refused: ${what}`, async () => {
    await assert.rejects(submit(queue, request), (error: ServiceError) => {
      assert.equal(error.code, code, error.details);
      assert.match(error.details, says);
      return true;
    });
  });
}

test("a build that nobody takes, and one that does not end, time out by name", async () => {
  await drain();
  const waits = await submit(queue, { overallTimeoutMs: 400 });
  const queued = await until("the queue deadline", async () => {
    const build = await get(waits.build!.id);
    return build.state === BuildState.BUILD_STATE_TIMED_OUT && build;
  });
  assert.equal(queued.reason, "queue");
  const runs = await submit(queue, { overallTimeoutMs: 60_000 });
  const lease = await leaseOne(queue);
  assert.ok(lease.attemptTimeoutMs <= 54_000);
  const up = { reason: "attempt", message: "stopped after its time" };
  await complete(queue, lease, { $case: "failure", failure: up });
  const ended = await get(runs.build!.id);
  assert.deepEqual([ended.state, ended.reason], [BuildState.BUILD_STATE_TIMED_OUT, "attempt"]);
});

test("fault 20: a build that kills its workers is given up after three, and the queue goes on", async () => {
  const folder = scratch();
  const hasty = await startQueue(folder.root, { detectMs: 300, sweepMs: 50 });
  try {
    const { build } = await submit(hasty);
    for (let delivery = 1; delivery <= 3; delivery += 1) {
      assert.equal((await leaseOne(hasty, `w${delivery}`, 30_000)).attempt, delivery);
    }
    const { builds } = hasty;
    const ended = await until("the end of the build", async () => {
      const { build: now } = await call(builds, builds.getBuild, { id: build!.id });
      return now?.state === BuildState.BUILD_STATE_FAILED && now;
    });
    assert.equal(ended.reason, "worker_lost");
    const next = await submit(hasty);
    assert.equal((await leaseOne(hasty)).build, next.build!.id);
  } finally {
    await hasty.stop();
    folder.remove();
  }
});

test("a short SHA that names two builds is refused with both", async () => {
  const refs = ["abcd1", "abcd2"].map((start) => start.padEnd(40, "0"));
  for (const ref of refs) await submit(queue, { ref });
  await assert.rejects(get("abcd"), (error: ServiceError) => {
    assert.equal(error.code, status.FAILED_PRECONDITION);
    for (const ref of refs) assert.ok(error.details.includes(ref));
    return true;
  });
  assert.equal((await get("abcd1")).sha, refs[0]);
  await drain();
});

test("a stranger finds the API by reflection, and its health", async () => {
  const { loadSync } = await import("@grpc/proto-loader");
  const { loadPackageDefinition } = await import("@grpc/grpc-js");
  const folder = new URL("node_modules/", packageRoot()).pathname;
  const load = (path: string) =>
    // biome-ignore lint/suspicious/noExplicitAny: a stranger has no generated types
    loadPackageDefinition(loadSync(join(folder, path))) as any;
  const reflection = load("@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto");
  const Client = reflection.grpc.reflection.v1.ServerReflection;
  const client = new Client(queue.address, credentials.createInsecure());
  const stream = client.ServerReflectionInfo();
  stream.write({ host: "", listServices: "*" });
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const answer: any = await new Promise((resolve) => stream.once("data", resolve));
  stream.end();
  client.close();
  const names = answer.listServicesResponse.service.map((one: { name: string }) => one.name);
  for (const name of ["BuildService", "ReleaseService", "WorkerService"]) {
    assert.ok(names.includes(`millrace.v1.${name}`), name);
  }
  const { grpc } = load("grpc-health-check/proto/health/v1/health.proto");
  const health = new grpc.health.v1.Health(queue.address, credentials.createInsecure());
  const said = await new Promise((resolve, reject) => {
    health.check({ service: "" }, (error: Error | null, response: { status: unknown }) =>
      error === null ? resolve(response.status) : reject(error),
    );
  });
  health.close();
  assert.ok(said === "SERVING" || said === 1);
});

/** Ends every build that still waits. */
async function drain(): Promise<void> {
  const { builds } = queue;
  const live = [BuildState.BUILD_STATE_QUEUED, BuildState.BUILD_STATE_LEASED];
  const list = { service: "", states: live, limit: 500, pageToken: "" };
  for (const { id } of (await call(builds, builds.listBuilds, list)).builds) {
    await call(builds, builds.cancelBuild, { id, requester: "" });
  }
}

function recipe(service: string): string {
  return [
    `service: ${service}`,
    'build: { run: "true", output: out }',
    'activate: { hook: ["true"] }',
  ].join("\n");
}
