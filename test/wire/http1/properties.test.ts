// Properties of the codec over generated messages, well-formed and mangled: cuts change nothing, whatever was encoded is
// read back as the same facts, and no input makes a decoder throw or read past its end.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHUNKED, ChunkedDecoder } from "../../../src/wire/http1/chunked-decoder.ts";
import * as encoder from "../../../src/wire/http1/encoder.ts";
import { RequestDecoder } from "../../../src/wire/http1/request-decoder.ts";
import { ResponseDecoder } from "../../../src/wire/http1/response-decoder.ts";
import { describeRequest, describeResponse } from "./describe.ts";
import { feed, latin1 } from "./feed.ts";

const requests = new RequestDecoder();
const responses = new ResponseDecoder();

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,24}$/);
const name = fc.oneof(
  token,
  fc.constantFrom(
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "TE",
    "Upgrade",
    "Keep-Alive",
    "Expect",
    "Cookie",
  ),
  fc.constantFrom(
    "X-Forwarded-For",
    "content_length",
    "accept",
    "User-Agent",
    "Authorization",
    "Sec-Fetch-Site",
    "Via",
  ),
);
const value = fc.oneof(
  fc.stringMatching(/^[\t -~\x80-\xff]{0,60}$/),
  fc.constantFrom(
    "chunked",
    "close",
    "keep-alive, upgrade",
    "5",
    "0",
    "100-continue",
    "trailers",
    "a:80",
    "NTLM x",
    "gzip, chunked",
  ),
);
const gap = fc.constantFrom(": ", ": ", ": ", ":", ":  ", ":\t");
const fieldLine = fc.tuple(name, gap, value).map((parts) => `${parts.join("")}\r\n`);
const hostLine = fc.constantFrom("Host: a\r\n", "Host: a\r\n", "Host: [::1]:80\r\n", "");
const requestLine = fc
  .tuple(
    fc.constantFrom("GET", "GET", "POST", "OPTIONS", "PURGE", "HEAD"),
    fc.oneof(
      fc.stringMatching(/^\/[!-"$->@-[\]-~]{0,40}(\?[!-"$-~]{0,20})?$/),
      fc.constantFrom("*", "http://b:1/x?y", "http://a"),
    ),
    fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
  )
  .map((parts) => `${parts.join(" ")}\r\n`);
const statusLine = fc
  .tuple(
    fc.constantFrom("HTTP/1.1", "HTTP/1.0"),
    fc.integer({ min: 95, max: 610 }),
    fc.stringMatching(/^( [\t -~]{0,20})?$/),
  )
  .map(([version, status, reason]) => `${version} ${status}${reason}\r\n`);
const section = fc
  .tuple(hostLine, fc.array(fieldLine, { maxLength: 10 }))
  .map(([host, lines]) => `${host}${lines.join("")}\r\n`);
const request = fc.tuple(requestLine, section).map((parts) => parts.join(""));
const response = fc.tuple(statusLine, section).map((parts) => parts.join(""));

/** One byte of a text replaced, removed or added, anywhere. */
const mangled = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(
      texts,
      fc.nat(),
      fc.constantFrom("replace", "remove", "insert"),
      fc.constantFrom("\r", "\n", "\0", " ", ":", "\t", "\x7f", "\xff", "A", "\r\n"),
    )
    .map(([text, place, kind, by]) => {
      const at = place % text.length;
      return text.slice(0, at) + (kind === "remove" ? "" : by) + text.slice(kind === "insert" ? at : at + 1);
    });

const feedRequest = (text: string) => feed(requests, (d) => d.reset(), latin1(text), describeRequest);
const feedResponse = (text: string) => feed(responses, (d) => d.begin(false), latin1(text), describeResponse);

test("verdict and facts of a request do not depend on the cuts", () => {
  fc.assert(
    fc.property(request, (text) => void feedRequest(text)),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(mangled(request), (text) => void feedRequest(text)),
    { numRuns: 300 },
  );
});

test("verdict and facts of a response do not depend on the cuts", () => {
  fc.assert(
    fc.property(response, (text) => void feedResponse(text)),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(mangled(response), (text) => void feedResponse(text)),
    { numRuns: 200 },
  );
});

