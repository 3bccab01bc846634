// Reads HTTP/1.1 answers off a byte stream for tests: heads as they came, bodies decoded. Written apart from the product's
// parser so that one mistake cannot hide in both.

/** One answer as a client sees it. */
export interface Answer {
  readonly status: number;
  readonly statusLine: string;
  /** Field lines as they came, without line ends. */
  readonly lines: readonly string[];
  /** Names in lower case; of equal names the values joined with `, `. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decoded body. */
  readonly body: Buffer;
  /** Trailer lines of a chunked body. */
  readonly trailers: readonly string[];
  /** The body came to the end that its framing announced; false when the connection closed before. */
  readonly complete: boolean;
  /** Bytes that this answer took. */
  readonly length: number;
}

interface Body {
  readonly body: Buffer;
  readonly trailers: readonly string[];
  readonly end: number;
  readonly complete: boolean;
}

/**
 * The answer at the start of `bytes`, or null when more bytes must come. With `closed`, a cut answer is returned with
 * `complete: false`, a close-delimited one with `complete: true`. `method` HEAD means: no body.
 */
export function readAnswer(bytes: Buffer, closed: boolean, method: string): Answer | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const [statusLine, ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n") as [string, ...string[]];
  const headers = collect(lines);
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? 0);
  const start = headEnd + 4;
  const found = readBody(bytes, start, closed, bodyKind(status, method, headers), headers);
  if (found === null) return null;
  const { body, trailers, end, complete } = found;
  return { status, statusLine, lines, headers, body, trailers, complete, length: end };
}

/** Header lines to a map. */
export function collect(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return headers;
}

function bodyKind(
  status: number,
  method: string,
  headers: Map<string, string>,
): "none" | "length" | "chunked" | "close" {
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return "none";
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return "chunked";
  return headers.has("content-length") ? "length" : "close";
}

function readBody(
  bytes: Buffer,
  start: number,
  closed: boolean,
  kind: ReturnType<typeof bodyKind>,
  headers: Map<string, string>,
): Body | null {
  if (kind === "none") return { body: Buffer.alloc(0), trailers: [], end: start, complete: true };
  if (kind === "chunked") return readChunked(bytes, start, closed);
  const end = kind === "length" ? start + Number(headers.get("content-length")) : bytes.length;
  if (kind === "length" && end <= bytes.length) {
    return { body: bytes.subarray(start, end), trailers: [], end, complete: true };
  }
  if (!closed) return null;
  return { body: bytes.subarray(start), trailers: [], end: bytes.length, complete: kind === "close" };
}

/** Decodes a chunked body from `start`; null when more must come. Also used by backends for requests. */
export function readChunked(bytes: Buffer, start: number, closed: boolean): Body | null {
  const parts: Buffer[] = [];
  let at = start;
  const cut = (): Body | null =>
    closed ? { body: Buffer.concat(parts), trailers: [], end: bytes.length, complete: false } : null;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return cut();
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (Number.isNaN(size)) throw new Error(`bad chunk size: ${JSON.stringify(bytes.toString("latin1", at, lineEnd))}`);
    at = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return cut();
    parts.push(bytes.subarray(at, at + size));
    if (bytes.toString("latin1", at + size, at + size + 2) !== "\r\n") throw new Error("chunk without line end");
    at += size + 2;
  }
  const trailers: string[] = [];
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return cut();
    const line = bytes.toString("latin1", at, lineEnd);
    at = lineEnd + 2;
    if (line === "") return { body: Buffer.concat(parts), trailers, end: at, complete: true };
    trailers.push(line);
  }
}
