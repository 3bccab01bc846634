// Generates requests and answers from a grammar in which nearly every choice has wrong alternatives: most messages have
// none or one of them, so that the parts behind it are reached, too.

import type { Random } from "./random.ts";

const METHODS = [
  "GET",
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "PATCH",
  "PURGE",
  "get",
  "M-SEARCH",
];
const BAD_METHODS = ["CONNECT", "TRACE", "G/T", "GET\0", "", "PRI", "X".repeat(65), "GE\x7fT", "\xe9", "GET\t"];
const TARGETS = [
  "/",
  "/a",
  "/a?b=c",
  "/a/../b",
  "/%0d%0aX:y",
  "/?",
  "/a;b",
  "//a",
  "/a%2fb",
  "/a/%2e%2E/b",
  "/a/.",
  "/z/..;x/%5C",
  "/401/x",
  "/503",
  "/301?q",
  "/zzz",
  "/a?\\",
  '/a"<>',
];
const OTHER_TARGETS = [
  "*",
  "http://a/x",
  "http://a",
  "https://a:443/?q",
  "http://b?q",
  "HTTP://a/",
  "http://[::1]:80/",
];
const BAD_TARGETS = [
  "a",
  "",
  "/a b",
  "/#f",
  "/\x80",
  "/\\",
  "http://",
  "http:///x",
  "http://u@a/",
  "ftp://a/",
  "a:80",
  "**",
  "/\x00",
  "*/x",
  "/a\tb",
];
const VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
const BAD_VERSIONS = [
  "HTTP/1.2",
  "HTTP/2.0",
  "http/1.1",
  "HTTP/1.1 ",
  " HTTP/1.1",
  "HTTP/01.1",
  "HTTP/1.10",
  "HTTP/1,1",
  "",
  "HTTP/0.9",
];
const HOSTS = ["a", "example.com", "EXAMPLE.com.", "127.0.0.1:8080", "[::1]", "a_b", "a:1"];
const BAD_HOSTS = [
  "",
  "a, b",
  "a b",
  "u@a",
  "a:0",
  "a:65536",
  "a:",
  "[::1",
  "[::g]",
  "a..b",
  ".a",
  "a/b",
  "a:8080:80",
  "\xe9",
  "a\0",
];
const NAMES = [
  "Accept",
  "X-A",
  "x",
  "Cookie",
  "User-Agent",
  "X-Forwarded-For",
  "Forwarded",
  "X-Real-IP",
  "X-Request-Id",
  "Via",
  "content_length",
  "X_Forwarded_For",
  "Transfer_Encoding",
  "X-Forwarded-Proto",
  "Authorization",
  "Keep-Alive",
  "Proxy-Connection",
  "TE",
  "Trailer",
  "HTTP2-Settings",
  "Content-Type",
  "!#$%&'*+-.^_`|~",
  "X".repeat(40),
];
const VALUES = [
  "",
  "a",
  "b c",
  "\x80\xff",
  "a\tb",
  "chunked",
  "trailers",
  "close",
  "127.0.0.1",
  "k=v; w=x",
  "SOZUBALANCEID=b-1; a=b",
  "a=b; SOZUBALANCEID=zz",
  "a,b,,c",
  '"',
  "NTLM x",
  "for=_x",
  "v".repeat(300),
];
const CONNECTIONS = [
  "close",
  "keep-alive",
  "Close, TE",
  "keep-alive, X-A",
  "Upgrade",
  "upgrade, HTTP2-Settings",
  "Content-Length",
  "Transfer-Encoding",
  "Host, Cookie",
  "X-Forwarded-For",
  ",",
  "x, close",
  "TE",
];
const LENGTHS = [
  "0",
  "1",
  "5",
  "10",
  "100",
  "010",
  "+5",
  "-1",
  "0x5",
  "5 5",
  "5,5",
  "5, 5",
  "",
  "9007199254740991",
  "9007199254740992",
  "18446744073709551616",
  "5\t",
  "5.0",
  "4e1",
  " 5",
  "\xb25",
];
const CODINGS = [
  "chunked",
  "chunked",
  "chunked",
  "Chunked",
  "CHUNKED",
  "xchunked",
  "chunked, chunked",
  "gzip, chunked",
  "chunked, identity",
  "identity",
  "",
  "chunked;q=1",
  '"chunked"',
  ",chunked",
  "chunked,",
  "\x0bchunked",
  "chunked\0",
  " chunked",
  "\tchunked",
  "chunked ",
];
const SEPARATORS = [":", ":  ", ":\t", ": \t", " : ", "\t:", "", ";", "=", ": \x0b"];
const LINE_ENDS = ["\n", "x\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", "\0\r\n", "\r\n\r", ""];
const EXTENSIONS = [
  ";a",
  ";a=b",
  ';a="b;c"',
  ';a="\\""',
  ";a=b;c=d",
  ";",
  "; a",
  ";a=",
  ";a =b",
  ';a="',
  ";\r",
  ";a=\r\nb",
  ";\0",
  " ",
  "\t",
  ';a="\n"',
  ";a;;b",
];
const BAD_SIZES = [
  "0x5",
  "+5",
  "-5",
  "5_0",
  " 5",
  "5 ",
  "",
  "fffffffffffffffff",
  "FFFFFFFFFFFFFFFF",
  "g",
  "5.",
  "1\n",
  "0\0",
];
const TRAILERS = [
  "X-T: a",
  "Content-Length: 5",
  "Transfer-Encoding: chunked",
  "Host: evil",
  "Cookie: a=b",
  "X: \x01",
  " x: y",
  "x : y",
  "X-Forwarded-For: 1.2.3.4",
  "x:y",
  "x",
];

