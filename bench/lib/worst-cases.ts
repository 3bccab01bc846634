// Requests of less than 10 kB that make a proxy work as hard as they can: the 100x rule (RX-24) is measured with them.
// What the fuzzer finds is added here.

/** One request, or a packet of pipelined ones. */
export interface WorstCase {
  readonly title: string;
  readonly bytes: Buffer;
  /** Answers that it gets. */
  readonly answers: number;
  /** It is compared with the case so many places before it; absent: with the ordinary request. */
  readonly beside?: number;
}

/** Paths with a regular expression on the host `regex.test`. */
export const REGEX_ROUTES = 200;
/** Length of the requests that are filled up. */
const FULL = 9_500;

/** The yardstick: what a browser or a service sends. */
const ORDINARY_FIELDS = ["User-Agent: curl/8.5.0", "Accept: */*", "Accept-Encoding: gzip"];
export const ORDINARY: WorstCase = one("an ordinary request", "GET /api/items?page=2", ORDINARY_FIELDS);

export const WORST_CASES: readonly WorstCase[] = [
  one(
    "120 fields",
    "GET /",
    repeat(120, (i) => `X-Field-${i}: ${"v".repeat(60)}`),
  ),
  one(
    "more than 128 fields (431, closes)",
    "GET /",
    repeat(1000, () => "a: b"),
  ),
  one("one field of 9 kB", "GET /", [`X: ${"v".repeat(FULL - 50)}`]),
  one("9 kB of cookies, sticky session", "GET /", [`Cookie: ${filled("SOZUBALANCEI=x; ", FULL - 60)}`], "sticky.test"),
  one(
    "110 Cookie fields, sticky session",
    "GET /",
    repeat(110, (i) => `Cookie: SOZUBALANCEID=no${i}; a=b`),
    "sticky.test",
  ),
  one(
    "110 X-Forwarded-For fields",
    "GET /",
    repeat(110, (i) => `X-Forwarded-For: 10.0.0.${i}`),
  ),
  one("X-Forwarded-For of 9 kB", "GET /", [`X-Forwarded-For: ${filled("10.0.0.1, ", FULL - 60)}1`]),
  one("Forwarded of 9 kB", "GET /", [`Forwarded: ${filled('for="[2001:db8::1]";by=10.0.0.1, ', FULL - 60)}for=a`]),
  one("Connection names 100 of 110 fields", "GET /", [
    `Connection: ${repeat(100, (i) => `x${i}`).join(", ")}`,
    ...repeat(110, (i) => `X${i}: ${i}`),
  ]),
  one("Connection names 2,000 fields that are not there", "GET /", [
    `Connection: ${repeat(2000, (i) => `q${i % 90}`).join(",")}`,
    ...repeat(100, (i) => `X${i}: ${i}`),
  ]),
  one(`an ordinary request, ${REGEX_ROUTES} regex routes`, "GET /api/items?page=2", ORDINARY_FIELDS, "regex.test"),
  beside(1, one("path of 1 kB, the same routes", `GET /${"ab".repeat(500)}`, [], "regex.test")),
  beside(2, one("path of 9 kB, the same routes (414, closes)", `GET /${"ab".repeat(4700)}`, [], "regex.test")),
  one("an ordinary request, 20 regex routes", "GET /api/items?page=2", ORDINARY_FIELDS, "regex20.test"),
  beside(1, one("path of 2.4 kB, the same routes", `GET /${"ab".repeat(1200)}`, [], "regex20.test")),
  one("path of 9 kB, 5 regex routes", `GET /${"ab".repeat(4700)}`, [], "regex5.test"),
  one("path of 9 kB of %2e%2e%2f", `GET /${"%2e%2e%2f".repeat(1040)}`, []),
  one("query of 9 kB", `GET /?${"a=b&".repeat(2340)}`, []),
  one("host of 127 labels against wildcards", "GET /", [], `${"a.".repeat(120)}deep.test`),
  chunked("1-byte chunks, 5 kB", repeat(900, () => "1\r\nx\r\n").join("")),
  chunked("chunk extensions, 9 kB", repeat(150, () => `1;${"e=v;e".repeat(10)}\r\nx\r\n`).join("")),
  chunked("100 trailer fields", "1\r\nx\r\n", repeat(100, (i) => `T${i}: ${"v".repeat(60)}\r\n`).join("")),
  {
    title: "250 pipelined requests",
    bytes: Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(250)),
    answers: 250,
  },
  one("garbage (400, closes)", `GET /${" x".repeat(4000)}`, []),
];

function one(title: string, line: string, fields: readonly string[], host = "localhost"): WorstCase {
  const text = `${line} HTTP/1.1\r\nHost: ${host}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;
  return checked({ title, bytes: Buffer.from(text), answers: 1 });
}

function beside(places: number, made: WorstCase): WorstCase {
  return { ...made, beside: places };
}

function chunked(title: string, body: string, trailers = ""): WorstCase {
  const head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  return checked({ title, bytes: Buffer.from(`${head}${body}0\r\n${trailers}\r\n`), answers: 1 });
}

function checked(made: WorstCase): WorstCase {
  if (made.bytes.length > 10_000) throw new Error(`${made.title}: ${made.bytes.length} bytes are more than 10 kB`);
  return made;
}

function repeat(count: number, make: (i: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function filled(part: string, bytes: number): string {
  return part.repeat(Math.floor(bytes / part.length));
}
