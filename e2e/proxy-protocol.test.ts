// `expect_proxy` through the whole product: the client of the header is the client in headers and log (hardening PP-12,
// PP-14; spec 10.3).

import assert from "node:assert/strict";
import { test } from "node:test";
import { rawBackend } from "./lib/backend.ts";
import { connectRaw } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

test("expect_proxy: the header names the client; without one the connection is closed; health checks leave no trace", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, {
    listener: { expect_proxy: true },
    clusters: { app: { backends: [backend.port] } },
  });
  const client = await connectRaw(proxy.port);
  await client.sendSlowly("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n");
  assert.equal((await client.request(GET)).status, 200);
  assert.equal((await client.request(GET)).status, 200);
  assert.equal(backend.requests[1]?.headers.get("x-forwarded-for"), "192.0.2.7");
  assert.equal(backend.requests[1]?.headers.get("x-forwarded-port"), "80");
  assert.match(backend.requests[1]?.headers.get("forwarded") ?? "", /for="192\.0\.2\.7:4711";by=198\.51\.100\.1$/);
  const [line] = await proxy.waitForAccessLines(2);
  assert.match(line as string, /\] 192\.0\.2\.7:4711 127\.0\.0\.1:\d+ /);
  client.destroy();
  const stranger = await connectRaw(proxy.port);
  await stranger.send(GET);
  assert.equal((await stranger.closedByPeer()).length, 0);
  const check = await connectRaw(proxy.port);
  await check.send(Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex"));
  assert.equal((await check.closedByPeer()).length, 0);
  assert.equal(backend.count, 2);
  assert.equal(proxy.accessLines.length, 2);
});
