// What the machine of one service commands, fact by fact.
import { FIRST, SECOND_ACTIVE, SECOND_CHECKED, SECOND_STAGED } from "./agent-beginnings.ts";
import { check } from "./agent-transcript.ts";

check("a machine that comes late catches up with a rollout that is over", FIRST);

check("an open rollout is switched to with a permit, old one drained last", SECOND_ACTIVE);

check(
  "a permit that comes before the release is staged is kept until then",
  `${FIRST}
assign r2 b open
  persist
  stage b
  report fetching b runs=a healthy
permit r2 b
staged b
  persist
  start b
  report activating b runs=a healthy
`,
);

check(
  "a permit that comes before the release is staged runs out with its time",
  `${FIRST}
assign r2 b open
  persist
  stage b
  report fetching b runs=a healthy
permit r2 b
at 1000000
staged b
  report staged b runs=a healthy
`,
);

check(
  "a permit must be for this rollout, release, epoch and wave, and the rollout not paused",
  `${SECOND_STAGED}
permit r1 b
  refuse it is for rollout r1, assigned is r2
permit r2 a
  refuse it is for release a, assigned is b
permit r2 b epoch=0
  refuse as old: its epoch 0 is below 1
assign r2 b open no-wave
  persist
permit r2 b
  refuse this machine is not in wave 0
assign r2 b open paused
  persist
permit r2 b
  refuse the rollout is paused
`,
);

check(
  "fault 2: assignments of a lower epoch or revision are refused",
  `${FIRST}
assign r2 b final epoch=0 revision=9
  refuse orders of 0, 9
assign r2 b final revision=0
  refuse orders of 1, 0
`,
);

check(
  "a release that does not become healthy is taken back at once, and not tried again",
  `${SECOND_CHECKED}
fail no answer within 30 s
  persist
  start a
  report reverting b runs=a healthy: no answer within 30 s
ok
  point a
ok
  stop b
ok
  check a
ok
  persist
  watch a
  keep a b
  report failed b runs=a healthy: no answer within 30 s
permit r2 b id=again
  refuse it has failed here under this rollout
`,
);

check(
  "a new process that dies before it is healthy fails the switch",
  `${SECOND_CHECKED}
exit b ended with code 1
  persist
  start a
  report reverting b runs=a healthy: ended with code 1
`,
);

check(
  "a rollout that is taken back: the last good release returns from disk, with no permit",
  `${SECOND_ACTIVE}
assign r2 b rollback fallback=x
  persist
  persist
  start a
  report reverting a runs=b healthy
ok
  check a
ok
  point a
ok
  stop b
ok
  persist
  watch a
  keep a b
  report reverted a runs=a healthy
`,
);

check(
  "a rollout taken back in mid-switch is undone at once",
  `${SECOND_CHECKED}
assign r2 b rollback
  persist
  persist
  start a
  report reverting b runs=a healthy
ok
  point a
ok
  stop b
ok
  check a
ok
  persist
  watch a
  keep a
  report reverted a runs=a healthy
`,
);

check(
  "a machine that has not switched stays as it is when the rollout is taken back or frozen",
  `${SECOND_STAGED}
assign r2 b rollback
  persist
  report active a runs=a healthy
assign r2 b frozen
  persist
assign r3 c frozen
  persist
  report active a runs=a healthy
`,
);

check(
  "a first release that fails leaves nothing running",
  `
boot
  watch nothing
  keep
  report stopped nothing runs=nothing
assign r1 a open
  persist
  stage a
  report fetching a runs=nothing
staged a
  report staged a runs=nothing
permit r1 a
  persist
  start a
  report activating a runs=nothing
fail no such file
  persist
  stop a
  report reverting a runs=nothing: no such file
ok
  point nothing
ok
  persist
  watch nothing
  keep a
  report failed a runs=nothing: no such file
`,
);

check(
  "fault 12: a full disk is reported and tried again, a wrong release is not",
  `${FIRST}
assign r2 b open
  persist
  stage b
  report fetching b runs=a healthy
staging-failed b no space left
  report fetching b runs=a healthy: no space left
at 999
at 1000
  stage b
staging-failed b no space left
at 3000
  stage b
staging-failed b wrong
  persist
  report failed b runs=a healthy: wrong
at 60000
`,
);

