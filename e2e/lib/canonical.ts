// The oracle of every hostile-input test: what a proxy forwards must be a message that no two parsers read in two ways
// (RFC 9112 11.2). Checks the exact bytes that a recording backend got.

const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x22\x24-\x7e]+ HTTP\/1\.1$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** Null when the head of a forwarded request is canonical, else what is wrong with it. */
export function problemOfRequest(bytes: Uint8Array): string | null {
  const text = Buffer.from(bytes).toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return "no end of the head";
  const [requestLine, ...lines] = text.slice(0, end).split("\r\n") as [string, ...string[]];
  if (!REQUEST_LINE.test(requestLine)) return `request line ${JSON.stringify(requestLine)}`;
  const count = new Map<string, number>();
  for (const line of lines) {
    const match = FIELD_LINE.exec(line);
    if (match === null) return `field line ${JSON.stringify(line)}`;
    const name = (match[1] as string).toLowerCase();
    const value = match[2] ?? "";
    count.set(name, (count.get(name) ?? 0) + 1);
    if (name === "transfer-encoding" && value !== "chunked") return `transfer-encoding ${JSON.stringify(value)}`;
    if (name === "content-length" && !/^\d{1,16}$/.test(value)) return `content-length ${JSON.stringify(value)}`;
  }
  if (count.get("host") !== 1) return `${count.get("host") ?? 0} Host fields`;
  const framing = (count.get("content-length") ?? 0) + (count.get("transfer-encoding") ?? 0);
  return framing > 1 ? `${framing} framing fields` : null;
}
