// Where this codec answers a public vector otherwise than the vector's own software, and why. Test vectors.test.ts fails on
// a difference that is not here, and on an entry that is no longer a difference.

const tunnels = "CONNECT is refused: this proxy opens no tunnels (decisions 17)";
const otherProtocol = "not HTTP/1.0 or HTTP/1.1 (spec 5.2)";
const fragment = "a # in a target is refused: servers disagree on where the path ends (H1-29)";
const userinfo = "user information in an authority is refused (RFC 9110 4.2.4)";
const zeros = "a leading zero in Content-Length is refused: some parsers read octal (H1-06)";
const space = "white space around a framing value is refused beyond one leading space";
const coding = "Transfer-Encoding other than exactly chunked is refused (decisions, H1-08)";
const notAHost = "the Host field is no authority (spec 5.2)";
const blankBeforeAnswer = "nothing precedes a status line (RFC 9112 2.2 tolerates it before a request only)";
const bytesLimit = "the size of a head is the caller's limit: 431 from the buffer, not from the codec";
const folding = "folded lines are refused (RFC 9112 5.2)";
const proxyHeader = "the PROXY header is read by another codec, before this one";
const afterClose = "bytes after the last message of a connection are ignored by the caller (H1-55)";
const trailers = "forbidden trailers are dropped rather than refused (H1-45 allows both)";
const emptyPort = "a colon without a port is refused (spec 5.2)";
const knownMethod = "any token is a method (RFC 9110 9.1, spec 5.2)";
const late = "settled at the end of the head, which this input lacks; it is then refused";
const shadow = "names that shadow known ones with _ are dropped rather than refused (H1-16)";

/** Vector set -> case -> reason. */
export const knownDifferences: Record<string, Record<string, string>> = {
  llhttp: {
    "request/sample:70": notAHost,
    "request/sample:108": notAHost,
    "request/sample:317": "HTTP/0.9 is refused (H1-33)",
    "request/method:30": tunnels,
    "request/method:65": tunnels,
    "request/method:99": tunnels,
    "request/method:138": "the target * is for OPTIONS only (RFC 9112 3.2.4)",
    "request/method:375": otherProtocol,
    "request/method:405": otherProtocol,
    "request/method:433": otherProtocol,
    "request/method:461": "the HTTP/2 preface is refused on an HTTP/1 connection (H1-60)",
    "request/uri:168": fragment,
    "request/uri:191": tunnels,
    "request/uri:225": userinfo,
    "request/connection:84": afterClose,
    "request/connection:815": "an Upgrade of a POST is ignored (WS-05), so what follows is the next request",
    "request/connection:159": "one empty line before a request is tolerated, this has two (H1-35)",
    "request/connection:297": afterClose,
    "request/connection:347": afterClose,
    "request/content-length:7": zeros,
    "request/content-length:44": zeros,
    "request/content-length:78": late,
    "request/content-length:103": late,
    "request/content-length:293": space,
    "request/content-length:320": space,
    "request/transfer-encoding:754": fragment,
    "request/transfer-encoding:796": fragment,
    "request/invalid:69": knownMethod,
    "request/invalid:359": knownMethod,
    "response/sample:43": otherProtocol,
    "response/sample:63": otherProtocol,
    "response/sample:648": otherProtocol,
    "response/sample:698": blankBeforeAnswer,
    "response/connection:167": afterClose,
    "response/connection:230": afterClose,
    "response/connection:495": blankBeforeAnswer,
    "response/connection:589": blankBeforeAnswer,
    "response/transfer-encoding:46": coding,
    "response/transfer-encoding:77": coding,
    "response/transfer-encoding:115": coding,
    "response/pipelining:7": blankBeforeAnswer,
  },
  gunicorn: {
    "invalid/003c": knownMethod,
    "invalid/006": bytesLimit,
    "invalid/007": bytesLimit,
    "invalid/008": bytesLimit,
    "invalid/009": "a limit of 100 fields; ours is 128",
    "invalid/010": bytesLimit,
    "invalid/017": bytesLimit,
    "invalid/limit_header_default_01": bytesLimit,
    "invalid/019": "X-Forwarded-Proto is trusted or not by configuration (decisions 21)",
    "invalid/040": shadow,
    "invalid/chunked_07": shadow,
    "invalid/041": "two Content-Type fields frame nothing and are forwarded as they are",
    "invalid/rfc9110_trailer_forbidden_cl_01": trailers,
    "invalid/rfc9110_trailer_forbidden_host_01": trailers,
    "invalid/rfc9110_trailer_forbidden_te_01": trailers,
    "valid/002": notAHost,
    "valid/003": notAHost,
    "valid/005": fragment,
    "valid/009": fragment,
    "valid/031compat": "methods are case-sensitive and passed as they came (RFC 9110 9.1)",
    "valid/013": "white space in a chunk extension is refused (RFC 9112 7.1.1 calls it bad)",
    "valid/025": coding,
    "valid/025_line": coding,
    "valid/027": "a target holds visible ASCII only (H1-29)",
    "valid/028": "white space before a colon is refused (H1-13)",
    "valid/029": coding,
    "valid/030": coding,
    "valid/099": "its Content-Length is larger than its body",
    "valid/compat_obs_fold": folding,
    "valid/compat_obs_fold_huge": folding,
    "valid/pp_01": proxyHeader,
    "valid/pp_02": proxyHeader,
    "valid/pp_04": proxyHeader,
    "valid/pp_05": proxyHeader,
    "valid/rfc9112_smuggle_gzip_chunked_01": coding,
    "valid/rfc9112_smuggle_te_identity_chunked_01": coding,
    "valid/rfc9112_target_absolute_userinfo_01": userinfo,
    "valid/rfc9112_target_authority_connect_01": tunnels,
    "valid/rfc9112_target_authority_ipv6_01": tunnels,
  },
  "go-net-http": {
    chunked_with_bogus_cl: "Content-Length with Transfer-Encoding is refused (H1-01)",
    connect_domain: tunnels,
    notify_star: "the target * is for OPTIONS only (RFC 9112 3.2.4)",
    h2_preface_on_h1: "the HTTP/2 preface is refused on an HTTP/1 connection (H1-60)",
    ffffffffffffffff: "a chunk size above 2^53 - 1 is refused: numbers here count no further exactly",
  },
  "apache-httpd-strict": {
    "strict-07": "an odd spelling of an IPv4 address is routed as a plain name (H1-27)",
    "strict-08": "an odd spelling of an IPv4 address is routed as a plain name (H1-27)",
    "strict-09": "an odd spelling of an IPv4 address is routed as a plain name (H1-27)",
  },
  "nginx http_host": {
    "host-07": emptyPort,
    "host-08": emptyPort,
    "host-09": emptyPort,
    "host-10": emptyPort,
  },
  http11probe: {},
};
