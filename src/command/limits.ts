// Every limit on what the command protocol and the state accept, with its unit and the reason. A value beyond a limit
// is refused with the field's name; nothing is cut silently.

/** Bytes of a cluster id, backend id or sticky id: they become metric keys and log fields. */
export const ID_BYTES_MAX = 255;
/** Bytes of a host name (RFC 1035 2.3.4: 255 octets on the wire, 253 as text). */
export const HOST_BYTES_MAX = 253;
/** Bytes of one label of a host name (RFC 1035 2.3.4). */
export const HOST_LABEL_BYTES_MAX = 63;
/** Bytes of a path rule; a request target longer than a buffer is refused anyway. */
export const PATH_BYTES_MAX = 4096;
/** Characters of a regular expression, for a path or a whole host name. */
export const PATTERN_LENGTH_MAX = 1000;
/**
 * Steps that a regular expression may compile to. The work for a request grows with the steps times the bytes of the
 * path: the worst pattern of this size and the longest path that a buffer holds take about a tenth of a second.
 */
export const PATTERN_SIZE_MAX = 1000;
/** Bytes of a method; the longest registered one has 17. */
export const METHOD_BYTES_MAX = 32;
/** Bytes of a header or cookie name given by an operator. */
export const HEADER_NAME_BYTES_MAX = 128;
/** Tags of one frontend, and bytes of a key and of a value: they are written to each access line. */
export const TAGS_MAX = 64;
export const TAG_KEY_BYTES_MAX = 128;
export const TAG_VALUE_BYTES_MAX = 1024;
/** Answers of one listener or cluster: more than there are statuses with a use for one. */
export const ANSWERS_MAX = 64;
/** Bytes of all answers of one object: a saved record and a command must hold them. */
export const ANSWERS_BYTES_MAX = 262_144;
/** Bytes of `www_authenticate`: the answer's head must fit in a buffer. */
export const WWW_AUTHENTICATE_BYTES_MAX = 4096;
/** Bytes of the path of a health probe. */
export const PROBE_URI_BYTES_MAX = 2048;
/** Ranges of statuses of a health check. */
export const STATUS_RANGES_MAX = 32;
/** Names in a list of ciphers, groups or signature algorithms, and bytes of one. */
export const TLS_NAMES_MAX = 64;
export const TLS_NAME_BYTES_MAX = 128;
/** Bytes of a certificate or a key as PEM; certificates behind the leaf; host names of one certificate. */
export const CERTIFICATE_BYTES_MAX = 65_536;
export const CHAIN_MAX = 10;
export const CERTIFICATE_NAMES_MAX = 1000;
/** Bytes of a bundle of authorities as PEM: that of a whole system has 230,000. */
export const AUTHORITIES_BYTES_MAX = 524_288;
/** Bytes of an OCSP response: what the TLS engine staples. */
export const OCSP_BYTES_MAX = 16_384;
/** Bytes of a UDP datagram (RFC 768: a 16-bit length that includes 8 bytes of header). */
export const DATAGRAM_BYTES_MAX = 65_527;
/** Bytes of the datagram that probes UDP backends: one that no network splits. */
export const UDP_PROBE_BYTES_MAX = 1200;
/** Weight of a backend as the configuration file knows it. */
export const WEIGHT_MAX = 255;
/** Seconds of any timeout: 24 days, what a 32-bit count of milliseconds can hold. */
export const TIMEOUT_SECONDS_MAX = 2_147_483;

/** Bytes of the length prefix of a frame (spec 4.1). */
export const FRAME_PREFIX_BYTES = 8;
/** First size of the buffer of a client session, in bytes. */
export const CLIENT_BUFFER_BYTES = 4096;
/** Default of `max_command_buffer_size`, in bytes, prefix included. */
export const FRAME_BYTES_MAX = 2_000_000;
/**
 * Bytes of one record of a saved state. Sozu reads 200,000; a larger one is accepted here: the largest object, whose
 * quotes and ends of lines JSON doubles, has to fit.
 */
export const RECORD_BYTES_MAX = 1_000_000;
