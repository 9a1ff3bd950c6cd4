// How transcripts of the machine of one service begin: a first release runs, a second one is on its way.

/** A first release that everybody has is got and runs. */
export const FIRST = `
boot
  watch nothing
  keep
  report stopped nothing runs=nothing
assign r1 a final
  persist
  stage a
  report fetching a runs=nothing
staging a stage
  report staging a runs=nothing
staged a
  persist
  start a
  report activating a runs=nothing
ok
  check a
  report checking a runs=nothing
ok
  point a
  report activating a runs=nothing healthy
ok
  persist
  watch a
  keep a
  report active a runs=a healthy
`;

/** A second one, of an open rollout, waits for its permit. */
export const SECOND_STAGED = `${FIRST}
assign r2 b open
  persist
  stage b
  report fetching b runs=a healthy
staged b
  report staged b runs=a healthy
`;

/** The permit has come, the new release has started and its health is looked at. */
export const SECOND_CHECKED = `${SECOND_STAGED}
permit r2 b
  persist
  start b
  report activating b runs=a healthy
ok
  check b
  report checking b runs=a healthy
`;

/** The new release runs and is healthy, the old one is stopped. */
export const SECOND_ACTIVE = `${SECOND_CHECKED}
ok
  point b
  report activating b runs=a healthy
ok
  stop a
ok
  persist
  watch b
  keep b a
  report active b runs=b healthy
`;
