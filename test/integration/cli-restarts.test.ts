// Commands that wait while the control plane restarts: they go on, and tell nothing twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import { Rollout, RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import { until } from "../lab/until.ts";
import { type Script, ScriptedApi, startMillrace } from "./cli-scripted-api.ts";

const open = Rollout.fromPartial({
  id: "r-1",
  service: "hello",
  state: RolloutState.ROLLOUT_STATE_ACTIVATING,
});
const done = Rollout.fromPartial({
  id: "r-1",
  service: "hello",
  state: RolloutState.ROLLOUT_STATE_SUCCEEDED,
  endedAtMs: 1,
});

test("a rollout is followed across a restart", async () => {
  const api = new ScriptedApi();
  const first: Script = {
    startRollout: () => ({ rollout: open }),
    watchRollout: async function* () {
      yield { rollout: open };
      throw unavailable("going away");
    },
  };
  await api.start(first);
  try {
    const running = startMillrace(["deploy", "abcd", "--addr", api.address]);
    await running.printed("activating");
    await api.stop();
    await api.start({
      watchRollout: async function* () {
        yield { rollout: open };
        yield { rollout: done };
      },
    });
    const { code, stdout } = await running.ended;
    assert.equal(code, 0);
    assert.equal(stdout.match(/activating/g)?.length, 1, stdout);
    assert.match(stdout, /succeeded/);
  } finally {
    await api.stop();
  }
});

test("a word that the control plane dies of is said again, to the same rollout", async () => {
  const api = new ScriptedApi();
  await api.start({
    getRollout: () => ({ rollout: open }),
    abortRollout: () => {
      throw unavailable("going away");
    },
  });
  try {
    const running = startMillrace(["abort", "hello", "--addr", api.address]);
    await until("it was said", () => wordsOf(api).length > 0);
    await api.stop();
    await api.start({
      // By now another rollout of the service is open.
      getRollout: () => ({ rollout: { ...open, id: "r-2" } }),
      abortRollout: () => ({ rollout: { ...open, state: RolloutState.ROLLOUT_STATE_ABORTED } }),
    });
    const { code, stderr } = await running.ended;
    assert.equal(code, 0, stderr);
    const words = wordsOf(api);
    assert.ok(words.length >= 2);
    assert.deepEqual([...new Set(words)], ["r-1"]);
  } finally {
    await api.stop();
  }
});

/** Ids of the rollouts that were to be aborted, in order. */
function wordsOf(api: ScriptedApi): string[] {
  return api.requests
    .filter(({ method }) => method === "abortRollout")
    .map(({ request }) => request.id);
}

test("a log is followed across a restart, each byte once", async () => {
  const api = new ScriptedApi();
  const log = Buffer.from("one\ntwo\nthree\n");
  const tail = (from: number, to: number) => ({
    offset: from,
    data: log.subarray(from, to),
    attempt: 1,
  });
  await api.start({
    tailLog: async function* () {
      yield tail(0, 6);
      throw unavailable("going away");
    },
  });
  try {
    const running = startMillrace(["logs", "b-1", "--follow", "--addr", api.address]);
    await running.printed("one\ntw");
    await api.stop();
    await api.start({
      tailLog: async function* (request) {
        yield tail(request.offset, log.length);
      },
    });
    const { code, stdout } = await running.ended;
    assert.equal(code, 0);
    assert.equal(stdout, log.toString());
  } finally {
    await api.stop();
  }
});

test("a new attempt's log is printed from its beginning", async () => {
  const api = new ScriptedApi();
  await api.start({
    tailLog: async function* () {
      yield { offset: 0, data: Buffer.from("lost\n"), attempt: 1 };
      yield { offset: 0, data: Buffer.from("again\n"), attempt: 2 };
    },
  });
  try {
    const running = startMillrace(["logs", "b-1", "--follow", "--addr", api.address]);
    assert.equal((await running.ended).stdout, "lost\nagain\n");
  } finally {
    await api.stop();
  }
});

test("status --watch says since when the control plane is away, and goes on", async () => {
  const api = new ScriptedApi();
  const build = Build.fromPartial({ id: "b-1", state: BuildState.BUILD_STATE_LEASED });
  const says = (epoch: number): Script => ({
    getStatus: () => GetStatusResponse.fromPartial({ version: "1", epoch, builds: [build] }),
  });
  await api.start(says(1));
  try {
    const running = startMillrace(["status", "--watch", "--addr", api.address]);
    await running.printed("epoch 1");
    await api.stop();
    await running.printed(`no contact with ${api.address}`);
    await api.start(says(2));
    await running.printed("epoch 2");
    running.process.kill("SIGINT");
    const { code, stderr } = await running.ended;
    assert.equal(code, 0);
    assert.equal(stderr, "");
  } finally {
    await api.stop();
  }
});