/** A request with a body that fills every buffer. */
export function bulk(random: Random): string {
  const body = random.text("abcdefgh", 16).repeat(2000 + random.below(8000));
  const head = "POST /bulk HTTP/1.1\r\nHost: a\r\n";
  if (random.once(2)) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  const half = body.length >> 1;
  const chunk = (part: string): string => `${part.length.toString(16)}\r\n${part}\r\n`;
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunk(body.slice(0, half))}${chunk(body.slice(half))}0\r\n\r\n`;
}

/** Several requests on one connection. */
export function requestStream(random: Random): string {
  let text = "";
  const count = 1 + (random.once(2) ? random.below(4) : 0);
  for (let i = 0; i < count; i++) text += request(random);
  if (random.once(12))
    text += random.pick(["\r\n", "\n", "\0", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n\r\n", "X".repeat(100)]);
  return text;
}

/** One request; each message has its own appetite for mistakes. */
export function request(random: Random): string {
  const odds = random.pick([1000, 1000, 100, 30, 12]);
  const wrong = (): boolean => random.once(odds);
  const method = wrong() ? random.pick(BAD_METHODS) : random.pick(METHODS);
  const target = wrong()
    ? random.pick(BAD_TARGETS)
    : random.once(8)
      ? random.pick(OTHER_TARGETS)
      : random.pick(TARGETS);
  const version = wrong() ? random.pick(BAD_VERSIONS) : random.pick(VERSIONS);
  const space = (): string => (wrong() ? random.pick(["  ", "\t", "\x0b", "", "\r"]) : " ");
  const lines: string[] = [];
  if (!wrong()) lines.push(line(random, "Host", wrong() ? random.pick(BAD_HOSTS) : random.pick(HOSTS), wrong));
  if (wrong()) lines.push(line(random, random.pick(["Host", "host", "HOST"]), random.pick(HOSTS), wrong));
  for (let i = random.below(5); i > 0; i--) lines.push(line(random, random.pick(NAMES), random.pick(VALUES), wrong));
  if (random.once(8)) lines.push(line(random, "Connection", random.pick(CONNECTIONS), wrong));
  if (random.once(20)) lines.push(line(random, "Upgrade", random.pick(["websocket", "h2c", "foo", "foo, h2c"]), wrong));
  if (random.once(25))
    lines.push(line(random, "Expect", random.pick(["100-continue", "100-Continue", "y", "100-continue, x"]), wrong));
  if (random.once(60)) for (let i = random.below(140); i > 0; i--) lines.push("X-Many: y\r\n");
  let body = "";
  if (random.once(2) || method === "POST") {
    const form = random.below(wrong() ? 6 : 2);
    if (form === 0 || form >= 3) {
      body = random.text("abc\r\n0", random.pick([0, 1, 5, 10, 100, 3000]));
      lines.push(line(random, "Content-Length", wrong() ? random.pick(LENGTHS) : String(body.length), wrong));
    }
    if (form === 1 || form === 3 || form === 4) {
      body = chunked(random, wrong);
      lines.push(
        line(
          random,
          random.once(5) ? "transfer-encoding" : "Transfer-Encoding",
          wrong() ? random.pick(CODINGS) : "chunked",
          wrong,
        ),
      );
    }
    if (form === 5) lines.push(line(random, "Content-Length", random.pick(LENGTHS), wrong));
  }
  shuffle(random, lines);
  const blank = wrong() ? random.pick(LINE_ENDS) : "\r\n";
  const lead = random.once(20) ? "\r\n" : wrong() ? random.pick(["\n", "\r", "\r\n\r\n", " "]) : "";
  const end = wrong() ? random.pick(LINE_ENDS) : "\r\n";
  return `${lead}${method}${space()}${target}${space()}${version}${end}${lines.join("")}${blank}${body}`;
}

function line(random: Random, name: string, value: string, wrong: () => boolean): string {
  const separator = wrong() || random.once(25) ? random.pick(SEPARATORS) : ": ";
  const lead = wrong() ? random.pick([" ", "\t", ":", "\0"]) : "";
  const end = wrong() ? random.pick(LINE_ENDS) : "\r\n";
  return `${lead}${name}${separator}${value}${random.once(30) ? " " : ""}${end}`;
}

/** A chunked body. */
export function chunked(random: Random, wrong: () => boolean): string {
  let text = "";
  for (let i = random.below(random.once(10) ? 40 : 4); i > 0; i--) {
    const data = random.text("xyz\r\n0;", 1 + random.below(random.once(20) ? 5000 : 20));
    const size = wrong() ? random.pick(BAD_SIZES) : sizeOf(random, data.length + (wrong() ? random.below(3) - 1 : 0));
    const extension = random.once(12) ? random.pick(EXTENSIONS.slice(0, 5)) : wrong() ? random.pick(EXTENSIONS) : "";
    text += `${size}${extension}${wrong() ? random.pick(LINE_ENDS) : "\r\n"}${data}${wrong() ? random.pick(LINE_ENDS) : "\r\n"}`;
  }
  if (wrong()) return text;
  text += `${random.once(20) ? "000" : "0"}${wrong() ? random.pick(EXTENSIONS) : ""}${wrong() ? random.pick(LINE_ENDS) : "\r\n"}`;
  if (random.once(6)) {
    for (let i = 1 + random.below(3); i > 0; i--) {
      text += random.pick(wrong() ? TRAILERS : TRAILERS.slice(0, 5)) + (wrong() ? random.pick(LINE_ENDS) : "\r\n");
    }
  }
  return text + (wrong() ? random.pick(LINE_ENDS) : "\r\n");
}

function sizeOf(random: Random, length: number): string {
  const hex = length.toString(16);
  if (random.once(10)) return hex.toUpperCase();
  return random.once(15) ? hex.padStart(8, "0") : hex;
}

function shuffle(random: Random, list: string[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    const kept = list[i];
    list[i] = list[other];
    list[other] = kept;
  }
}

const STATUS_LINES = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 404 Not Found",
  "HTTP/1.1 500 ",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 204 No Content",
  "HTTP/1.1 304 Not Modified",
  "HTTP/1.1 200",
  "HTTP/1.1 999 x\x80",
];
const BAD_STATUS_LINES = [
  "HTTP/1.1 20 OK",
  "HTTP/1.1 2000 OK",
  "HTTP/9.9 200 OK",
  "ICY 200 OK",
  "HTTP/1.1 099 x",
  "HTTP/1.1  200 OK",
  "HTTP/1.1 200 O\0K",
  "HTTP/1.1 200 \x7f",
  " HTTP/1.1 200 OK",
  "HTTP/1.1\t200 OK",
  "200 OK",
  "HTTP/1.1 101 Switching",
  "HTTP/1.1 -20 x",
  "HTTP/1.1 2\x000 x",
  "GET / HTTP/1.1",
  "",
];
const INTERIMS = [
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
  "HTTP/1.1 102 Processing\r\n\r\n",
  "HTTP/1.1 199 x\r\nContent-Length: 5\r\n\r\n",
];
const ANSWER_NAMES = [
  "Server",
  "Date",
  "Set-Cookie",
  "X-A",
  "Location",
  "Keep-Alive",
  "Proxy-Connection",
  "Upgrade",
  "TE",
  "WWW-Authenticate",
  "Content_Length",
  "Trailer",
];
const ANSWER_VALUES = ["a", "", "timeout=5", "NTLM", "a=b; Path=/", "\x80", "x, y", "h2c"];

/** What a backend may send for one request, well or not. */
export function answer(random: Random, method: string): string {
  const odds = random.pick([1000, 1000, 100, 30, 12]);
  const wrong = (): boolean => random.once(odds);
  let text = "";
  if (random.once(6)) for (let i = random.once(30) ? 70 : random.below(3); i >= 0; i--) text += random.pick(INTERIMS);
  const status = wrong() ? random.pick(BAD_STATUS_LINES) : random.pick(STATUS_LINES);
  const lines: string[] = [];
  for (let i = random.below(4); i > 0; i--)
    lines.push(line(random, random.pick(ANSWER_NAMES), random.pick(ANSWER_VALUES), wrong));
  if (random.once(8)) lines.push(line(random, "Connection", random.pick(CONNECTIONS), wrong));
  let body = "";
  const form = wrong() ? random.below(6) : random.below(3);
  if (form === 0 || form >= 4) {
    body = random.text("abc\r\n0", random.pick([0, 1, 5, 10, 100, 3000, 20000]));
    lines.push(line(random, "Content-Length", wrong() ? random.pick(LENGTHS) : String(body.length), wrong));
  }
  if (form === 1 || form === 3 || form === 4) {
    body = chunked(random, wrong);
    lines.push(line(random, "Transfer-Encoding", wrong() ? random.pick(CODINGS) : "chunked", wrong));
  }
  if (form === 2) body = random.text("abc\r\n0", random.below(200));
  if (form === 5) lines.push(line(random, "Content-Length", random.pick(LENGTHS), wrong));
  shuffle(random, lines);
  if ((method === "HEAD" || / (204|304) /.test(status)) && !wrong()) body = "";
  text += `${status}${wrong() ? random.pick(LINE_ENDS) : "\r\n"}${lines.join("")}${wrong() ? random.pick(LINE_ENDS) : "\r\n"}${body}`;
  if (wrong() || random.once(40))
    text += random.pick(["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "0\r\n\r\n"]);
  return text;
}

/** A request that offers another protocol, usually. */
export function upgradeRequest(random: Random): string {
  const odds = random.pick([1000, 30, 8]);
  const lines = ["Host: a"];
  if (!random.once(odds))
    lines.push(`Connection: ${random.pick(["Upgrade", "upgrade", "keep-alive, Upgrade", "X, upgrade"])}`);
  if (!random.once(odds)) lines.push(`Upgrade: ${random.pick(["websocket", "WebSocket", "x", "x, y", "x/1"])}`);
  if (random.once(2)) lines.push("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13");
  if (random.once(odds))
    lines.push(random.pick(["Content-Length: 5", "Transfer-Encoding: chunked", "Upgrade: h2c", "Connection: close"]));
  shuffle(random, lines);
  const start = `${random.once(odds) ? "POST" : "GET"} /h HTTP/${random.once(odds) ? "1.0" : "1.1"}`;
  return `${start}\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** The head of an answer to such a request. */
