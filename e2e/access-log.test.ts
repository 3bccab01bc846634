// The access log: the exact shape of a line (decisions 5), its fields, and that a sink that cannot keep up costs nothing.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ok, rawBackend } from "./lib/backend.ts";
import { connectRaw, once } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { startProxy } from "./lib/proxy.ts";
import { sleep, until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ULID = "[0-9A-HJKMNP-TV-Z]{26}";
const DURATION = String.raw`(?:-|\d+(?:s|ms|μs|ns))`;
const PREFIX = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d{19} \d+ INFO-ACCESS  WRK-00\t`;

test("a proxied request, field by field", async (t) => {
  const backend = await rawBackend(t, (_request, peer) => peer.send(ok("x".repeat(95))));
  const proxy = await startProxy(t, {
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"
[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost", tags = { owner = "me", env = "prod" } }]
backends = [{ address = "127.0.0.1:${backend.port}", backend_id = "b0" }]
`,
  });
  const client = await connectRaw(proxy.port);
  const request = `GET /api?x=1 HTTP/1.1\r\nHost: localhost:${proxy.port}\r\nUser-Agent: curl/8.5.0 [x]\r\n\r\n`;
  const answer = await client.request(request);
  const [line] = await proxy.waitForAccessLines(1);
  const escaped = (text: string): string => text.replaceAll(".", "\\.");
  const expected = [
    `^${PREFIX}`,
    String.raw`\[${ULID} ${answer.headers.get("sozu-id")} app b0\] `,
    escaped(`127.0.0.1:${client.localPort} 127.0.0.1:${backend.port} `),
    `${[DURATION, DURATION, DURATION, DURATION, DURATION].join("/")} `,
    `${request.length} ${answer.length} `,
    String.raw`\[env=prod, owner=me, user-agent=curl/8\.5\.0_\{x\}\] `,
    `None http localhost:${proxy.port} GET ${escaped("/api")}\\?x=1 200 \\| H1::Complete$`,
  ].join("");
  assert.match(line as string, new RegExp(expected));
  client.destroy();
});

test("requests of one connection share the session id; lines come in order", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const client = await connectRaw(proxy.port);
  for (let i = 0; i < 5; i++) await client.request(`GET /${i} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const lines = await proxy.waitForAccessLines(5);
  const sessions = new Set(lines.map((line) => /\[(\S+) /.exec(line)?.[1]));
  assert.equal(sessions.size, 1);
  for (const [i, line] of lines.entries()) assert.ok(line.includes(` GET /${i} 200 `), line);
  client.destroy();
});

test("bytes in and out count heads and bodies", async (t) => {
  const backend = await rawBackend(t, (request, peer) => peer.send(ok(request.body)));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const body = "x".repeat(50_000);
  const request = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answer = await once(proxy.port, request);
  const [line] = await proxy.waitForAccessLines(1);
  assert.ok((line as string).includes(` ${request.length} ${answer?.length} [`), line);
});

test("a refused request has a line too", async (t) => {
  const proxy = await startProxy(t, {});
  await once(proxy.port, "garbage\r\n\r\n");
  const [line] = await proxy.waitForAccessLines(1);
  assert.match(line as string, / 400 \|/);
});

test("RX-20 a user agent cannot break the line", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  await once(proxy.port, "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\tb \xff] None http evil\r\n\r\n");
  await once(proxy.port, GET);
  const lines = await proxy.waitForAccessLines(2);
  assert.equal(lines.length, 2);
  assert.equal(/ None http evil/.test(lines[0] as string), false);
});

test("every request is in the log", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const load = new Load(proxy.port, { connections: 8 });
  await sleep(1000);
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  const lines = await proxy.waitForAccessLines(result.served);
  await sleep(300);
  assert.equal(proxy.accessLines.length, result.served);
  assert.ok(lines.every((line) => / GET \/ 200 \| H1::Complete$/.test(line)));
});

test("RX-16 a log target that blocks does not hurt traffic; what was lost is counted", async (t) => {
  const backend = await rawBackend(t);
  backend.recording = false;
  let reader = -1;
  t.after(() => closeSync(reader));
  const proxy = await startProxy(t, {
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/blocked"
[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "localhost" }]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`,
    before: (folder) => {
      execFileSync("mkfifo", [join(folder, "blocked")]);
      reader = openSync(join(folder, "blocked"), constants.O_RDONLY | constants.O_NONBLOCK);
    },
  });
  const load = new Load(proxy.port, { connections: 16 });
  // A pipe nobody reads: 64 kB fit, then every write blocks.
  await until("more lines than any buffer holds", () => load.served > 6000, 60_000);
  assert.equal(load.failed, 0);
  const buffer = Buffer.alloc(65_536);
  const drain = setInterval(() => {
    try {
      while (readSync(reader, buffer) > 0);
    } catch {
      // EAGAIN: empty for now
    }
  }, 10);
  t.after(() => clearInterval(drain));
  await until("the drop is logged", () => /dropped/.test(proxy.output), 10_000);
  assert.deepEqual((await load.stop()).failures, []);
});
