// Every limit of the PROXY protocol codec (proxy-protocol.txt 2.1 and 2.2), in bytes. The addresses in a header are those
// of RFC 791 and RFC 4291.

/** The longest text header, its CRLF included. */
export const TEXT_BYTES_MAX = 107;

/** The part of a binary header that is always there: signature, command, family, length. */
export const FIXED_BYTES = 16;

/** The longest binary header that is read. The format allows 65,551; real ones hold a certificate's name at most. */
export const HEADER_BYTES_MAX = 4096;

/** Two addresses and two ports. */
export const IPV4_BLOCK_BYTES = 12;
export const IPV6_BLOCK_BYTES = 36;
/** Two paths. */
export const UNIX_BLOCK_BYTES = 216;

/** PP2_TYPE_UNIQUE_ID (2.2.5). */
export const UNIQUE_ID_BYTES_MAX = 128;
