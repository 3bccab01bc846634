// Backends come and go while requests flow, through the command line: no request fails (CP-09, test_blue_green).

import assert from "node:assert/strict";
import { test } from "node:test";
import { ok, type RawBackend, rawBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function change(proxy: RunningProxy, verb: "add" | "remove", id: string, port: number): Promise<void> {
  const args = ["backend", verb, "--id", "app", "--backend-id", id, "--address", `127.0.0.1:${port}`];
  const { code, stdout, stderr } = await proxy.run(...args);
  assert.equal(code, 0, stdout + stderr);
}

/** Backends whose answers take a moment, so that there is always a request in flight. */
async function slowBackends(t: Parameters<typeof rawBackend>[0], count: number): Promise<RawBackend[]> {
  const backends = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      rawBackend(t, (_request, peer) => void setTimeout(() => peer.send(ok(`${i}`)), 5)),
    ),
  );
  for (const backend of backends) backend.recording = false;
  return backends;
}

test("CP-09 blue and green are swapped ten times under load and no request fails", async (t) => {
  const [blue, green] = (await slowBackends(t, 2)) as [RawBackend, RawBackend];
  const proxy = await startProxy(t, {
    workers: 2,
    clusters: { app: { backends: [{ port: blue.port, id: "blue" }] } },
  });
  const load = new Load(proxy.port, { connections: 16 });
  const fresh = new Load(proxy.port, { connections: 4, fresh: true });
  for (let round = 0; round < 5; round++) {
    await change(proxy, "add", "green", green.port);
    await change(proxy, "remove", "blue", blue.port);
    await sleep(50);
    const before = green.count;
    await until("green serves", () => green.count > before);
    await change(proxy, "add", "blue", blue.port);
    await change(proxy, "remove", "green", green.port);
    await sleep(50);
  }
  const [kept, opened] = await Promise.all([load.stop(), fresh.stop()]);
  assert.deepEqual([...kept.failures, ...opened.failures], []);
  assert.ok(kept.served > 200 && opened.served > 50, `${kept.served} + ${opened.served}`);
});

test("CP-09 a request in flight on a removed backend ends; the next one is a 503", async (t) => {
  let finish: () => void = () => undefined;
  const backend = await rawBackend(t, (_request, peer) => {
    finish = () => peer.send(ok("late"));
  });
  const proxy = await startProxy(t, { clusters: { app: { backends: [{ port: backend.port, id: "only" }] } } });
  const client = await connectRaw(proxy.port);
  await client.send(GET);
  await backend.waitFor(1);
  await change(proxy, "remove", "only", backend.port);
  assert.equal((await once(proxy.port, GET))?.status, 503);
  finish();
  assert.equal((await client.answer()).body.toString(), "late");
  client.destroy();
  await until("its connection is closed, not pooled", () => backend.open === 0);
});

test("a removed backend gets no further request, an added one gets its share", async (t) => {
  const [a, b, c] = (await slowBackends(t, 3)) as [RawBackend, RawBackend, RawBackend];
  const proxy = await startProxy(t, {
    clusters: {
      app: {
        backends: [
          { port: a.port, id: "a" },
          { port: b.port, id: "b" },
        ],
      },
    },
  });
  const load = new Load(proxy.port, { connections: 8 });
  await until("both serve", () => a.count > 20 && b.count > 20);
  await change(proxy, "remove", "a", a.port);
  const after = a.count;
  await change(proxy, "add", "c", c.port);
  await until("c serves", () => c.count > 50);
  assert.ok(a.count - after <= 8, "only what was in flight");
  assert.deepEqual((await load.stop()).failures, []);
});
