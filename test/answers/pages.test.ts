// Built-in answers as whole byte strings where the fields are fixed, and as parsed pages where the words are ours.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { builtInAnswer } from "../../src/answers/pages.ts";
import type { AnswerValues } from "../../src/answers/template.ts";
import { VARIABLES } from "../../src/answers/variables.ts";

const ID = "01KAGX5D2Q7N8P9R0S1T2V3W4Y";
const STATUSES = [301, 400, 401, 404, 405, 408, 413, 417, 421, 429, 431, 500, 502, 503, 504, 507];

interface Answer {
  readonly status: number;
  readonly close: boolean;
  readonly head: boolean;
  readonly values: AnswerValues;
}

const VALUES: Readonly<Record<string, string>> = {
  ROUTE: "GET example.com/x",
  REQUEST_ID: ID,
  REDIRECT_LOCATION: "https://example.com/x",
  WWW_AUTHENTICATE: 'Basic realm="x"',
  RETRY_AFTER: "60",
  CLUSTER_ID: "app",
  BACKEND_ID: "b0",
  MESSAGE: "the first line ends in a space",
};

function answer(
  status: number,
  parts: Readonly<Record<string, string>> = {},
  how: { readonly close?: boolean; readonly head?: boolean } = {},
): Answer {
  const texts = { ...VALUES, ...parts };
  const values = { text: (variable: number) => texts[VARIABLES[variable].name] ?? "" };
  return { status, close: how.close ?? false, head: how.head ?? false, values };
}

function renderAnswer(rendered: Answer, target: Uint8Array, offset: number): number {
  return builtInAnswer(rendered.status).render(
    rendered.values,
    rendered.close,
    !rendered.head,
    target,
    offset,
    target.length,
  );
}

function render(rendered: Answer): string {
  const bytes = new Uint8Array(32_768).fill(0xee);
  const length = renderAnswer(rendered, bytes, 100);
  assert.ok(length > 0);
  assert.equal(bytes[99], 0xee);
  assert.equal(bytes[100 + length], 0xee, "nothing behind the end");
  return Buffer.from(bytes.subarray(100, 100 + length)).toString("latin1");
}

interface Parsed {
  readonly statusLine: string;
  readonly fields: string[];
  readonly body: string;
}

function parse(text: string): Parsed {
  const end = text.indexOf("\r\n\r\n");
  const [statusLine, ...fields] = text.slice(0, end).split("\r\n");
  return { statusLine, fields, body: text.slice(end + 4) };
}

