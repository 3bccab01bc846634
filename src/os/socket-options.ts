// Numbers of Linux for sockets: domains, types, option levels and names (asm-generic: x64 and arm64 agree).

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;

/** Kinds of `socket`: domain << 8 | type. */
export const TCP4 = (AF_INET << 8) | SOCK_STREAM;
export const TCP6 = (AF_INET6 << 8) | SOCK_STREAM;
export const UDP4 = (AF_INET << 8) | SOCK_DGRAM;
export const UDP6 = (AF_INET6 << 8) | SOCK_DGRAM;
export const UNIX_STREAM = (AF_UNIX << 8) | SOCK_STREAM;
export const UNIX_DGRAM = (AF_UNIX << 8) | SOCK_DGRAM;
export const UNIX_SEQPACKET = (AF_UNIX << 8) | SOCK_SEQPACKET;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

export const SOL_SOCKET = 1;
export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_IPV6 = 41;

/** Of SOL_SOCKET. */
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_REUSEPORT = 15;
export const SO_ACCEPTCONN = 30;
export const SO_DOMAIN = 39;
export const SO_INCOMING_CPU = 49;

/** Of IPPROTO_TCP. */
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_QUICKACK = 12;
export const TCP_USER_TIMEOUT = 18;
export const TCP_NOTSENT_LOWAT = 25;

/** Of IPPROTO_IPV6. */
export const IPV6_V6ONLY = 26;
