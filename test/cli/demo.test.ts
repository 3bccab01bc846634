import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { startDemo } from "../../src/cli/demo.ts";

test("the demo backend shows what it was sent and what to try next", async (t) => {
  const server = await startDemo("127.0.0.1", 0);
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = await (await fetch(`${base}/some/path`, { headers: { "X-Test": "yes" } })).text();
  assert.match(text, /GET \/some\/path/);
  assert.match(text, /X-Test: yes/i);
  assert.match(text, /What to try next/);
  const json = (await (await fetch(`${base}/json`)).json()) as { method: string; tryNext: string[] };
  assert.equal(json.method, "GET");
  assert.ok(json.tryNext.length > 0);
  assert.equal((await fetch(`${base}/status/418`)).status, 418);
  assert.equal((await (await fetch(`${base}/bytes/200000`)).arrayBuffer()).byteLength, 200_000);
  assert.equal(await (await fetch(`${base}/echo`, { method: "POST", body: "back" })).text(), "back");
});

test("a port in use is an error of startDemo", async (t) => {
  const server = await startDemo("127.0.0.1", 0);
  t.after(() => server.close());
  await assert.rejects(startDemo("127.0.0.1", (server.address() as AddressInfo).port), { code: "EADDRINUSE" });
});
