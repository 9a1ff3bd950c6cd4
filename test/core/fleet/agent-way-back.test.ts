// What the machine of one service does where the way back is barred: the last good release is bad as
// well, or cannot be had. It comes to rest and says why; it never goes to and fro.
import { SECOND_ACTIVE, SECOND_CHECKED } from "./agent-beginnings.ts";
import { check } from "./agent-transcript.ts";

/** One try to go back that ends where it began; the wait before it is over. */
const TRY = `  persist
  start a
  report reverting a runs=b healthy
ok
  check a
fail no answer of a
  persist
  start b
  report reverting a runs=b healthy: no answer of a
ok
  point b
ok
  stop a
ok
  check b
ok
  persist
  watch b
  keep b a
  report failed a runs=b healthy: no answer of a
`;

check(
  "fault 28: new and last good release both bad: it stays with the last good one and says both",
  `${SECOND_CHECKED}
fail no answer of b
  persist
  start a
  report reverting b runs=a healthy: no answer of b
fail cannot start a
  point a
  report reverting b runs=a healthy: no answer of b; going back: cannot start a
ok
  stop b
ok
  check a
fail no answer of a
  persist
  watch a
  keep a b
  report failed b runs=a: no answer of b; going back: cannot start a; going back: no answer of a
# It is started again and again, but nothing else is.
at 500
  restart a
exit a exited with code 1
at 1500
  restart a
permit r2 b id=again
  refuse it has failed here under this rollout
assign r2 b rollback fallback=a
  persist
at 4000
at 4000000
`,
);

check(
  "fault 28: taken back to a last good release that is bad: three tries, then it halts with the error",
  `${SECOND_ACTIVE}
assign r2 b rollback fallback=a
  persist
${TRY}
at 29999
at 30000
${TRY}
at 89999
at 90000
${TRY}
at 100000000
crash
boot disk=a,b running=b pointed=b
  watch b
  keep b a
  report failed a runs=b: no answer of a
assign r2 b rollback fallback=a
  persist
# Another rollout is another matter.
assign r3 a open
  persist
  report staged a runs=b
permit r3 a
  persist
  start a
  report activating a runs=b
`,
);

check(
  "fault 28: the last good release is gone from disk and cannot be had: what runs runs on, and it says why",
  `${SECOND_ACTIVE}
crash
boot disk=b running=b pointed=b
  watch b
  keep b a
  report active b runs=b
assign r2 b rollback fallback=a
  persist
  stage a
  report fetching a runs=b
staging-failed a no peer has it
  report fetching a runs=b: no peer has it
at 1000
  stage a
staging-failed a wrong
  persist
  report failed a runs=b: wrong
at 31000
  stage a
staging-failed a wrong
  persist
at 91000
  stage a
staging-failed a wrong
  persist
at 100000000
`,
);

check(
  "fault 28: what it was going back to is gone when the agent comes back: it is fetched again",
  `${SECOND_CHECKED}
fail no answer of b
  persist
  start a
  report reverting b runs=a healthy: no answer of b
crash
boot disk=b running= pointed=a
  start a
  report reverting b runs=a: no answer of b
fail it is not on disk
  point a
  report reverting b runs=a: no answer of b; going back: it is not on disk
ok
  stop b
ok
  check a
fail not healthy
  persist
  repoint nothing
  watch nothing
  keep a
  report failed b runs=nothing: no answer of b; going back: it is not on disk; going back: not healthy
# The next assignment brings it back, as nothing else would.
assign r3 a final
  persist
  stage a
  report fetching a runs=nothing
`,
);
