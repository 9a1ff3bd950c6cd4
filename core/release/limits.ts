// The limits and fixed sizes of the release format. Reading and writing obey the same numbers, so
// that whatever is packed here can be unpacked anywhere; raising one is a change of format.

/** Plain bytes of a release: 10 GB. */
export const RELEASE_BYTES_MAX = 10_000_000_000;
/** Files, symlinks and empty directories of a release. */
export const ENTRIES_MAX = 1_000_000;
/** Chunk rows: 1M small files have one each, and 10 GB / 16 KiB is 610k; 2M covers both at once. */
export const CHUNKS_MAX = 2_000_000;
/** Bytes of a manifest: 1M paths of 150 bytes (150 MB) and 2M rows of 36 bytes (72 MB) fit. */
export const MANIFEST_BYTES_MAX = 256 * 1024 * 1024;
/** Bytes of one manifest frame: it is decoded whole, so it bounds the reader's memory. */
export const FRAME_BYTES_MAX = 256 * 1024;

/** UTF-8 bytes of a path and of a symlink's target: PATH_MAX of Linux. */
export const PATH_BYTES_MAX = 4096;
/** UTF-8 bytes of one part of a path: NAME_MAX of Linux. */
export const NAME_BYTES_MAX = 255;

/**
 * Parts of a path. Each entry can make so many folders that nothing else counts; installed packages
 * nest some 20 deep, and three times that is room enough.
 */
export const PATH_PARTS_MAX = 64;

/** Bytes of a BLAKE3 digest. */
export const DIGEST_BYTES = 32;

/** Shortest chunk, except the last of a file. */
export const CHUNK_BYTES_MIN = 16 * 1024;
/** Size from which on the chunker cuts more willingly; the mean is about 75 KiB. */
export const CHUNK_BYTES_NORMAL = 64 * 1024;
/** Longest chunk. */
export const CHUNK_BYTES_MAX = 256 * 1024;
/** Longer files are cut here first, and each span chunked on a thread of its own. */
export const SPAN_BYTES = 32 * 1024 * 1024;

/** Smallest piece size. */
export const PIECE_BYTES_MIN = 256 * 1024;
/** Largest plain size of a piece; also of its encoded bytes, as it is stored where zstd gains nothing. */
export const PIECE_BYTES_MAX = 16 * 1024 * 1024;
/** Pieces that an output is aimed at: 10 GB / 1024 is 9.8 MB a piece, and a table is 45 KB. */
export const PIECES_TARGET = 1024;
/**
 * Pieces of a pack. Data: 1,024 full ones, and one unfilled before the appended ones. Meta: at most a
 * manifest of 256 MiB and a layout of 24 MB in pieces of 256 KiB (1,120). Rounded up.
 */
export const PIECES_MAX = 4096;
/** A zstd frame may not grow by more; a packer stores what would. The table bounds it anyway. */
export const PIECE_RATIO_MAX = 1000;

/** Largest body of a segment: what one put streams, and one relay pulls at a time. */
export const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
/** Segments hold at most so many pieces, so that a small pack has several pullers too. */
export const SEGMENT_PIECES_TARGET = 16;
/** Segments of a pack: 10 GB / 64 MiB is 150, and pieces of 9.8 MB leave 6 MB of each unfilled; doubled. */
export const SEGMENTS_MAX = 512;
/** Bytes of a seal: 512 segments of about 20 bytes. */
export const SEAL_BYTES_MAX = 64 * 1024;

/** Packs that a layout names: a fresh machine joins so few swarms, each well seeded. */
export const PACKS_MAX = 8;
