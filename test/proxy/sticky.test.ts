// Sticky sessions (spec 5.5): the cookie is ours, it names a backend, and it comes back only when it must change.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findCookie, stickyIdOf, stickyLine } from "../../src/proxy/http/cookies.ts";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

async function request(
  port: number,
  backends: readonly RawBackend[],
  cookie: string,
): Promise<[number, string, string]> {
  const peer = await connect(port);
  peer.send(`GET / HTTP/1.1\r\nHost: a\r\n${cookie}Connection: close\r\n\r\n`);
  const back = await Promise.race(
    backends.map(async (backend, index) => ({ index, peer: await backend.connection() })),
  );
  const head = await back.peer.has("\r\n\r\n");
  back.peer.send(OK.replace("OK\r\n", "OK\r\nConnection: close\r\n"));
  return [back.index, head, await peer.end()];
}

test("a client without the cookie gets one; with it, it stays with its backend and gets none", async () => {
  const one = await RawBackend.start();
  const two = await RawBackend.start();
  const port = rig.listen([one.port, two.port], { stickySession: true });
  const [, , first] = await request(port, [one], "");
  assert.match(first, new RegExp(`Set-Cookie: SOZUBALANCEID=b-${one.port}; Path=/\r\n`));
  for (let i = 0; i < 3; i++) {
    const [index, head, answer] = await request(port, [one], `Cookie: a=b; SOZUBALANCEID=b-${one.port}; c=d\r\n`);
    assert.equal(index, 0);
    assert.match(head, /Cookie: a=b; c=d\r\n/);
    assert.doesNotMatch(head, /SOZUBALANCEID/);
    assert.doesNotMatch(answer, /Set-Cookie/);
  }
  one.close();
  two.close();
});

test("a cookie that names no backend is replaced, and never forwarded", async () => {
  const one = await RawBackend.start();
  const port = rig.listen([one.port], { stickySession: true });
  const [, head, answer] = await request(port, [one], "Cookie: SOZUBALANCEID=gone\r\n");
  assert.doesNotMatch(head, /Cookie/);
  assert.match(answer, new RegExp(`Set-Cookie: SOZUBALANCEID=b-${one.port}; Path=/\r\n`));
  one.close();
});

test("a cookie is found by its whole name, wherever it stands", () => {
  const name = Buffer.from("id");
  const cases: [string, string, string][] = [
    ["id=1", "1", ""],
    ["id=1; x=2", "1", "x=2"],
    ["x=2; id=1", "1", "x=2"],
    ["x=2;id=1;y=3", "1", "x=2;y=3"],
    ["xid=9; id=", "", "xid=9"],
    ["; id=a%20b ;", "a%20b ", "; "],
  ];
  for (const [field, value, rest] of cases) {
    const found = { start: 0, end: 0, valueStart: 0, valueEnd: 0 };
    const bytes = Buffer.from(field);
    assert.equal(findCookie(bytes, 0, bytes.length, name, found), true, field);
    assert.equal(bytes.subarray(found.valueStart, found.valueEnd).toString(), value);
    assert.equal(field.slice(0, found.start) + field.slice(found.end), rest, field);
  }
  for (const field of ["", "idx=1", "x=id=1", "id", "ID=1"]) {
    const bytes = Buffer.from(field);
    const found = { start: 0, end: 0, valueStart: 0, valueEnd: 0 };
    assert.equal(findCookie(bytes, 0, bytes.length, name, found), false, field);
  }
});

test("ids that no cookie can hold are encoded, and read back; nothing can end the line", () => {
  for (const id of ["b0", "ein wert", "a;b", "x%20y", "ü\r\nEvil: 1", '"', ","]) {
    const line = Buffer.from(stickyLine("N", id)).toString("latin1");
    assert.match(line, /^Set-Cookie: N=[!#-+\--:<-[\]-~]*; Path=\/\r\n$/);
    const value = Buffer.from(line.slice("Set-Cookie: N=".length, line.indexOf("; Path")));
    assert.equal(stickyIdOf(value, 0, value.length), id);
  }
  assert.equal(stickyIdOf(Buffer.from("%zz"), 0, 3), null);
  assert.equal(stickyIdOf(new Uint8Array(2000).fill(97), 0, 2000), null);
});
