// Logs to udp://, tcp:// and unix:// (spec 12.1). Workers live in a sandbox in which they can connect to none of them: main
// does, again when a server went away, and a server that is dead or slow costs lines, never traffic.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once as event } from "node:events";
import { rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EAGAIN } from "../src/os/errno.ts";
import { recvFds } from "../src/os/fdpass.ts";
import { bindUnix } from "../src/os/listeners.ts";
import { close, UNIX_DGRAM } from "../src/os/sockets.ts";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { runLoad } from "./lib/load.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ACCESS = / INFO-ACCESS {2}WRK-0\d\t\[.* GET \/x 200 \| H1::Complete$/;

async function start(scope: Scope, settings: Record<string, string | number>, workers = 1): Promise<RunningProxy> {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  return startProxy(scope, {
    workers,
    clusters: { app: { backends: [backend.port] } },
    settings: { sandbox: "required", ...settings },
  });
}

/** A log server on `port`; the texts of its connections, as long as it reads them. */
async function logServer(scope: Scope, port: number) {
  const peers: Socket[] = [];
  const texts: string[] = [];
  const server = createServer((peer) => {
    const at = peers.push(peer) - 1;
    texts.push("");
    peer.on("error", () => undefined);
    peer.on("data", (data) => {
      texts[at] += data.toString();
    });
  });
  const end = (): void => {
    server.close();
    for (const peer of peers) peer.destroy();
  };
  scope.after(end);
  server.listen(port, "127.0.0.1");
  await event(server, "listening");
  return { port: (server.address() as AddressInfo).port, peers, texts, end };
}

async function counter(proxy: RunningProxy, name: string): Promise<number> {
  const { stdout } = await proxy.run("metrics", "get", "--json", "-n", name);
  return JSON.parse(stdout).METRICS.proxying[name]?.inner.COUNT ?? 0;
}

test("udp://: each access line is a datagram, main's log lines are too", async (t) => {
  const server = createSocket("udp4");
  t.after(() => server.close());
  const got: string[] = [];
  server.on("message", (message) => void got.push(message.toString()));
  server.bind(0, "127.0.0.1");
  await event(server, "listening");
  const target = `udp://127.0.0.1:${server.address().port}`;
  const proxy = await start(t, { log_target: target, access_logs_target: target });
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await until("the line comes", () => got.some((text) => text.includes("INFO-ACCESS")));
  assert.match(got.find((text) => text.includes("INFO-ACCESS"))?.trimEnd() ?? "", ACCESS);
  await until("main's do", () => got.some((text) => / MAIN\tready: 1 workers/.test(text)));
  assert.ok(got.every((text) => text.indexOf("\n") === text.length - 1));
});

test("unix://: a datagram a line; a receiver that came back is connected again", async (t) => {
  const path = join(tmpdir(), `sozu-log-${process.pid}.sock`);
  t.after(() => rmSync(path, { force: true }));
  const proxy = await start(t, { access_logs_target: `unix://${path}` });
  // Nobody is there: traffic does not mind, and the lines wait.
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await until("it is said", () => /log target unix:.*: cannot connect: .*ENOENT/.test(proxy.output));
  for (let round = 0; round < 2; round++) {
    const fd = bindUnix(path, 0o600, UNIX_DGRAM);
    assert.ok(fd >= 0, String(fd));
    assert.equal((await once(proxy.port, REQUEST))?.status, 200);
    const lines: string[] = [];
    await until("the lines come", () => {
      const received = recvFds(fd, 65_536, 0);
      if (received === -EAGAIN) return lines.length > 0 && round > 0 ? true : lines.length > 1;
      assert.ok(typeof received !== "number");
      lines.push(Buffer.from(received.data).toString());
      return false;
    });
    for (const line of lines) assert.match(line.trimEnd(), ACCESS);
    close(fd);
    rmSync(path);
  }
});

test("tcp://: every worker has its connection, also after the server was away", async (t) => {
  const port = await freePort();
  const first = await logServer(t, port);
  const proxy = await start(t, { access_logs_target: `tcp://127.0.0.1:${port}` }, 2);
  const load = runLoad(t, proxy.port, { connections: 8, fresh: true });
  await until("both log", () => first.texts.filter((text) => text.includes("\n")).length === 2);
  first.end();
  const before = load.served;
  await until("traffic goes on", () => load.served > before + 500);
  const second = await logServer(t, port);
  await until("both log again", () => second.texts.filter((text) => text.includes("\n")).length === 2);
  assert.deepEqual((await load.stop()).failures, []);
  for (const text of [...first.texts, ...second.texts]) {
    assert.match(text, /^\d{4}-\d\d-\d\dT/);
    for (const line of text.split("\n").slice(0, -1)) assert.match(line, /^\d{4}-.* GET .* 200 \| H1::Complete$/);
  }
});

test("RX-16 a log server that does not read costs lines, which are counted, and no request", async (t) => {
  const server = await logServer(t, 0);
  const proxy = await start(t, { access_logs_target: `tcp://127.0.0.1:${server.port}` });
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  await until("it is connected", () => server.peers.length === 1);
  server.peers[0]?.pause();
  // Long lines, so that everything between us and it is full soon.
  const request = `GET /${"p".repeat(4000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const load = runLoad(t, proxy.port, { connections: 16, request });
  await until("lines are dropped", async () => (await counter(proxy, "access_logs.dropped")) > 0);
  const before = load.served;
  await until("traffic goes on", () => load.served > before + 500);
  server.peers[0]?.resume();
  assert.deepEqual((await load.stop()).failures, []);
  await until("it says so", () => /lines dropped: the target could not keep up/.test(proxy.output));
});

for (const scheme of ["udp", "tcp", "unix"]) {
  test(`RX-16 a ${scheme}:// log server that was never there: starts, serves, upgrades and stops`, async (t) => {
    const target = scheme === "unix" ? "unix:///nonexistent/log" : `${scheme}://127.0.0.1:${await freePort()}`;
    const proxy = await start(t, { log_target: target, access_logs_target: target });
    const load = runLoad(t, proxy.port, { connections: 4 });
    await until("it serves", () => load.served > 500);
    assert.equal((await proxy.run("upgrade", "--worker", "0")).code, 0);
    assert.deepEqual((await load.stop()).failures, []);
    assert.equal((await proxy.run("shutdown")).code, 0);
  });
}
