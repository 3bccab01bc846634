// Edits of header fields: replace, remove, append, and the fields that nobody may edit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HEADER_BOTH, HEADER_REQUEST, HEADER_RESPONSE, type HeaderEditObject } from "../../src/command/objects.ts";
import { checkHeaderEdit, checkHeaderEdits, compileHeaderEdits } from "../../src/policies/header-edits.ts";
import { encodeFields } from "../../src/wire/http1/encoder.ts";
import { RequestDecoder } from "../../src/wire/http1/request-decoder.ts";

function edit(name: string, value: string, append = false, position = HEADER_REQUEST): HeaderEditObject {
  return { position, name, value, append };
}

/** The fields of a request after the edits, lines that were added last. */
function edited(fields: string, ...edits: HeaderEditObject[]): string {
  const head = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, "latin1");
  const decoder = new RequestDecoder();
  assert.equal(decoder.decode(head, 0, 0, head.length), head.length);
  const compiled = compileHeaderEdits(edits, HEADER_REQUEST);
  assert.ok(compiled !== null);
  compiled.apply(decoder.head, head, 0);
  const out = Buffer.alloc(4096);
  const end = encodeFields(out, 0, head, 0, decoder.head);
  return (
    out.toString("latin1", 0, end).replace("Host: a\r\n", "") + Buffer.from(compiled.lines.bytes).toString("latin1")
  );
}

test("a value replaces all fields of its name, whatever their case (oddity 27)", () => {
  assert.equal(edited("X-A: 1\r\nB: 2\r\nx-a: 3\r\n", edit("X-A", "new")), "B: 2\r\nX-A: new\r\n");
  assert.equal(edited("B: 2\r\n", edit("X-A", "new")), "B: 2\r\nX-A: new\r\n");
  assert.equal(
    edited("User-Agent: u\r\nCookie: a=1\r\nCookie: b=2\r\n", edit("cookie", "c=3")),
    "User-Agent: u\r\ncookie: c=3\r\n",
  );
});

test("an empty value removes all fields of its name", () => {
  assert.equal(edited("X-A: 1\r\nB: 2\r\nX-A: 3\r\n", edit("x-a", "")), "B: 2\r\n");
  assert.equal(edited("User-Agent: u\r\nB: 2\r\n", edit("User-Agent", "")), "B: 2\r\n");
  assert.equal(edited("B: 2\r\nX-Ab: 1\r\n", edit("X-A", "")), "B: 2\r\nX-Ab: 1\r\n");
});

test("an edit that appends leaves what is there", () => {
  assert.equal(edited("X-A: 1\r\n", edit("X-A", "2", true)), "X-A: 1\r\nX-A: 2\r\n");
});

test("edits apply in the order of the configuration", () => {
  assert.equal(edited("", edit("X-A", "1"), edit("X-A", "2")), "X-A: 2\r\n");
  assert.equal(edited("", edit("X-A", "1"), edit("X-A", "2", true)), "X-A: 1\r\nX-A: 2\r\n");
  assert.equal(edited("X-A: 0\r\n", edit("X-A", "1"), edit("X-A", "")), "");
  assert.equal(edited("X-A: 0\r\n", edit("X-A", ""), edit("X-A", "1", true)), "X-A: 1\r\n");
});

test("an edit concerns the direction it names", () => {
  const edits = [edit("Q", "1"), edit("R", "2", false, HEADER_RESPONSE), edit("B", "3", false, HEADER_BOTH)];
  const lines = (side: number): string => Buffer.from(compileHeaderEdits(edits, side)?.lines.bytes ?? []).toString();
  assert.equal(lines(HEADER_REQUEST), "Q: 1\r\nB: 3\r\n");
  assert.equal(lines(HEADER_RESPONSE), "R: 2\r\nB: 3\r\n");
  assert.equal(compileHeaderEdits([edits[0]!], HEADER_RESPONSE), null);
});

test("Host is replaced in requests, an ordinary name in responses", () => {
  assert.equal(
    Buffer.from(compileHeaderEdits([edit("host", "b:81")], HEADER_REQUEST)?.host?.bytes ?? []).toString(),
    "b:81",
  );
  const response = compileHeaderEdits([edit("Host", "b", false, HEADER_BOTH)], HEADER_RESPONSE);
  assert.equal(Buffer.from(response?.lines.bytes ?? []).toString(), "Host: b\r\n");
});

test("H1-59: names are tokens, values hold no control characters, framing is nobody's to edit", () => {
  assert.equal(checkHeaderEdit(edit("X-A", "some \t value \u00e4")), null);
  for (const name of [
    "Content-Length",
    "transfer-encoding",
    "Connection",
    "Upgrade",
    "TE",
    "Trailer",
    "Keep-Alive",
    "Expect",
  ]) {
    for (const value of ["", "x"]) assert.match(String(checkHeaderEdit(edit(name, value))), /cannot be edited: /, name);
  }
  const refused: readonly (readonly [HeaderEditObject, RegExp])[] = [
    [edit("", "x"), /"" is not a header name/],
    [edit("X A", "x"), /"X A" is not a header name/],
    [edit("X:A", "x"), /is not a header name/],
    [edit("X-Ä", "x"), /is not a header name/],
    [edit("X-A\r\nEvil", "x"), /is not a header name/],
    [edit("x".repeat(129), "x"), /longer than 128/],
    [edit("X", "a\r\nEvil: 1"), /control character/],
    [edit("X", "a\0"), /control character/],
    [edit("X", "\x7f"), /control character/],
    [edit("X", " a"), /white space/],
    [edit("X", "x".repeat(4097)), /longer than 4096/],
    [edit("X", "", true), /needs a value/],
    [edit("Host", ""), /cannot be removed/],
    [edit("Host", "b", true), /second Host/],
    [edit("Host", "a b"), /is not a host/],
  ];
  for (const [one, reason] of refused) assert.match(String(checkHeaderEdit(one)), reason, JSON.stringify(one));
  assert.equal(checkHeaderEdit(edit("Host", "[::1]:80")), null);
});

test("a frontend's edits are bounded together", () => {
  assert.equal(checkHeaderEdits([edit("A", "1")]), null);
  assert.match(String(checkHeaderEdits(new Array<HeaderEditObject>(65).fill(edit("A", "1")))), /more than 64/);
  assert.match(
    String(checkHeaderEdits(new Array<HeaderEditObject>(3).fill(edit("A", "x".repeat(3000))))),
    /longer than 8192/,
  );
});
