// What a person types becomes the bytes a client would send; the listener is the one that would get them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpListenerObject } from "../../src/command/objects.ts";
import { askedRequest, believes, chooseListener } from "../../src/explain/request.ts";

function head(method: string, url: string, fields: readonly string[] = []): string {
  const asked = askedRequest(method, url, fields);
  return typeof asked === "string" ? asked : Buffer.from(asked.head).toString();
}

test("request line and Host come from the URL, a Host of its own wins", () => {
  assert.equal(head("GET", "http://a.test:81/x?y#z"), "GET /x?y HTTP/1.1\r\nHost: a.test:81\r\n\r\n");
  assert.equal(head("GET", "a.test"), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  assert.equal(head("GET", "http://[::1]:81?q"), "GET /?q HTTP/1.1\r\nHost: [::1]:81\r\n\r\n");
  assert.equal(head("GET", "http://a.test/", ["host: b.test"]), "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n");
});

test("nothing can add a line", () => {
  for (const [method, url, field] of [
    ["GET\r\nX: y", "http://a/", "A: b"],
    ["GET", "http://a/\r\nX: y", "A: b"],
    ["GET", "http://a/", "A: b\nX: y"],
  ] as const) {
    assert.match(head(method, url, [field]), /^(a method|"GET)/);
  }
});

test("the listener of a URL: address, public address, any address, port, the only one", () => {
  const at = (ip: string, port: number, own: { ip: string; port: number } | null = null) =>
    ({ address: { ip, port }, publicAddress: own }) as unknown as HttpListenerObject;
  const pick = (listeners: HttpListenerObject[], host: string, port: number): number => {
    const found = chooseListener(listeners, { host, port });
    return found === null ? -1 : listeners.indexOf(found.listener);
  };
  const many = [at("0.0.0.0", 80), at("127.0.0.1", 80), at("10.0.0.1", 8080, { ip: "1.2.3.4", port: 90 })];
  assert.equal(pick(many, "127.0.0.1", 80), 1);
  assert.equal(pick(many, "a.test", 80), 0);
  assert.equal(pick(many, "1.2.3.4", 90), 2);
  assert.equal(pick(many, "a.test", 90), 2);
  assert.equal(pick(many, "a.test", 1), -1);
  assert.equal(pick([many[1]!], "a.test", 1), 0);
  assert.equal(pick([at("::1", 80)], "[::1]", 80), 0);
});

test("who is believed", () => {
  const listener = (trustedProxies: string[]) => ({ trustedProxies }) as unknown as HttpListenerObject;
  assert.equal(believes(listener([]), "1.2.3.4"), true);
  assert.equal(believes(listener(["10.0.0.0/8"]), "10.9.9.9"), true);
  assert.equal(believes(listener(["10.0.0.0/8"]), "11.0.0.1"), false);
  assert.equal(believes(listener(["2001:db8::/32"]), "2001:db8::7"), true);
  assert.equal(believes(listener([]), "somewhere"), null);
});
