// Cost of the HTTP/1 codec by itself, on heads as they come: wrk, a browser, nginx. Prints nanoseconds for one operation.
// Times are noisy; instructions are not. To count them, run one case for a fixed number of rounds under perf, twice, and
// divide the difference:  perf stat -e instructions:u node bench/micro/http1.ts decode-wrk 2000000   (then 4000000)
// The relay cases are what one proxied keep-alive request spends here: both heads decoded and encoded.

import { ascii } from "../../src/wire/http1/bytes.ts";
import {
  Constant,
  encodeBytes,
  encodeConstant,
  encodeContentLength,
  encodeField,
  encodeFields,
  encodeRequestLine,
  encodeSpan,
  encodeStatusLine,
} from "../../src/wire/http1/encoder.ts";
import { RequestDecoder } from "../../src/wire/http1/request-decoder.ts";
import { ResponseDecoder } from "../../src/wire/http1/response-decoder.ts";

const WRK = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const BROWSER = [
  "GET /assets/app.4f2c9a.js?v=20261120 HTTP/1.1",
  "Host: www.example.com",
  "Connection: keep-alive",
  'sec-ch-ua: "Chromium";v="142", "Not)A;Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Accept: */*",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: no-cors",
  "Referer: https://www.example.com/dashboard",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cookie: session=5f1d7a0e9b3c4d2f8a6e; theme=dark; SOZUBALANCEID=backend-1",
  "",
  "",
].join("\r\n");
const NGINX = [
  "HTTP/1.1 200 OK",
  "Server: nginx/1.22.1",
  "Date: Fri, 20 Nov 2026 17:56:51 GMT",
  "Content-Type: text/plain",
  "Content-Length: 95",
  "Last-Modified: Mon, 16 Nov 2026 08:00:00 GMT",
  "Connection: keep-alive",
  'ETag: "6919a6e0-5f"',
  "Accept-Ranges: bytes",
  "",
  "",
].join("\r\n");

const arena = new Uint8Array(1 << 20);
// Not at the same offset in a page as any source: the processor would take its stores for the source (4K aliasing).
const OUT = 65_536 + 2_816;
const requests = new RequestDecoder();
const responses = new ResponseDecoder();
const NAME = new Constant("X-Forwarded-For: ");
const SOZU_ID = ascii("Sozu-Id");
const wrkAt = place(WRK, 1024);
const browserAt = place(BROWSER, 2048);
const nginxAt = place(NGINX, 8192);

function place(text: string, at: number): number {
  arena.set(ascii(text), at);
  return at;
}

function decodeRequest(at: number, length: number): number {
  requests.reset();
  return requests.decode(arena, at, at, at + length);
}

function decodeResponse(at: number, length: number): number {
  responses.begin(false);
  return responses.decode(arena, at, at, at + length);
}

function encodeRequest(base: number): number {
  const d = requests;
  let i = encodeRequestLine(
    arena,
    OUT,
    arena,
    d.method,
    base + d.methodStart,
    base + d.methodEnd,
    base + d.pathStart,
    base + d.pathEnd,
  );
  i = encodeFields(arena, i, arena, base, d.head);
  i = encodeField(arena, i, SOZU_ID, arena, 0, 26);
  arena[i] = 0x0d;
  arena[i + 1] = 0x0a;
  return i + 2 - OUT;
}

function encodeResponse(base: number): number {
  const d = responses;
  let i = encodeStatusLine(arena, OUT, d.status, arena, base + d.reasonStart, base + d.reasonEnd);
  i = encodeFields(arena, i, arena, base, d.head);
  i = encodeContentLength(arena, i, d.contentLength);
  i = encodeField(arena, i, SOZU_ID, arena, 0, 26);
  arena[i] = 0x0d;
  arena[i + 1] = 0x0a;
  return i + 2 - OUT;
}

const cases: Record<string, () => number> = {
  nothing: () => 1,
  "decode-wrk": () => decodeRequest(wrkAt, WRK.length),
  "decode-browser": () => decodeRequest(browserAt, BROWSER.length),
  "decode-nginx": () => decodeResponse(nginxAt, NGINX.length),
  "relay-wrk-request": () => decodeRequest(wrkAt, WRK.length) + encodeRequest(wrkAt),
  "relay-browser-request": () => decodeRequest(browserAt, BROWSER.length) + encodeRequest(browserAt),
  "relay-nginx-response": () => decodeResponse(nginxAt, NGINX.length) + encodeResponse(nginxAt),
  "relay-wrk-both": () =>
    decodeRequest(wrkAt, WRK.length) +
    encodeRequest(wrkAt) +
    decodeResponse(nginxAt, NGINX.length) +
    encodeResponse(nginxAt),
  "bytes-17": () => encodeBytes(arena, OUT, NAME.bytes),
  "constant-17": () => encodeConstant(arena, OUT, NAME),
  "copy-32": () => encodeSpan(arena, OUT, arena, 4096, 4096 + 32),
  "copy-64": () => encodeSpan(arena, OUT, arena, 4096, 4096 + 64),
  "copy-128": () => encodeSpan(arena, OUT, arena, 4096, 4096 + 128),
  "copy-192": () => encodeSpan(arena, OUT, arena, 4096, 4096 + 192),
  "copy-512": () => encodeSpan(arena, OUT, arena, 4096, 4096 + 512),
};

/** Runs a case; the sum keeps the work from being optimised away. */
function run(operation: () => number, rounds: number): number {
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += operation();
  return sum;
}

const only = process.argv[2];
const rounds = Number(process.argv[3] ?? 1_000_000);
// Every case warms the same functions first, as in a process that serves mixed traffic.
for (const operation of Object.values(cases)) run(operation, 20_000);
for (const [name, operation] of Object.entries(cases)) {
  if (only !== undefined && only !== name) continue;
  const start = process.hrtime.bigint();
  run(operation, rounds);
  const ns = Number(process.hrtime.bigint() - start) / rounds;
  process.stdout.write(`${name.padEnd(24)} ${ns.toFixed(1).padStart(8)} ns\n`);
}
