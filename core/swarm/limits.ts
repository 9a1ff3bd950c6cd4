// Every limit and time of the swarm in one place, each with its arithmetic.

/**
 * Bytes of a block, the unit of a request, that a peer takes at most. Pieces are of 256 KiB or 1 MiB mostly, with
 * up to a chunk more: one block, and three.
 */
export const BLOCK_BYTES_MAX = 384 * 1024;
/** Of a block on fast wires: 3 ms at 1 Gbit/s, so a piece changes hands without loss. */
export const BLOCK_BYTES_LONG = BLOCK_BYTES_MAX;
/**
 * Of a block on slow wires: 3.6 ms at 100 Mbit/s. With its head it is one packet all the way to a NIC of a
 * host that has nothing else under way to the same peer. A shaper's bucket is often 4 ms; a longer packet
 * would be cut into 45 small ones there, at 45 times the work.
 */
export const BLOCK_BYTES_SHORT = 44 * 1024;
/** Bytes a millisecond from which blocks are long: 200 Mbit/s. */
export const LONG_BLOCKS_RATE = 25_000;
/**
 * And below which a wire that has shown that rate gets short ones again: 40 Mbit/s, 77 ms a block. In between it is
 * mostly not the wire that holds blocks up, but a packer or a busy machine, and short blocks are more work for both.
 */
export const SHORT_BLOCKS_RATE = 5_000;

/**
 * Bytes asked beyond those on the wire: what comes, and waits at senders and downlinks; 168 ms at 100 Mbit/s. Up to as
 * many again where offers wait: who cannot take what all its neighbours have to give is behind, and its answers are late.
 */
export const ASKED_BYTES = 2048 * 1024;
/** Blocks asked of all neighbours: 256 x 384 KiB is 96 MiB, a 200 ms round trip at 4 Gbit/s. */
export const OUTSTANDING_MAX = 256;
/** So much of what the wire seems to hold is under way, so that it is found out when it holds more. */
export const PIPE_GAIN = 1;
/** Blocks that one neighbour may have queued here: all that an honest one asks. */
export const QUEUED_PER_NEIGHBOUR_MAX = OUTSTANDING_MAX;
/** Bytes queued here for all: 5 s at 100 Mbit/s, well under the time-out. */
export const QUEUED_BYTES_MAX = 64 * 1024 * 1024;
/** Blocks being read and sent to one neighbour: a second would not leave sooner. */
export const SENDING_PER_NEIGHBOUR_MAX = 1;
/** Blocks that keep a wire full where ways are short, shared by all connections: two on each of sixteen. */
export const SPREAD_BLOCKS = 32;
/**
 * A way is short when a block and its answer take less: at 100 Mbit/s a block leaves within 20 ms, by the pace of its
 * connection, and its answer waits for up to 25 ms in a full queue. On longer ways more are on their way.
 */
export const SHORT_WAY_MS = 45;
/** Blocks being read and sent to all neighbours: 16 x 384 KiB is 6 MiB of buffers. */
export const SENDING_MAX = 16;
/** Cancelled blocks remembered per neighbour, as they may still come: all that was asked, twice. */
export const CANCELLED_MAX = 2 * OUTSTANDING_MAX;

/** Neighbours of an agent: 40 random links keep 20k peers at four hops. */
export const NEIGHBOURS_MAX = 40;
/**
 * With fewer an agent that lacks pieces asks to be told of more. A sender gives as much to each neighbour, so who has
 * half as many as others gets half as much; and with 24 or 40 uplinks are idle, as each is offered little at a time (0030).
 */
export const NEIGHBOURS_MIN = 16;
/**
 * So long it waits first, until those it was told of have answered or dialled; doubled each time, up to the next. With
 * 500 a region of 1,000 had a quarter of its pack before all had enough, and ended 0.007 of the bound later (0031).
 */
