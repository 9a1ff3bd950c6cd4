// What the swarm peer commands, fact by fact.
import { check } from "./transcript.ts";

check(
  "asks for the blocks of a piece in order, writes each, and announces the whole",
  `
  extended 102K
  wanted all
  connected r
  connected a
  received r bitfield 0
  > send r request 0 0K+34K
  > send r request 0 34K+34K
  > send r request 0 68K+34K
  received r block 0 0K+34K
  > send r got
  > store-block r 0 0K+34K
  block-stored r 0 0K+34K
  > nothing
  received r block 0 34K+34K
  > send r got
  > store-block r 0 34K+34K
  block-stored r 0 34K+34K
  received r block 0 68K+34K
  > send r got
  > store-block r 0 68K+34K
  block-stored r 0 68K+34K
  > finish 0
  piece-verified 0
  > send r have 0
  > send a have 0
  > send a offer 0
`,
);

check(
  "does not tell a neighbour of a piece that it has",
  `
  extended 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  received a block 0 0K+20K
  > send a got
  > store-block a 0 0K+20K
  block-stored a 0 0K+20K
  > finish 0
  piece-verified 0
  > send a have 0
`,
);

check(
  "takes what a relay offers at once, and of an agent's offer the piece that fewest have",
  `
  extended 20K 20K 20K
  wanted all
  connected a
  connected b
  connected r
  received a bitfield 0-1
  > send a request 0 0K+20K
  received b bitfield 0
  received r offer 2
  > send r request 2 0K+20K
  received b offer 0
  > send b decline 0
  received a offer 0-1
  > send a request 1 0K+20K
`,
);

check(
  "keeps an offer of what the table does not know yet until it does",
  `
  extended 20K
  wanted all
  connected a
  connected r
  received r offer 1
  > nothing
  received a offer 0,2
  > send a request 0 0K+20K
  received a offer 3,2
  > nothing
  extended 20K 20K
  > send r request 1 0K+20K
  > send a request 2 0K+20K
  received a offer 0
  > send a decline 0
`,
);

check(
  "goes on with a relay where an agent is slow",
  `
  extended 264K 20K
  wanted 0
  connected a
  connected r
  received a bitfield 0-1
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  > send a request 0 88K+44K
  > send a request 0 132K+44K
  > send a request 0 176K+44K
  > send a request 0 220K+44K
  received r bitfield 0-1
  wanted 1
  > nothing
  at 1s
  wake
  > send r request 1 0K+20K
  > send a cancel 0
  > send r request 0 0K+44K
  > send r request 0 44K+44K
  > send r request 0 88K+44K
  > send r request 0 132K+44K
  > send r request 0 176K+44K
  > send r request 0 220K+44K
`,
);

check(
  "goes on at its offset with another source when one vanishes",
  `
  extended 88K
  wanted all
  connected a
  connected b
  received a bitfield 0
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  received b bitfield 0
  received a block 0 0K+44K
  > send a got
  > store-block a 0 0K+44K
  disconnected a
  > nothing
  block-stored a 0 0K+44K
  > send b request 0 44K+44K
`,
);

check(
  "replaces a source that is silent for 20 s, and disconnects it after three times",
  `
  extended 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  at 19.9s
  wake
  > nothing
  at 20s
  wake
  > send a cancel 0
  at 29.9s
  wake
  > nothing
  at 30s
  wake
  > send a request 0 0K+20K
  connected b
  received b bitfield 0
  > send a cancel 0
  > send b request 0 0K+20K
`,
);

check(
  "looks often whether idle neighbours are sooner, until the last source counts as slow: then whether it is overdue",
  `
  extended 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  due 20
  at 20
  wake
  > nothing
  due 40
  at 1s
  wake
  > nothing
  due 20s
`,
  // Which does not seek neighbours meanwhile.
  "relay",
);

check(
  "who was busy when the last source became slow is asked once it may be",
  `
  extended 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  connected b
  received b bitfield 0
  at 900
  received b refuse 0 busy
  > send b cancel 0
  at 1s
  wake
  > nothing
  due 1151.3678605901077
  at 1152
  wake
  > send a cancel 0
  > send b request 0 0K+20K
`,
  "relay",
);

