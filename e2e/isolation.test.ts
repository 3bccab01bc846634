// No client ever sees a byte that was meant for another: clients leave at every moment, and those that come after them get
// exactly their own answers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ok, rawBackend } from "./lib/backend.ts";
import { connectRaw, type RawClient } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { sleep } from "./lib/scope.ts";

const SIZE = 1_000_000;

/** A body that names its owner everywhere: `<id>;<id>;...`. */
function bodyOf(id: string): Buffer {
  return Buffer.alloc(SIZE, `${id};`);
}

test("clients that leave in the middle of an answer leave nothing behind for the next ones", async (t) => {
  const backend = await rawBackend(t, (request, peer) =>
    peer.send(ok(bodyOf(request.target), [`X-For: ${request.target}`])),
  );
  backend.recording = false;
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const ask = async (id: string): Promise<RawClient> => {
    const client = await connectRaw(proxy.port);
    await client.send(`GET ${id} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return client;
  };
  for (let round = 0; round < 12; round++) {
    const leaving = await Promise.all(Array.from({ length: 16 }, (_, i) => ask(`/leaving-${round}-${i}`)));
    await sleep(round % 6);
    for (const client of leaving) round % 2 === 0 ? client.reset() : client.destroy();
    await Promise.all(
      Array.from({ length: 16 }, async (_, i) => {
        const id = `/staying-${round}-${i}`;
        const client = await ask(id);
        const answer = await client.answer();
        assert.equal(answer.headers.get("x-for"), id);
        assert.ok(answer.body.equals(bodyOf(id)), `${id} got bytes of another answer`);
        assert.equal(client.pending.length, 0, id);
        client.destroy();
      }),
    );
  }
});

test("uploads that are broken off leave nothing behind at the backend", async (t) => {
  const backend = await rawBackend(t, (request, peer) => peer.send(ok(request.body.subarray(0, 20))));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const post = (id: string): string => `POST ${id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${SIZE}\r\n\r\n`;
  for (let round = 0; round < 8; round++) {
    const leaving = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const client = await connectRaw(proxy.port);
        const id = `/leaving-${round}-${i}`;
        await client.send(Buffer.concat([Buffer.from(post(id)), bodyOf(id).subarray(0, 300_000)]));
        return client;
      }),
    );
    await sleep(round);
    for (const client of leaving) client.reset();
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const id = `/staying-${round}-${i}`;
        const client = await connectRaw(proxy.port);
        client.send(Buffer.concat([Buffer.from(post(id)), bodyOf(id)])).catch(() => undefined);
        assert.equal((await client.answer()).body.toString(), bodyOf(id).toString("latin1", 0, 20));
        client.destroy();
      }),
    );
  }
  assert.deepEqual(backend.violations, []);
  for (const request of backend.requests) assert.ok(request.body.equals(bodyOf(request.target)), request.target);
});
