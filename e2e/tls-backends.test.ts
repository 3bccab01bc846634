// TLS to backends (an addition) with servers that are not ours: who is believed, what a client gets else, health checks,
// sessions.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createServer, type TlsOptions } from "node:tls";
import { makeCertificate } from "../test/command/certs.ts";
import { once } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";
import { fileScope, until } from "./lib/scope.ts";
import { authority, issue, writeIdentity } from "./lib/secure.ts";

interface SecureServer {
  readonly port: number;
  /** Heads of requests, and whether their connection resumed a session. */
  readonly heads: string[];
  readonly resumed: boolean[];
  readonly subjects: (string | undefined)[];
}

const scope = fileScope();
const good = issue({ names: ["backend.test"] });
const known = issue({ commonName: "the proxy", names: ["proxy"] });
const [app, foreign, asking] = [
  await server(good),
  await server(makeCertificate({ names: ["backend.test"] })),
  await server(good, { requestCert: true, rejectUnauthorized: true, ca: authority.pem }),
];

/** Answers each request and closes; a session of its clients may be resumed. */
async function server(made: typeof good, options: TlsOptions = {}): Promise<SecureServer> {
  const heads: string[] = [];
  const resumed: boolean[] = [];
  const subjects: (string | undefined)[] = [];
  const listener = createServer({ cert: made.pem, key: made.key, ...options }, (socket) => {
    resumed.push(socket.isSessionReused());
    subjects.push(socket.getPeerCertificate().subject?.CN as string | undefined);
    socket.on("error", () => undefined);
    socket.on("data", (data: Buffer) => {
      heads.push(data.toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    });
  });
  listener.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  scope.after(() => void listener.close());
  return { port: (listener.address() as AddressInfo).port, heads, resumed, subjects };
}

const CA = 'ca = "$FOLDER/ca.pem"';
const NAME = 'server_name = "backend.test"';
const clusters: Readonly<Record<string, readonly [SecureServer, string, string?]>> = {
  good: [app, `${CA}, ${NAME}`],
  "wrong-ca": [foreign, `${CA}, ${NAME}`],
  "wrong-name": [app, `${CA}, server_name = "other.test"`],
  "wrong-address": [app, CA],
  unverified: [foreign, "verify = false"],
  system: [app, NAME],
  asking: [asking, `${CA}, ${NAME}, certificate = "$FOLDER/proxy.pem", key = "$FOLDER/proxy.key"`],
  "not-shown": [asking, `${CA}, ${NAME}`],
  checked: [app, `${CA}, ${NAME}`, 'health_check = { uri = "/health", interval = 1 }'],
};
const proxy = await startProxy(scope, {
  toml: `
command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"

[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
${Object.entries(clusters)
  .map(
    ([id, [{ port }, tls, more]]) => `
[clusters.${id}]
protocol = "http"
tls = { ${tls} }
${more ?? ""}
frontends = [{ address = "127.0.0.1:$PORT", hostname = "${id}.test" }]
backends = [{ address = "127.0.0.1:${port}" }]
`,
  )
  .join("")}`,
  // The authorities of the system.
  env: { SSL_CERT_FILE: writeAuthority() },
  before: (folder) => {
    writeFileSync(join(folder, "ca.pem"), authority.pem);
    writeIdentity(folder, "proxy", known);
  },
});

function writeAuthority(): string {
  const folder = mkdtempSync(join(tmpdir(), "sozu-authorities-"));
  scope.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "system.pem");
  writeFileSync(path, authority.pem);
  return path;
}

async function statusOf(id: string): Promise<number | undefined> {
  return (await once(proxy.port, `GET /${id} HTTP/1.1\r\nHost: ${id}.test\r\n\r\n`))?.status;
}

test("backends are believed when their certificate is for them and of a known authority; else 503 and the reason in the log", async () => {
  for (const id of ["good", "system", "unverified", "asking"]) assert.equal(await statusOf(id), 200, id);
  assert.ok(app.heads.some((head) => head.startsWith("GET /good HTTP/1.1\r\n")));
  assert.equal(asking.subjects.at(-1), "the proxy");
  for (const [id, why] of [
    ["wrong-ca", "it is self-signed and not one of the authorities"],
    ["wrong-name", "it is for another name"],
    ["wrong-address", "it is for another IP address"],
  ] as const) {
    assert.equal(await statusOf(id), 503, id);
    const line = new RegExp(
      `TLS handshake with backend [^ ]+ \\(127\\.0\\.0\\.1:\\d+\\) of cluster ${id} failed: .*${why}`,
    );
    await until(`the log says why ${id} is refused`, () => line.test(proxy.output));
  }
  assert.notEqual(await statusOf("not-shown"), 200);
  assert.equal(asking.heads.length, 1);
});

test("a new connection resumes the session of the last", async () => {
  const before = app.resumed.length;
  for (let i = 0; i < 4; i++) assert.equal(await statusOf("good"), 200);
  const resumed = app.heads.flatMap((head, i) => (i >= before && head.startsWith("GET /good") ? [app.resumed[i]] : []));
  assert.deepEqual(resumed, [true, true, true, true]);
});

test("health checks speak TLS", async () => {
  await until("a health check over TLS", () => app.heads.some((head) => head.startsWith("GET /health HTTP/1.1\r\n")));
  assert.equal(await statusOf("checked"), 200);
});