export const SEEK_MS_MIN = 150;
export const SEEK_MS_MAX = 60_000;
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
/** A neighbour whose block is this old, or that takes this long for the bytes below, is slow: others may take over. */
export const BRISK_MS_MAX = 1_000;
/** At the end a block is late when it is this old, and older than idle neighbours would let it be: looked at so often. */
export const LATE_MS_MIN = 20;
/** 128 KiB/s are a sixteenth of 17 Mbit/s: less than what a neighbour among others gives on a slow wire. */
export const BRISK_BYTES = 128 * 1024;
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
/** So long they wait for something else that goes to it: at 100 Mbit/s 32 blocks and answers a second do. */
export const HAVE_ALONE_MS = 300;
/** New pieces that are told at once. */
export const HAVE_PIECES = 16;
/** Bytes waiting here or offered, beyond those that leave while an offer is answered: eight usual pieces. */
export const OFFERED_BYTES = 2048 * 1024;
/** The same where blocks are long: five. */
export const OFFERED_BYTES_LONG = 1280 * 1024;
/**
 * Pieces of several blocks that are offered or being given at a time. Who takes one asks for it little by little, as it
 * comes from as many as below, so one or two would leave an uplink idle for a quarter of the time.
 */
export const LARGE_OFFERED = 8;
/** Neighbours that give a piece of several blocks at a time: more than each offers, so that offers are taken at once. */
export const LARGE_SOURCES = 10;
/** Where a limit lets less go in this time, so much: what those above take at 100 Mbit/s. */
export const OFFERED_MS = 168;
/**
 * Short blocks on their way to all: 792 KiB. Some leave, the others are at downlinks; as many again would
 * overflow the queue before the uplink where all begin at once, and what is lost there is sent again in pieces.
 */
export const FLYING_BLOCKS = 18;
/** The same where they are long: 4.5 MiB. */
export const FLYING_BLOCKS_LONG = 12;
/**
 * So few at first where ways are short, and one more for so many that arrived: with no queue on the way four keep an
 * uplink busy, and what goes to two neighbours at a time is whole, and passed on, sooner than what goes to nine.
 */
export const FLYING_BLOCKS_FIRST = 4;
export const FLYING_BLOCKS_ONE_IN = 10;
/** And so much of what the wire seems to hold, so that it is found out when it holds more. */
export const FLYING_PIPE_GAIN = 2;
/** Bytes on their way to all, beyond those that the wire holds: some on the uplink, the rest at downlinks. */
export const FLYING_BYTES = ASKED_BYTES;
/** So few where blocks wait for longer than below: some leave, some are next. */
export const FLYING_BYTES_MIN = 512 * 1024;
/** Blocks that wait for longer on their way are too many: all that may fly take 168 ms at 100 Mbit/s. */
export const FLYING_MS = 150;
/** The same where blocks are long: at 1 Gbit/s they take 13 ms, at 250 Mbit/s 50, and what we ask for waits behind them. */
export const FLYING_MS_LONG = 20;
/** How long a relay leaves it to others to pass on what it gave: two pieces of 256 KiB, there and on, at 100 Mbit/s. */
export const PASS_ON_MS = 100;
/** Less urgent swarms of a process get one byte in any case for so many of the urgent. */
export const LEFT_ONE_IN = 8;
/** Pieces of an offer for each that it gives: of eight lacked a moment ago one is mostly needed still. */
export const OFFERED_PIECES = 8;
/**
 * Who took so many more offers than it told of pieces passes nothing on, and is served when nobody else is. Others have
 * one or two of us on their way, three where a round trip takes 200 ms, and tell of what they get elsewhere, too.
 */
export const UNTOLD_MAX = 6;
/** Pieces that one offer gives: with 16 neighbours and 200 ms that is 160 MB/s in pieces of 256 KiB. */
export const OFFERED_COUNT_MAX = 8;
/** Pieces of the longest offer. */
export const OFFERED_PIECES_MAX = OFFERED_PIECES * OFFERED_COUNT_MAX;
/** An offer that was not answered by then counts no more. */
export const OFFER_MS = 2_000;
/** How long a neighbour must have been idle before it may have to make room for another. */
export const EVICT_IDLE_MS = 5_000;
/** Bytes a millisecond of stored pieces that are compared: 10 GB in 11 hours, a hundredth of what a slow disk reads. */
export const SCRUB_RATE = 256;
/** What was opened is compared again after so long at the earliest, and looked for where there was nothing. */
export const SCRUB_REST_MS = 60_000;

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
