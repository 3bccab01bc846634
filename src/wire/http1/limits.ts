// Every limit of the HTTP/1 codec, with its unit and its reason. The size of a head is not here: it is the size of the
// buffer that the caller owns (spec 13), and the caller answers 431 when a decoder wants more than that buffer holds.

/** Fields in one head or trailer section; the 129th is TooManyFields (431). Twice what browsers and CDNs send. */
export const FIELDS_MAX = 128;

/** Bytes in a method. The longest registered one (UPDATEREDIRECTREF) has 17; longer than this is 400. */
export const METHOD_BYTES_MAX = 64;

/** Empty lines before a request line. RFC 9112 2.2 asks for one, sent by old clients after a POST body. */
export const LEADING_BLANK_LINES_MAX = 1;

/** Largest Content-Length and chunk size: the largest integer that a JavaScript number counts exactly. */
export const BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

/** Hexadecimal digits in a chunk size, leading zeros included: 2^53 - 1 needs 14, fixed-width writers use 8 or 16. */
export const CHUNK_SIZE_DIGITS_MAX = 16;

/**
 * Bytes of chunk framing (size lines, extensions, line ends) that a body may hold on top of CHUNK_OVERHEAD_PER_DATA bytes
 * for each byte of data. Framing is read, checked and thrown away: it costs us, and the backend never sees it.
 */
export const CHUNK_OVERHEAD_BYTES_MAX = 16_384;

/** See CHUNK_OVERHEAD_BYTES_MAX. A stream of one-byte chunks (5 bytes of framing each) ends after 5,461 of them. */
export const CHUNK_OVERHEAD_PER_DATA = 2;

/** The same for answers: a backend may send a byte now and then for ever (heartbeats), but not extensions for ever. */
export const CHUNK_OVERHEAD_PER_DATA_OF_ANSWERS = 6;

/** Bytes of a Keep-Alive timeout that are read as a number, in digits: more is nonsense and ignored. */
export const KEEP_ALIVE_DIGITS_MAX = 6;