check(
  "paused begins nothing, and goes on with what has begun",
  `${FIRST}
assign r2 b open paused
  persist
  report active b runs=a healthy
assign r2 b open
  persist
  stage b
  report fetching b runs=a healthy
assign r2 b open paused
  persist
staged b
  report staged b runs=a healthy
`,
);

check(
  "a service that dies is started again, later each time",
  `${FIRST}
at 20000
exit a killed by SIGSEGV
  report active a runs=a: killed by SIGSEGV
at 20500
  restart a
exit a killed by SIGSEGV
at 21000
at 21500
  restart a
probe a healthy
  report active a runs=a healthy
`,
);

check(
  "fault 26: one missed check is no illness, two in a row are",
  `${FIRST}
probe a missed
  report active a runs=a
probe a healthy
  report active a runs=a healthy
probe a missed
  report active a runs=a
probe a missed
  report active a runs=a: it answers its checks no more
probe a healthy
  report active a runs=a healthy
`,
);

check(
  "no release: the service is stopped; for good once that is final",
  `${FIRST}
assign r2 nothing open
  persist
  report staged nothing runs=a healthy
permit r2 nothing
  persist
  stop a
  report activating nothing runs=a healthy
ok
  point nothing
ok
  persist
  watch nothing
  keep a
  report stopped nothing runs=nothing
assign r2 nothing final
  persist
  persist
  keep
  report stopped nothing runs=nothing
`,
);

check(
  "a fixed port is handed over, and back",
  `way fixed
${FIRST}
assign r2 b final
  persist
  stage b
  report fetching b runs=a healthy
staged b
  persist
  hand-over a b
  report activating b runs=a healthy
ok
  check b
  report checking b runs=a healthy
fail no answer
  persist
  hand-over b a
  report reverting b runs=a healthy: no answer
ok
  point a
ok
  check a
ok
  persist
  watch a
  keep a b
  report failed b runs=a healthy: no answer
at 29999
at 30000
  persist
  hand-over a b
  report activating b runs=a healthy
`,
);

check(
  "a hook runs at the switch, and the old one's when it fails",
  `way hook
boot disk=a
  watch nothing
  keep
  report stopped nothing runs=nothing
assign r1 a final
  persist
  stage a
  report fetching a runs=nothing
staged a
  persist
  point a
  report activating a runs=nothing
ok
  run-hook a
ok
  check a
  report checking a runs=nothing
ok
  persist
  watch a
  keep a
  report active a runs=a healthy
assign r2 b final
  persist
  stage b
  report fetching b runs=a healthy
staged b
  persist
  point b
  report activating b runs=a healthy
ok
  run-hook b
fail exit code 1
  persist
  point a
  report reverting b runs=a healthy: exit code 1
ok
  run-hook a
ok
  check a
`,
);

check(
  "fault 25: killed in mid-switch, the next life goes on under the same permit; both processes are adopted",
  `${SECOND_CHECKED}
crash
boot disk=a,b running=a,b pointed=a
  start b
  report activating b runs=a
ok
  check b
  report checking b runs=a
`,
);

check(
  "fault 25: after a power cut in mid-switch the old release is started beside the new one",
  `${SECOND_STAGED}
permit r2 b
  persist
  start b
  report activating b runs=a healthy
crash
boot disk=a,b pointed=a
  restart a
  start b
  report activating b runs=a
`,
);

check(
  "a restarted agent adopts what runs, starts what does not, and mends the link",
  `${FIRST}
crash
boot disk=a running=a,z pointed=z
  reap z
  repoint a
  watch a
  keep a
  report active a runs=a
crash
boot disk=a
  repoint a
  restart a
  watch a
  keep a
  report active a runs=a
`,
);

check(
  "a release that somebody deleted is fetched again",
  `${FIRST}
crash
boot pointed=a
  persist
  repoint nothing
  watch nothing
  keep a
  report stopped nothing runs=nothing
assign r1 a final
  persist
  stage a
  report fetching a runs=nothing
`,
);
