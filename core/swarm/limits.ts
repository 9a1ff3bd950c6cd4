// Every limit and time of the swarm in one place, each with its arithmetic.

/** Bytes of a block, the unit of a request: 2 ms at 1 Gbit/s, so a piece changes hands without loss. */
export const BLOCK_BYTES_MAX = 256 * 1024;

/** Blocks asked beyond those on the wire: one that comes, and as many as wait at senders and downlinks. */
export const QUEUED_BLOCKS = 6;
/** Blocks asked of all neighbours: 256 x 256 KiB is 64 MiB, a 200 ms round trip at 2.5 Gbit/s. */
export const OUTSTANDING_MAX = 256;
/** So much of what the wire seems to hold is under way, so that it is found out when it holds more. */
export const PIPE_GAIN = 1;
/** Blocks that one neighbour may have queued here: all that an honest one asks. */
export const QUEUED_PER_NEIGHBOUR_MAX = OUTSTANDING_MAX;
/** Blocks queued here for all: 256 x 256 KiB is 64 MiB, 5 s at 100 Mbit/s, well under the time-out. */
export const QUEUED_MAX = 256;
/** Blocks being read and sent to one neighbour: one on the wire, one ready behind it. */
export const SENDING_PER_NEIGHBOUR_MAX = 2;
/** Blocks being read and sent to all neighbours: 16 x 256 KiB is 4 MiB of buffers. */
export const SENDING_MAX = 16;
/** Cancelled blocks remembered per neighbour, as they may still come: eight pipelines. */
export const CANCELLED_MAX = 64;

/** Neighbours of an agent: 40 random links keep 20k peers at four hops. */
export const NEIGHBOURS_MAX = 40;
/** Neighbours of a relay: it has spare memory, and everyone who finds no peer comes to it. */
export const RELAY_NEIGHBOURS_MAX = 128;
/** Peers remembered, connected or not: five times a full set of neighbours, and all relays. */
export const KNOWN_MAX = 256;
/** Connections being opened at a time. */
export const DIALS_MAX = 8;

/** A block that has not come by then is asked of someone else: 8 blocks in 20 s is 105 KB/s. */
export const REQUEST_MS_MAX = 20_000;
/** A block that has not left by then is owed to a stalled reader, which is disconnected. */
export const SEND_MS_MAX = 20_000;
/** A neighbour whose block is this old, or takes this long each, is slow: others may take over from it. */
export const BRISK_MS_MAX = 1_000;
/** How long a neighbour that said `busy` is left alone, before jitter of a half. */
export const BUSY_MS = 500;
/** How long a neighbour is not asked for a piece that it sent corrupt. */
export const PIECE_RETRY_MS = 1_000;
/** How long a neighbour that timed out is left alone; doubled each time in a row. */
export const TIMED_OUT_MS = 10_000;
/** Time-outs in a row without one block after which a neighbour is disconnected. */
export const TIMED_OUT_TIMES_MAX = 3;
/** A neighbour hears of our pieces at most so often, unless as many as below are new. */
export const HAVE_MS = 100;
/** New pieces that are told at once. */
export const HAVE_PIECES = 8;
/** Blocks waiting here or offered, beyond those that leave while an offer is answered. */
export const OFFERED_BLOCKS = 5;
/** Blocks on their way to all, beyond those that the wire holds: two on uplinks, the rest at downlinks. */
export const FLYING_BLOCKS = 6;
/** So few where blocks wait for longer than below: one leaves, one is next. */
export const FLYING_BLOCKS_MIN = 2;
/** Blocks that wait for longer on their way are too many: six take 126 ms at 100 Mbit/s. */
export const FLYING_MS = 150;
/** Pieces of an offer for each that it gives: of four lacked a moment ago one is mostly needed still. */
export const OFFERED_PIECES = 4;
/** Pieces that one offer gives: with 16 neighbours and 200 ms that is 160 MB/s in pieces of 256 KiB. */
export const OFFERED_COUNT_MAX = 8;
/** Pieces of the longest offer. */
export const OFFERED_PIECES_MAX = OFFERED_PIECES * OFFERED_COUNT_MAX;
/** An offer that was not answered by then counts no more. */
export const OFFER_MS = 2_000;
/** How long a neighbour must have been idle before it may have to make room for another. */
export const EVICT_IDLE_MS = 5_000;

/** First delay before a peer is dialled again; doubled up to the next, with jitter of a half. */
export const REDIAL_MS_MIN = 500;
export const REDIAL_MS_MAX = 15_000;
/** Of two peers that were introduced to each other the one with the greater id dials this much later. */
export const DIAL_YIELD_MS = 1_000;
/** Dials in a row that failed after which an agent is forgotten; a relay never is. */
export const DIALS_FAILED_MAX = 8;

/** Corrupt pieces that one peer gave alone after which it is banned; each also disconnects it. */
export const STRIKES_MAX = 2;
/** How long a relay is banned, as it may be the only source; an agent is banned for good. */
export const RELAY_BAN_MS = 60_000;
/** Messages that tell nothing (known haves, requests that cannot be met) before a neighbour is dropped. */
export const NOISE_MAX = 4_096;