check(
  "takes a block of a request that it gave up, if it is the next all the same",
  `
  extended 40K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+40K
  at 20s
  wake
  > send a cancel 0
  connected b
  received b bitfield 0
  > send b request 0 0K+40K
  received a block 0 0K+40K
  > send a got
  > send b cancel 0
  > store-block a 0 0K+40K
  block-stored a 0 0K+40K
  > finish 0
  received b block 0 0K+40K
  > send b got
  > drop-block b
`,
);

check(
  "drops a late block of who said that it is busy, as the rest of the piece would wait for it",
  `
  extended 88K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  at 5
  received a refuse 0 busy
  > send a cancel 0
  connected b
  received b bitfield 0
  > send b request 0 0K+44K
  > send b request 0 44K+44K
  received a block 0 0K+44K
  > send a got
  > drop-block a
`,
);

check(
  "drops a late block while the store is full",
  `
  extended 40K 40K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+40K
  connected b
  received b offer 1
  > send b request 1 0K+40K
  received a block 0 0K+40K
  > send a got
  > store-block a 0 0K+40K
  store-failed a 0
  > send b cancel 1
  received b block 1 0K+40K
  > send b got
  > drop-block b
`,
);

check(
  "drops a late block of a request that it gave up, where others went on, without harm",
  `
  extended 88K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  at 20s
  wake
  > send a cancel 0
  connected b
  received b bitfield 0
  > send b request 0 0K+44K
  > send b request 0 44K+44K
  received b block 0 0K+44K
  > send b got
  > store-block b 0 0K+44K
  received a block 0 0K+44K
  > send a got
  > drop-block a
  received a block 0 44K+44K
  > send a got
  > drop-block a
`,
);

check(
  "disconnects who sends a block that was never asked",
  `
  extended 20K
  wanted all
  connected a
  received a block 0 0K+20K
  > send a got
  > drop-block a
  > disconnect a: protocol violation
`,
);

check(
  "disconnects the sole giver of a corrupt piece, and bans it at the second",
  `
  extended 20K 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  received a block 0 0K+20K
  > send a got
  > store-block a 0 0K+20K
  block-stored a 0 0K+20K
  > finish 0
  piece-corrupt 0
  > disconnect a: corrupt piece
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  received a block 0 0K+20K
  > send a got
  > store-block a 0 0K+20K
  block-stored a 0 0K+20K
  > finish 0
  piece-corrupt 0
  > disconnect a: banned
  at 3600s
  connected a
  > disconnect a: banned
`,
);

check(
  "fetches a corrupt piece of several givers whole from one, so that blame is clear",
  `
  extended 88K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  at 10
  received a block 0 0K+44K
  > send a got
  > store-block a 0 0K+44K
  block-stored a 0 0K+44K
  disconnected a
  connected b
  received b bitfield 0
  > send b request 0 44K+44K
  received b block 0 44K+44K
  > send b got
  > store-block b 0 44K+44K
  block-stored b 0 44K+44K
  > finish 0
  piece-corrupt 0
  > nothing
  connected c
  received c bitfield 0
  > send c request 0 0K+44K
  > send c request 0 44K+44K
  received c block 0 0K+44K
  > send c got
  > store-block c 0 0K+44K
  block-stored c 0 0K+44K
  at 2s
  disconnected c
  > send c cancel 0
  > discard 0
  > send b request 0 0K+44K
  > send b request 0 44K+44K
`,
);

check(
  "leaves a busy neighbour alone for a moment, and asks another at once",
  `
  extended 20K
  wanted all
  connected a
  connected b
  received a bitfield 0
  > send a request 0 0K+20K
  received b bitfield 0
  received a refuse 0 busy
  > send a cancel 0
  > send b request 0 0K+20K
`,
);

check(
  "believes a neighbour that a piece is absent",
  `
  extended 20K
  wanted all
  connected a
  received a bitfield 0
  > send a request 0 0K+20K
  received a refuse 0 absent
  > send a cancel 0
  at 60s
  wake
  > nothing
  received a have 0
  > send a request 0 0K+20K
`,
);

check(
  "serves what it has, one block to a neighbour at a time",
  `
  extended 88K
  piece-added 0
  connected a
  > send a bitfield 0
  > send a offer 0
  received a request 0 0K+44K
  > send-block a 0 0K+44K
  received a request 0 44K+44K
  > nothing
  block-sent a
  > send-block a 0 44K+44K
`,
);

