// WebSockets through the whole product, with a client that is not ours (hardening WS-01, WS-10, WS-11; spec 14 mux).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { connectRaw } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";
import { webSocketBackend } from "./lib/websocket.ts";

const OFFER = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";

async function opened(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://localhost:${port}/chat`);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return socket;
}

function next(socket: WebSocket): Promise<string | ArrayBuffer> {
  return new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(event.data as string | ArrayBuffer);
    socket.onclose = () => reject(new Error("closed"));
  });
}

test("WS-01 test_websocket_upgrade: messages of 1 B to 16 MB come back as they were; the log has both ends", async (t) => {
  const backend = await webSocketBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const socket = await opened(proxy.port);
  socket.send("text");
  assert.equal(await next(socket), "text");
  for (const size of [1, 125, 126, 65_535, 65_536, 1_000_000, 16 * 1024 * 1024]) {
    const sent = new Uint8Array(size);
    for (let i = 0; i < size; i++) sent[i] = (i * 7 + (i >> 11)) & 255;
    const reply = next(socket);
    socket.send(sent);
    assert.ok(Buffer.from((await reply) as ArrayBuffer).equals(sent), `${size} bytes`);
  }
  assert.match(backend.requests[0] as string, /^X-Forwarded-For: /m);
  const closed = new Promise((resolve) => {
    socket.onclose = resolve;
  });
  socket.close();
  await closed;
  const [upgrade, end] = await proxy.waitForAccessLines(2);
  assert.match(upgrade as string, / http localhost:\d+ GET \/chat 101 \| H1::Upgrade$/);
  assert.match(end as string, / WS localhost:\d+ GET \/chat 101$/);
  await until("the backend connection is closed", () => backend.open === 0);
});

test("WS-11 a soft stop leaves tunnels alone, a hard stop ends them", async (t) => {
  const backend = await webSocketBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const sockets = await Promise.all(Array.from({ length: 20 }, () => opened(proxy.port)));
  proxy.kill("SIGTERM");
  await until("nobody listens any more", async () => {
    try {
      (await connectRaw(proxy.port)).destroy();
      return false;
    } catch {
      return true;
    }
  });
  await sleep(300);
  for (const socket of sockets) {
    const reply = next(socket);
    socket.send("still here");
    assert.equal(await reply, "still here");
  }
  assert.equal(proxy.exited, false);
  const ends = sockets.map(
    (socket) =>
      new Promise((resolve) => {
        socket.onclose = resolve;
      }),
  );
  proxy.kill("SIGTERM");
  await Promise.all(ends);
  await proxy.waitForExit();
});

test("WS-10 400 MB into a tunnel whose reader is slow: the writer is held back, the worker's memory stays flat", async (t) => {
  const piece = Buffer.alloc(1_000_000, 1);
  let written = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(SWITCH);
      const more = (): void => {
        while (written < 400_000_000) {
          written += piece.length;
          if (!socket.write(piece)) return;
        }
        socket.end();
      };
      socket.on("drain", more);
      more();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const proxy = await startProxy(t, { settings: { worker_count: 1 }, clusters: { app: { backends: [port] } } });
  const client = await connectRaw(proxy.port);
  client.socket.removeAllListeners("data");
  let received = 0;
  client.socket.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  await client.send(OFFER);
  await until("bytes come", () => received > 1000);
  client.socket.pause();
  await sleep(500);
  const stalledAt = written;
  await sleep(300);
  assert.equal(written, stalledAt);
  assert.ok(stalledAt < 100_000_000, `${stalledAt} bytes were taken`);
  const [pid] = proxy.workerPids as [number];
  const before = residentKb(pid);
  client.socket.resume();
  await until("all of it", () => received > 400_000_000, 30_000);
  const grown = residentKb(pid) - before;
  assert.ok(grown < 20_000, `${grown} kB more`);
  client.destroy();
});

function residentKb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