/** The JSON block of a page, as a browser would show it. */
function facts(body: string): Record<string, unknown> {
  const block = /<pre>\r\n([^<]*)\r\n<\/pre>/.exec(body)?.[1] ?? "";
  return JSON.parse(block.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&"));
}

test("a 301 has Location, Sozu-Id and an empty body", () => {
  assert.equal(
    render(answer(301)),
    `HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.com/x\r\nSozu-Id: ${ID}\r\nContent-Length: 0\r\n\r\n`,
  );
  assert.equal(
    render(answer(301, {}, { close: true })),
    `HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.com/x\r\nConnection: close\r\nSozu-Id: ${ID}\r\n` +
      "Content-Length: 0\r\n\r\n",
  );
});

test("each status has its line, its fields in order, and a page", () => {
  const extra: Record<number, string> = {
    401: 'WWW-Authenticate: Basic realm="x"',
    405: "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE",
    429: "Retry-After: 60",
  };
  for (const status of STATUSES.slice(1)) {
    for (const close of [false, true]) {
      const { statusLine, fields, body } = parse(render(answer(status, {}, { close })));
      assert.match(statusLine, new RegExp(`^HTTP/1\\.1 ${status} [A-Z][A-Za-z -]+$`));
      const expected = ["Cache-Control: no-cache"];
      if (close) expected.push("Connection: close");
      expected.push(`Sozu-Id: ${ID}`);
      if (extra[status] !== undefined) expected.push(extra[status]);
      expected.push(`Content-Length: ${body.length}`);
      assert.deepEqual(fields, expected);
      assert.match(body, new RegExp(`<h1>${status} [^<]+</h1>`));
    }
  }
});

test("the JSON block has the keys of its status, in order", () => {
  const keys: [number, string[]][] = [
    [404, ["status_code", "route", "request_id"]],
    [400, ["status_code", "route", "request_id", "message"]],
    [429, ["status_code", "route", "request_id", "cluster_id"]],
    [502, ["status_code", "route", "request_id", "cluster_id", "backend_id", "message"]],
    [503, ["status_code", "route", "request_id", "cluster_id", "backend_id", "message"]],
    [504, ["status_code", "route", "request_id", "cluster_id", "backend_id"]],
    [507, ["status_code", "route", "request_id", "cluster_id", "backend_id", "message"]],
  ];
  for (const [status, expected] of keys) {
    const found = facts(parse(render(answer(status))).body);
    assert.deepEqual(Object.keys(found), expected);
    assert.equal(found["status_code"], status);
    assert.equal(found["route"], "GET example.com/x");
    assert.equal(found["request_id"], ID);
  }
});

test("an answer to HEAD has the fields of the page and no page", () => {
  for (const status of STATUSES) {
    const whole = render(answer(status));
    assert.equal(render(answer(status, {}, { head: true })), whole.slice(0, whole.indexOf("\r\n\r\n") + 4));
  }
});

test("fields without a value are left out", () => {
  assert.ok(!render(answer(401, { WWW_AUTHENTICATE: "" })).includes("WWW-Authenticate"));
  assert.ok(!render(answer(429, { RETRY_AFTER: "" })).includes("Retry-After"));
  assert.ok(!render(answer(301, { REDIRECT_LOCATION: "" })).includes("Location"));
  assert.ok(!render(answer(404, { REQUEST_ID: "" })).includes("Sozu-Id"));
});

test("a redirect with line ends in its target adds no field", () => {
  const { fields } = parse(render(answer(301, { REDIRECT_LOCATION: "https://a/\r\nSet-Cookie: x=1\r\n\r\n<b>é \0" })));
  assert.deepEqual(fields, [
    "Location: https://a/%0D%0ASet-Cookie:%20x=1%0D%0A%0D%0A<b>%C3%A9%20%00",
    `Sozu-Id: ${ID}`,
    "Content-Length: 0",
  ]);
});

test("whatever the values are, no field and no markup is added, and lengths are right", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\r\nX: y", "</pre><script>alert(1)</script>", '"\\', "\ud800", "]]>&amp;'", "__proto__"),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...STATUSES, 302, 308, 299, 599),
      fc.record(Object.fromEntries(Object.keys(VALUES).map((name) => [name, nasty]))),
      fc.boolean(),
      (status, parts, close) => {
        const text = render(answer(status, parts, { close }));
        assert.ok(/^[\x20-\x7e\r\n]*$/.test(text), "printable ASCII only");
        const { fields, body } = parse(text);
        const names = fields.map((field) => field.slice(0, field.indexOf(":")));
        assert.equal(new Set(names).size, names.length);
        const known = [
          "Location",
          "Cache-Control",
          "Connection",
          "Sozu-Id",
          "WWW-Authenticate",
          "Allow",
          "Retry-After",
        ];
        assert.ok(
          names.every((name) => name === "Content-Length" || known.includes(name)),
          String(names),
        );
        assert.equal(fields.at(-1), `Content-Length: ${body.length}`);
        if (body === "") return;
        const tags = body.match(/<[^>]*>/g) ?? [];
        assert.equal(tags.length, PAGE_TAGS, "only the page's own tags");
        const found = facts(body);
        if (parts["ROUTE"].length <= 512) assert.equal(found["route"], parts["ROUTE"]);
      },
    ),
    { numRuns: 500 },
  );
});

/** Tags of a page that shows nothing of a request. */
const PAGE_TAGS = (parse(render(answer(404, { ROUTE: "" }))).body.match(/<[^>]*>/g) ?? []).length;

test("long values are cut, so that a page stays a page", () => {
  const long = "x".repeat(100_000);
  const text = render(answer(503, { ROUTE: long, CLUSTER_ID: long, BACKEND_ID: long, MESSAGE: long }));
  assert.ok(text.length < 4096, `${text.length} bytes`);
});

test("an answer that does not fit is not begun", () => {
  for (const status of STATUSES) {
    const length = render(answer(status)).length;
    const tight = new Uint8Array(length);
    assert.equal(renderAnswer(answer(status), tight, 0), length);
    const short = new Uint8Array(length - 1);
    assert.equal(renderAnswer(answer(status), short, 0), -1);
    assert.ok(short.every((byte) => byte === 0));
    assert.equal(renderAnswer(answer(status), tight, 1), -1);
  }
});