export function upgradeAnswer(random: Random): string {
  if (random.once(5)) return answer(random, "GET");
  const odds = random.pick([1000, 30, 8]);
  const lines: string[] = [];
  if (!random.once(odds)) lines.push(`Connection: ${random.pick(["Upgrade", "upgrade", "Upgrade, X"])}`);
  if (!random.once(odds)) lines.push(`Upgrade: ${random.pick(["websocket", "WebSocket", "x", "y", "x/1"])}`);
  if (random.once(2)) lines.push("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  if (random.once(odds))
    lines.push(random.pick(["Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close", "Upgrade: z"]));
  const interim = random.once(10) ? "HTTP/1.1 103 Early Hints\r\n\r\n" : "";
  return `${interim}HTTP/1.1 101 Switching Protocols\r\n${lines.map((text) => `${text}\r\n`).join("")}\r\n`;
}

/** A well-formed request for tests of answers. */
export function plainRequest(random: Random, path: string): string {
  const method = random.pick(["GET", "GET", "GET", "HEAD", "POST", "PUT"]);
  const version = random.once(10) ? "1.0" : "1.1";
  const head = `${method} ${path} HTTP/${version}\r\nHost: a\r\n`;
  if (method === "GET" || method === "HEAD") return `${head}\r\n`;
  const body = random.text("abc", random.below(2000));
  if (version === "1.0" || random.once(2)) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(random, () => false)}`;
}
