// Every way in which a peer can break HTTP/1, as one table: code -> name, status, metric suffix, explanation.
// A decoder returns the code negated. A code names the peer's mistake, never the place in the parser that saw it.
// The table is the only place where a mistake becomes a status: requests get `status`, answers of a backend always 502.

/** The mistakes; decoders return them negated. Values are dense and stable within one release only. */
export const WireError = {
  InvalidMethod: 1,
  MethodTooLong: 2,
  InvalidTarget: 3,
  FragmentInTarget: 4,
  AsteriskTargetRefused: 5,
  ConnectRefused: 6,
  MissingVersion: 7,
  InvalidVersion: 8,
  LeadingBlankLines: 9,
  BareLineFeed: 10,
  BareCarriageReturn: 11,
  InvalidFieldName: 12,
  EmptyFieldName: 13,
  SpaceBeforeColon: 14,
  MissingColon: 15,
  ObsoleteFolding: 16,
  InvalidFieldValue: 17,
  TooManyFields: 18,
  MissingHost: 19,
  DuplicateHost: 20,
  InvalidHost: 21,
  UserinfoInAuthority: 22,
  InvalidPort: 23,
  InvalidContentLength: 24,
  DuplicateContentLength: 25,
  ContentLengthTooLarge: 26,
  ContentLengthWithTransferEncoding: 27,
  UnsupportedTransferEncoding: 28,
  TransferEncodingInHttp10: 29,
  UnsupportedExpectation: 30,
  InvalidStatusLine: 31,
  InvalidStatus: 32,
  InvalidReason: 33,
  InvalidChunkSize: 34,
  ChunkSizeTooLarge: 35,
  InvalidChunkExtension: 36,
  ChunkOverheadTooLarge: 37,
  MissingChunkEnd: 38,
  BodyInTrace: 39,
  // Found by whoever holds the buffers and the request, not by a decoder.
  HeadTooLarge: 40,
  UnexpectedUpgrade: 41,
  EndlessInterimAnswers: 42,
  // Only where a listener asks for it.
  UnderscoreInName: 43,
  DotSegment: 44,
  EncodedSlash: 45,
} as const;

/** One row of the table. */
export interface WireErrorRow {
  /** As logs and documentation call it, for example `DuplicateContentLength`. */
  readonly name: string;
  /** The answer to a request with this mistake; the connection closes after it. */
  readonly status: 400 | 405 | 417 | 431 | 502;
  /** Last part of a metric name, snake case. */
  readonly metric: string;
  /** One line for the person who sent it. */
  readonly explanation: string;
}

const rows: [keyof typeof WireError, WireErrorRow["status"], string][] = [
  ["InvalidMethod", 400, "the method is not a token followed by one space"],
  ["MethodTooLong", 400, "no method is this long"],
  ["InvalidTarget", 400, "the request target is neither a path, an absolute http URI nor *"],
  ["FragmentInTarget", 400, "a request target has no # fragment"],
  ["AsteriskTargetRefused", 400, "the target * is only for OPTIONS"],
  ["ConnectRefused", 405, "this proxy opens no tunnels for CONNECT"],
  ["MissingVersion", 400, "the request line ends before the HTTP version"],
  ["InvalidVersion", 400, "the version is neither HTTP/1.1 nor HTTP/1.0"],
  ["LeadingBlankLines", 400, "more than one empty line precedes the request line"],
  ["BareLineFeed", 400, "a line ends in LF without CR"],
  ["BareCarriageReturn", 400, "a CR is not followed by LF"],
  ["InvalidFieldName", 400, "a field name holds a byte that no token may hold"],
  ["EmptyFieldName", 400, "a field line begins with a colon"],
  ["SpaceBeforeColon", 400, "white space precedes the colon of a field line"],
  ["MissingColon", 400, "a field line has no colon"],
  ["ObsoleteFolding", 400, "a line begins with white space; folded fields are obsolete"],
  ["InvalidFieldValue", 400, "a field value holds a control character"],
  ["TooManyFields", 431, "there are more fields than the limit"],
  ["MissingHost", 400, "no Host field and no authority in the target"],
  ["DuplicateHost", 400, "more than one Host field"],
  ["InvalidHost", 400, "the host is not a name, an IPv4 address or a bracketed IPv6 address"],
  ["UserinfoInAuthority", 400, "the authority holds user information"],
  ["InvalidPort", 400, "the port is not a number from 1 to 65535"],
  ["InvalidContentLength", 400, "Content-Length is not a plain decimal number"],
  ["DuplicateContentLength", 400, "more than one Content-Length"],
  ["ContentLengthTooLarge", 400, "Content-Length is above 2^53 - 1"],
  ["ContentLengthWithTransferEncoding", 400, "both Content-Length and Transfer-Encoding"],
  ["UnsupportedTransferEncoding", 400, "Transfer-Encoding is not exactly one chunked"],
  ["TransferEncodingInHttp10", 400, "Transfer-Encoding in an HTTP/1.0 message"],
  ["UnsupportedExpectation", 417, "Expect is not exactly one 100-continue"],
  ["InvalidStatusLine", 502, "the answer does not begin with HTTP/1.1 or HTTP/1.0 and a space"],
  ["InvalidStatus", 502, "the status is not three digits from 100 to 999"],
  ["InvalidReason", 502, "the reason phrase holds a control character"],
  ["InvalidChunkSize", 400, "a chunk size is not a hexadecimal number followed by CRLF or an extension"],
  ["ChunkSizeTooLarge", 400, "a chunk size is above 2^53 - 1 or has too many digits"],
  ["InvalidChunkExtension", 400, "a chunk extension breaks the grammar"],
  ["ChunkOverheadTooLarge", 400, "chunk sizes and extensions outweigh the data they carry"],
  ["MissingChunkEnd", 400, "chunk data is not followed by CRLF"],
  ["BodyInTrace", 400, "a TRACE request has no body"],
  ["HeadTooLarge", 431, "the head does not fit into a buffer (buffer_size)"],
  ["UnexpectedUpgrade", 502, "the answer switches protocols, which nobody asked for"],
  ["EndlessInterimAnswers", 502, "interim answers come without end"],
  ["UnderscoreInName", 400, "a field name holds _, which this listener refuses"],
  ["DotSegment", 400, "the path holds a segment . or .., which this listener refuses"],
  ["EncodedSlash", 400, "the path holds an encoded slash, which this listener refuses"],
];

/** The table, indexed by code. Entry 0 is unused and says so. */
export const wireErrors: readonly WireErrorRow[] = makeTable();

/**
 * The status that answers a mistake. `code` is positive or as returned (negated).
 * `fromBackend`: the mistake is in an answer or its body, so the client did nothing wrong: 502.
 */
export function statusOf(code: number, fromBackend: boolean): number {
  return fromBackend ? 502 : wireErrors[code < 0 ? -code : code].status;
}

function makeTable(): WireErrorRow[] {
  const table: WireErrorRow[] = [{ name: "None", status: 400, metric: "none", explanation: "no error" }];
  for (const [name, status, explanation] of rows) {
    const metric = name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
    table[WireError[name]] = { name, status, metric, explanation };
  }
  return table;
}