check(
  "refuses what it does not have, and disconnects who asks beyond a piece",
  `
  extended 20K 20K
  piece-added 0
  connected a
  > send a bitfield 0
  > send a offer 0
  received a request 1 0K+20K
  > send a refuse 1 absent
  received a request 7 0K+20K
  > send a refuse 7 absent
  received a request 0 50K+20K
  > disconnect a: protocol violation
`,
);

check(
  "fault 14: fetches again what it had and lost, and refuses it meanwhile",
  `
  extended 20K 20K
  wanted all
  piece-added 0
  piece-added 1
  connected a
  > send a bitfield 0,1
  > send a offer 1,0
  received a request 1 0K+20K
  > send a offer 0
  > send-block a 1 0K+20K
  piece-lost 1
  read-failed a 1
  > send a refuse 1 absent
  received a cancel 1
  received a request 1 0K+20K
  > send a refuse 1 absent
  connected b
  > send b bitfield 0
  > send b offer 0
  received b have 1
  > send b request 1 0K+20K
  received b block 1 0K+20K
  > send b got
  > store-block b 1 0K+20K
  block-stored b 1 0K+20K
  > finish 1
  piece-verified 1
  > send a have 1
  > send b have 1
  received a request 1 0K+20K
  > send-block a 1 0K+20K
`,
);

check(
  "a relay offers each piece once before it offers one again",
  `
  extended 700K 700K 700K
  piece-added 0
  piece-added 1
  connected a
  > send a offer 0
  connected b
  > send b offer 1
  piece-added 2
  received a request 0 0K+234K
  > send a offer 2
  > send-block a 0 0K+234K
  received a request 0 234K+234K
  received a request 0 468K+232K
  block-sent a
  received a got
  > send-block a 0 234K+234K
  block-sent a
  > send-block a 0 468K+232K
  received a got
  block-sent a
  received a got
  received a have 0
`,
  "relay",
);

check(
  "a relay offers nothing again while something new goes out and has not left",
  `
  extended 200K 200K
  connected a
  connected b
  connected c
  piece-added 0
  > send a offer 0
  at 0.06s
  piece-added 1
  > send b offer 1
  at 0.11s
  wake
  > nothing
  at 0.165s
  wake
  > send c offer 0
`,
  "relay",
);

check(
  "declines an offer of what it is fetching of that very neighbour, and goes on with it",
  `
  extended 20K
  wanted all
  connected a
  received a offer 0
  > send a request 0 0K+20K
  received a offer 0
  > send a decline 0
  received a block 0 0K+20K
  > send a got
  > store-block a 0 0K+20K
  block-stored a 0 0K+20K
  > finish 0
`,
);

check(
  "offers another piece while a large one is asked for little by little",
  `
  extended 4096K 20K 20K
  piece-added 0
  connected a
  > send a bitfield 0
  > send a offer 0
  received a request 0 0K+44K
  > send-block a 0 0K+44K
  block-sent a
  received a got
  piece-added 1
  > send a have 1
  > send a offer 1
`,
);

check(
  "tells of a new piece with what goes to a neighbour after 100 ms, and alone after 300 ms",
  `
  extended 20K 20K 20K 20K
  wanted 2
  connected a
  received a have 0,1,3
  piece-added 0
  > send a have 0
  at 50
  piece-added 1
  received a offer 2
  > send a request 2 0K+20K
  at 110
  received a block 2 0K+20K
  > send a got
  > store-block a 2 0K+20K
  > send a have 1
  piece-added 3
  at 409
  wake
  > nothing
  at 410
  wake
  > send a have 3
`,
);

check(
  "says that it needs nothing of an offer",
  `
  extended 20K 20K
  wanted 0
  connected a
  received a offer 0-1
  > send a request 0 0K+20K
  connected b
  received b offer 0-1
  > send b decline 0
  received b offer 1
  > send b decline 1
`,
);

check(
  "offers an agent the rarest of what it lacks, and nothing once it has answered for all",
  `
  extended 20K 20K
  piece-added 0
  piece-added 1
  connected a
  > send a bitfield 0,1
  > send a offer 1,0
  received a have 0
  received a request 1 0K+20K
  > send-block a 1 0K+20K
  block-sent a
  received a got
`,
);

