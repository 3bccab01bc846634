// Group H1 of the hardening catalogue as sweeps: each input at every cut, each byte at every place where bytes have
// meaning. The whole proxy runs in this process; what the bytes mean is said by the fuzzer's reader, and every execution
// is checked like one of the fuzzer: answers, forwarded requests, nothing left behind, an undisturbed witness.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { outcomeOf } from "../../fuzz/lib/request-mode.ts";
import { readRequests } from "../../fuzz/lib/strict.ts";
import { World } from "../../fuzz/lib/world.ts";

const world = new World();
after(() => world.stop());

const get = (...lines: string[]): string =>
  `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
const post = (body: string, ...lines: string[]): string => get(...lines).replace("GET", "POST") + body;
const chunked = (body: string): string => post(body, "Transfer-Encoding: chunked");

/** Case -> inputs that are refused. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "H1-01": [
    post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"),
    post("0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5"),
  ],
  "H1-02": [post("abcde", "Content-Length: 5", "Content-Length: 10")],
  "H1-03": [post("abcde", "Content-Length: 5", "Content-Length: 5"), post("abcde", "Content-Length: 5, 5")],
  "H1-04": ["+5", "-5", "0x5", "5e0", "5 5"].map((value) => post("abcde", `Content-Length: ${value}`)),
  "H1-05": [post("", "Content-Length:"), post("", "Content-Length: ", "Content-Length: 43")],
  "H1-06": [post("abcde", "Content-Length: 0000000005")],
  "H1-07": ["9007199254740993", "18446744073709551616"].map((value) => post("x", `Content-Length: ${value}`)),
  "H1-08": ["xchunked", "chunked, gzip", ""].map((value) => post("0\r\n\r\n", `Transfer-Encoding: ${value}`)),
  "H1-09": [post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")],
  "H1-10": [post("0\r\n\r\n", "Transfer-Encoding: ,chunked")],
  "H1-11": [post("0\r\n\r\n", 'Transfer-Encoding: "chunked"')],
  "H1-13": [post("0\r\n\r\n", "Transfer-Encoding : chunked")],
  "H1-14": [post("0\r\n\r\n", "X: y", " Transfer-Encoding: chunked"), get("X:", "\ty")],
  "H1-15": [chunked("0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0")],
  "H1-18": [get().replace("1.1\r\n", "1.1\n"), get("X: y").replace("y\r\n", "y\n"), `${get().slice(0, -2)}\n`],
  "H1-19": [get("Foo: 1\rBar: 2"), get("X: a\r")],
  "H1-22": [get(": value"), get(":")],
  "H1-23": [get("Transfer-", "Encoding: chunked"), get("nocolon")],
  "H1-24": ["GET / HTTP/1.1\r\n\r\n", get("Host: a"), get("Host: b"), "GET / HTTP/1.0\r\n\r\n"],
  "H1-25": ["a, b", "u@a", "[::1", "a:99999", "a:0", "a:80:80"].map((host) =>
    get().replace("Host: a", `Host: ${host}`),
  ),
  "H1-28": ["foo", "../etc", "*", "*/x"].map((target) => get().replace(" / ", ` ${target} `)),
  "H1-32": ["HTTP/1.2", "HTTP/2.0", "HTTP/01.1", "http/1.1", "HTTP/1. 1"].map((v) => get().replace("HTTP/1.1", v)),
  "H1-33": ["GET /\r\n\r\n"],
  "H1-34": [get().replace(" / ", "  / "), get().replace(" / ", "\t/ "), get().replace(" / ", " /\x0b")],
  "H1-38": ["0x5", "+5", "5_0", " 5", "5 ", "", "12345678901234567"].map((size) =>
    chunked(`${size}\r\nabcde\r\n0\r\n\r\n`),
  ),
  "H1-40": [chunked("4\r\nSEE-THIS\r\n0\r\n\r\n"), chunked("4\r\nSEE\r\n0\r\n\r\n")],
  "H1-41": ["5\rX\r\n", "5\nhello", "5\r\nhello\n0\r\n\r\n", "0\n\r\n"].map((body) => chunked(`${body}\r\n\r\n`)),
  "H1-42": ["5;", "5;[", "5;a=\r\nb", "5\r\r;a", "5;\0", "5;a\rb"].map((line) =>
    chunked(`${line}\r\nabcde\r\n0\r\n\r\n`),
  ),
  "H1-46": [chunked(`5\r\nabcde\r\n0\r\n${get()}`)],
  "H1-60": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
};

for (const [id, inputs] of Object.entries(REFUSED)) {
  test(`${id} is refused with one answer and a close, cut anywhere`, () => {
    for (const input of inputs) {
      for (let cut = 0; cut < input.length; cut++) {
        const outcome = outcomeOf(world, input, cut === 0 ? [] : [cut]);
        assert.match(outcome, /^\[4\d\d local\] closed forwarded \[\]$/, `${JSON.stringify(input)} cut at ${cut}`);
      }
    }
  });
}

/** Case -> inputs that are served, and how many requests reach the backend. */
const SERVED: Readonly<Record<string, readonly (readonly [text: string, forwarded: number])[]>> = {
  "H1-16": [[post("abcde", "Transfer_Encoding: chunked", "Content-Length: 5", "Content_Length: 9"), 1]],
  "H1-17": [[post("abcde", "Connection: Content-Length, Host", "Content-Length: 5"), 1]],
  "H1-26": [[get().replace(" / ", " http://b:81/x "), 1]],
  "H1-35": [[`\r\n${get()}`, 1]],
  "H1-39": [[chunked("0000000000000005\r\nabcde\r\n0\r\n\r\n"), 1]],
  "H1-43": [[chunked('5;a=b;c="d\\""\r\nabcde\r\n0;z\r\n\r\n'), 1]],
  "H1-45": [[chunked("1\r\na\r\n0\r\nX-T: y\r\nHost: evil\r\nContent-Length: 3\r\nX-Real-IP: 1\r\n\r\n"), 1]],
  "H1-49": [[`${post("abcde", "Content-Length: 5").replace("POST", "DELETE")}${get()}`, 2]],
  "H1-53": [[get().repeat(3), 3]],
  "H1-58": [[get().replace(" / ", " /%0d%0aX:%20y/%00/..%2f/%c0%af "), 1]],
};

for (const [id, inputs] of Object.entries(SERVED)) {
  test(`${id} is served in canonical form, cut anywhere and byte by byte`, () => {
    for (const [input, forwarded] of inputs) {
      const whole = outcomeOf(world, input, []);
      assert.equal(world.recorded.filter(({ request }) => !request.target.startsWith("/witness/")).length, forwarded);
      const everywhere = Array.from({ length: input.length - 1 }, (_, i) => i + 1);
      for (const cut of everywhere) assert.equal(outcomeOf(world, input, [cut]), whole, `cut at ${cut}`);
      assert.equal(outcomeOf(world, input, everywhere), whole, "byte by byte");
    }
  });
}

/** Case -> messages with a place, `@`, for any byte. The reader says what must happen; `outcomeOf` checks it. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  "H1-12": ["@chunked", "chunked@", "chun@ked"].map((value) => post("0\r\n\r\n", `Transfer-Encoding: ${value}`)),
  "H1-20": [get("X: a@b"), get("X: @a"), get("X: a@")],
  "H1-21": [get("X@Y: a"), get("@X: a"), get("X@: a"), get("X: a", "@")],
  "H1-29": [get().replace(" / ", " /@ "), get().replace(" / ", " /a?@ "), get().replace(" / ", " @ ")],
  "H1-36": [get().replace("GET", "GE@T"), get().replace("GET ", "GET@"), get().replace("GET", "@GET")],
  "H1-04": [post("abcde", "Content-Length: @5"), post("abcde", "Content-Length: 5@")],
  "H1-25": [
    get().replace("Host: a", "Host: a@b"),
    get().replace("Host: a", "Host: a@"),
    get().replace("Host: a", "Host: a:8@"),
  ],
  "H1-32": [get().replace("1.1", "1.@"), get().replace("1.1\r", "1.1@\r"), get().replace("1.1\r\n", "1.1\r@")],
  "H1-38": ["@", "5@", "@5"].map((size) => chunked(`${size}\r\nabcde\r\n0\r\n\r\n`)),
  "H1-41": [chunked("5\r@abcde\r\n0\r\n\r\n"), chunked("5\r\nabcde@\n0\r\n\r\n"), chunked("5\r\nabcde\r@0\r\n\r\n")],
  "H1-42": ["5;@", "5;a@", "5;a=@", "5;a=b@", '5;a="@"', '5;a="b"@', '5;a="\\@"'].map((line) =>
    chunked(`${line}\r\nabcde\r\n0\r\n\r\n`),
  ),
  "H1-45": [chunked("0\r\nX@Y: a\r\n\r\n"), chunked("0\r\nX: a@b\r\n\r\n"), chunked("0\r\nX: a\r\n@\r\n")],
  "H1-46": [chunked("0\r\n@\n"), chunked("0\r\n\r@")],
};

for (const [id, texts] of Object.entries(PLACES)) {
  test(`${id} holds for each of the 256 bytes at ${texts.length} places`, () => {
    for (const template of texts) {
      for (let code = 0; code < 256; code++) {
        const text = template.replace("@", () => String.fromCharCode(code));
        const outcome = outcomeOf(world, text, []);
        // The reader accepts it or the proxy refuses it: nothing between (what is not complete is waited for).
        if (readRequests(text, false).end === "refused") {
          assert.match(outcome, /\[(200, )?4\d\d local\] closed/, JSON.stringify(text));
        }
      }
    }
  });
}

test("H1-35 10,000 empty lines are refused once", () => {
  assert.match(outcomeOf(world, "\r\n".repeat(10_000), []), /^\[400 local\] closed forwarded \[\]$/);
});

test("H1-44 chunk framing beyond its budget is refused, however it is spread", () => {
  const bodies = [
    `5;${"x".repeat(65_536)}\r\nabcde\r\n`,
    `1;${"x".repeat(1024)}\r\na\r\n`.repeat(10_000),
    `1;${'"'.repeat(1)}`.repeat(20_000),
    "1\r\na\r\n".repeat(1_000_000),
    `${"0".repeat(15)}1\r\na\r\n`.repeat(2000),
  ];
  for (const body of bodies) {
    const outcome = outcomeOf(world, chunked(`${body}0\r\n\r\n`), []);
    assert.match(outcome, /^\[400 local\] closed forwarded \[\]$/, JSON.stringify(body.slice(0, 40)));
  }
});

test("H1-47 an embedded request is part of a body or of nothing", () => {
  const inner = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
  const inputs = [
    post(`0\r\n\r\n${inner}`, `Content-Length: ${inner.length + 5}`, "Transfer-Encoding: chunked"),
    post(`5c\r\n${inner}0\r\n\r\n`, "Content-Length: 4", "Transfer-Encoding: chunked"),
    post(inner, `Content-Length: ${inner.length}`),
    post(`${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`, "Transfer-Encoding: chunked"),
  ];
  for (const input of inputs) {
    for (let cut = 0; cut < input.length; cut++) {
      outcomeOf(world, input, cut === 0 ? [] : [cut]);
      assert.ok(world.recorded.every(({ request }) => request.target !== "/x"));
    }
  }
});

test("H1-48 the body of a request that is answered early is never a request", () => {
  const inner = "GET /a HTTP/1.1\r\nHost: inner\r\n\r\n";
  for (const [path, status] of [
    ["/401", 401],
    ["/nowhere", 404],
    ["/301", 301],
    ["/503", 503],
  ] as const) {
    const withLength = post(inner, `Content-Length: ${inner.length}`).replace(" / ", ` ${path} `);
    const inChunks = chunked(`${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`).replace(" / ", ` ${path} `);
    for (const input of [withLength + get().replace(" / ", " /a/next "), inChunks]) {
      for (let cut = 0; cut < input.length; cut++) {
        const outcome = outcomeOf(world, input, cut === 0 ? [] : [cut], "routed");
        assert.match(outcome, new RegExp(`^\\[${status} local(, 200)?\\]`), `${JSON.stringify(input)} cut at ${cut}`);
        assert.ok(world.recorded.every(({ request }) => request.host !== "inner"));
      }
    }
  }
});

test("H1-53 1,000 pipelined requests are answered in order", () => {
  const text = Array.from({ length: 1000 }, (_, i) => get().replace(" / ", ` /${i} `)).join("");
  outcomeOf(world, text, []);
  const targets = world.recorded
    .map(({ request }) => request.target)
    .filter((target) => !target.startsWith("/witness/"));
  assert.deepEqual(
    targets,
    Array.from({ length: 1000 }, (_, i) => `/${i}`),
  );
});
