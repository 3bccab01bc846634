// Limits of what a ClientHello may be before anything of it is believed.

/** Bytes of a handshake header: type and 24-bit length (RFC 8446 4). */
export const HANDSHAKE_HEADER_BYTES = 4;
/** Bytes of a ClientHello, header included. With post-quantum key shares real ones have 2 kB; a ticket adds some hundred. */
export const HELLO_BYTES_MAX = 131_072;
/** Bytes of a host name as DNS has it (RFC 1035 2.3.4), which is less than the field can hold (RFC 6066 3). */
export const SERVER_NAME_BYTES_MAX = 253;
/** Bytes of one label. */
export const SERVER_LABEL_BYTES_MAX = 63;