check(
  "offers somebody else what was not answered",
  `
  extended 20K
  piece-added 0
  connected a
  > send a offer 0
  connected b
  > nothing
  at 100
  wake
  > send b offer 0
  at 2s
  wake
  received b request 0 0K+20K
  > send-block b 0 0K+20K
  at 3s
  wake
  at 4s
  wake
  > send a offer 0
`,
  "relay",
);

check(
  "disconnects a reader that takes nothing for 20 s",
  `
  extended 44K
  piece-added 0
  connected a
  > send a bitfield 0
  > send a offer 0
  received a request 0 0K+44K
  > send-block a 0 0K+44K
  at 20s
  wake
  > disconnect a: stalled reader
`,
);

check(
  "asks for pieces as the table grows, even for those wanted before",
  `
  wanted 1
  connected a
  received a bitfield 0-3
  extended 20K
  > nothing
  extended 20K 20K
  > send a request 1 0K+20K
  wanted 2
  > nothing
  received a offer 2
  > send a request 2 0K+20K
`,
);

check(
  "gives up a fetch when the piece came by another way, and announces it",
  `
  extended 88K
  wanted all
  connected r
  received r bitfield 0
  > send r request 0 0K+44K
  > send r request 0 44K+44K
  connected a
  piece-added 0
  > send r cancel 0
  > send r have 0
  > send a have 0
  > send a offer 0
  received r block 0 0K+44K
  > send r got
  > drop-block r
`,
);

check(
  "fault 12: stops fetching when the disk is full, serves on, and resumes",
  `
  extended 88K 20K
  wanted 0
  piece-added 1
  connected a
  > send a bitfield 1
  > send a offer 1
  received a bitfield 0
  > send a request 0 0K+44K
  > send a request 0 44K+44K
  at 10
  received a block 0 0K+44K
  > send a got
  > store-block a 0 0K+44K
  store-failed a 0
  > send a cancel 0
  received a block 0 44K+44K
  > send a got
  > drop-block a
  received a request 1 0K+20K
  > send-block a 1 0K+20K
  resumed
  > send a request 0 0K+44K
  > send a request 0 44K+44K
`,
);

check(
  "dials relays first, agents of a greater id at once and others a second later",
  `
  extended 20K
  wanted all
  introduced z a r
  > dial r
  > dial z
  at 1s
  wake
  > dial a
`,
);

check(
  "dials again with a back-off, and nobody when it has all",
  `
  extended 20K
  wanted all
  introduced z
  > dial z
  dial-failed z
  at 0.2s
  wake
  > nothing
  at 0.5s
  wake
  > dial z
  dial-failed z
  piece-added 0
  at 60s
  wake
  > nothing
`,
);

check(
  "seeks more peers while it lacks pieces and neighbours, ever less often",
  `
  extended 20K 20K
  wanted all
  at 0.1s
  introduced z
  > dial z
  wake
  > nothing
  at 0.15s
  wake
  > seek
  at 0.44s
  wake
  > nothing
  at 0.45s
  wake
  > seek
  at 1.05s
  wake
  > seek
  piece-added 0
  piece-added 1
  > nothing
  at 60s
  wake
  > nothing
`,
);

check(
  "seeks nobody while it has sixteen neighbours, and soon again once one is lost",
  `
  extended 20K
  wanted all
  ${Array.from({ length: 16 }, (_, index) => `connected b${index}`).join("\n")}
  at 60s
  wake
  > nothing
  disconnected b3
  at 60.1s
  wake
  > nothing
  at 60.2s
  wake
  > seek
`,
);

check(
  "a relay dials relays, not agents",
  `
  extended 20K
  wanted all
  introduced a z r
  > dial r
`,
  "relay",
);

check(
  "forgets an agent after eight failed dials",
  `
  extended 20K
  wanted all
  introduced z
  > dial z
  ${Array.from({ length: 7 }, (_, n) => `dial-failed z\n at ${(n + 1) * 20}s\n wake\n > dial z`).join("\n")}
  dial-failed z
  at 3600s
  wake
  > nothing
  introduced z
  > dial z
`,
);