test("any bytes at all are an error, incomplete or a head", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), (bytes) => {
      feed(requests, (d) => d.reset(), bytes, describeRequest);
      feed(responses, (d) => d.begin(true), bytes, describeResponse);
    }),
    { numRuns: 200 },
  );
});

/** Writes the decoded request anew, framing included, as a proxy does. */
function encodeAgain(text: string): Uint8Array {
  const source = latin1(text);
  const out = new Uint8Array(text.length + 200);
  let at = encoder.encodeRequestLine(
    out,
    0,
    source,
    requests.method,
    requests.methodStart,
    requests.methodEnd,
    requests.pathStart,
    requests.pathEnd,
  );
  if (requests.hostRewrite)
    at = encoder.encodeField(out, at, latin1("Host"), source, requests.authorityStart, requests.authorityEnd);
  at = encoder.encodeFields(out, at, source, 0, requests.head);
  if (requests.chunked) at = encoder.encodeBytes(out, at, encoder.TRANSFER_ENCODING_CHUNKED);
  else if (requests.contentLength >= 0) at = encoder.encodeContentLength(out, at, requests.contentLength);
  at = encoder.encodeBytes(out, at, encoder.CRLF);
  return out.slice(0, at);
}

test("what is forwarded is canonical and means the same", () => {
  fc.assert(
    fc.property(fc.oneof(request, mangled(request)), (text) => {
      const bytes = latin1(text);
      requests.reset();
      const length = requests.decode(bytes, 0, 0, bytes.length);
      fc.pre(length > 0);
      const before = describeRequest(requests, bytes, 0);
      const forwarded = encodeAgain(text.slice(0, length));
      const after = feed(requests, (d) => d.reset(), forwarded, describeRequest);
      assert.equal(after.result, forwarded.length, Buffer.from(forwarded).toString("latin1"));
      const facts = after.facts as ReturnType<typeof describeRequest>;
      const same = ["method", "host", "port", "contentLength", "chunked", "hasBody", "expectContinue"] as const;
      for (const fact of same) assert.deepEqual(facts[fact], before[fact], fact);
      // Its lines are canonical; nothing of the connection's own is left but the framing that was written anew.
      assert.ok(facts.fields.every((line) => !/^(drop )?loose /.test(line)));
      const kept = (lines: string[]) =>
        lines.filter((line) => !line.startsWith("drop ")).map((line) => line.replace(/^loose /, ""));
      const framing = /^(drop )?(content-length|transfer-encoding):/i;
      const rest = facts.fields.filter((line) => !framing.test(line)).map((line) => line.replace(/^drop /, ""));
      assert.deepEqual(rest, [...(before.hostRewrite ? [`Host: ${before.authority}`] : []), ...kept(before.fields)]);
      assert.equal(
        facts.fields.filter((line) => framing.test(line)).length,
        before.chunked || before.contentLength >= 0 ? 1 : 0,
      );
    }),
    { numRuns: 500 },
  );
});

test("chunks that were encoded are decoded to the same bytes, however they are cut", () => {
  const decoder = new ChunkedDecoder();
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 90 })),
      (chunks, cuts) => {
        const out = new Uint8Array(4096);
        let end = 0;
        for (const chunk of chunks) {
          end = encoder.encodeChunkHead(out, end, chunk.length);
          out.set(chunk, end);
          end = encoder.encodeBytes(out, end + chunk.length, encoder.CRLF);
        }
        end = encoder.encodeBytes(out, end, encoder.LAST_CHUNK);
        decoder.reset();
        const data: Uint8Array[] = [];
        let from = 0;
        let event: number = CHUNKED.NEED_MORE;
        for (let k = 0; event !== CHUNKED.END; k++) {
          const to = Math.min(end, from + (cuts[k] ?? end));
          do {
            event = decoder.next(out, from, to);
            assert.ok(event >= 0);
            from = decoder.position;
            if (event === CHUNKED.DATA) data.push(out.slice(decoder.dataStart, decoder.dataEnd));
          } while (event === CHUNKED.DATA);
        }
        assert.equal(from, end);
        assert.deepEqual(Buffer.concat(data), Buffer.concat(chunks));
      },
    ),
    { numRuns: 300 },
  );
});
