// A worker above its memory limit: it refuses new work, stays alive and says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { connectRaw } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

test("RX-09 above worker_memory_limit a connection that is open gets 503, nobody else is accepted", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const clusters = { app: { backends: [backend.port] } };
  // No Node fits into 32 MB, so it is short from its first look on, a second after it began to serve.
  const proxy = await startProxy(t, { clusters, settings: { worker_memory_limit: 33_554_432 } });
  const client = await connectRaw(proxy.port);
  const statuses: (number | undefined)[] = [];
  await until("it refuses", async () => {
    const answer = await client.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    statuses.push(answer?.status);
    return answer?.status === 503;
  });
  assert.ok(
    statuses.every((status) => status === 200 || status === 503),
    statuses.join(" "),
  );
  await until("it is logged", () => /short of memory \(\d+ MB resident/.test(proxy.output));
  assert.equal(proxy.workerPids.length, 1);
  client.destroy();
});
