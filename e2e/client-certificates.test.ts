// Certificates of clients (an addition) with curl and openssl s_client: who is let in, and what backends hear of it.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate } from "../test/command/certs.ts";
import { rawBackend } from "./lib/backend.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";
import { fileScope, until } from "./lib/scope.ts";
import { authority, closing, issue, openssl, type ProgramResult, runProgram, writeIdentity } from "./lib/secure.ts";

const clientAuthority = makeCertificate({ commonName: "Client CA", names: [], isAuthority: true });
const alice = makeCertificate({ commonName: "alice", names: ["alice"], issuer: clientAuthority });
const stranger = makeCertificate({ commonName: "alice", names: ["alice"], isAuthority: false });

const scope = fileScope();
const backend = await rawBackend(scope);
const [optional, plain] = [await freePort(), await freePort()];
const files = 'certificate = "$FOLDER/a.pem", key = "$FOLDER/a.key"';
const headers = 'subject_header = "X-Client-Subject", fingerprint_header = "X-Client-Fingerprint"';
const proxy = await startProxy(scope, {
  toml: `
command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"

[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "https"
client_auth = { ca = "$FOLDER/clients.pem", ${headers} }

[[listeners]]
address = "127.0.0.1:${optional}"
protocol = "https"
client_auth = { ca = "$FOLDER/clients.pem", required = false, ${headers} }

[[listeners]]
address = "127.0.0.1:${plain}"
protocol = "https"

[clusters.app]
protocol = "http"
frontends = [${["$PORT", optional, plain].map((port) => `{ address = "127.0.0.1:${port}", hostname = "a.test", ${files} }`).join(", ")}]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`,
  before: (folder) => {
    writeFileSync(join(folder, "ca.pem"), authority.pem);
    writeFileSync(join(folder, "clients.pem"), clientAuthority.pem);
    writeIdentity(folder, "a", issue({ names: ["a.test"] }));
    writeIdentity(folder, "alice", alice);
    writeIdentity(folder, "stranger", stranger);
  },
});
const file = (name: string): string => join(proxy.folder, name);

function curl(port: number, ...args: string[]): Promise<ProgramResult> {
  const where = ["--cacert", file("ca.pem"), "--resolve", `a.test:${port}:127.0.0.1`];
  return runProgram("curl", ["-sSi", ...where, ...args, `https://a.test:${port}/`]);
}

const ALICE = ["--cert", file("alice.pem"), "--key", file("alice.key")];
const STRANGER = ["--cert", file("stranger.pem"), "--key", file("stranger.key")];
const SPOOFED = ["-H", "X-Client-Subject: CN=root", "-H", "x_client_fingerprint: 00"];

/** What the last request told the backend of its client. */
function told(): (string | undefined)[] {
  const last = backend.requests.at(-1);
  assert.equal(last?.headers.get("x_client_fingerprint"), undefined);
  return [last?.headers.get("x-client-subject"), last?.headers.get("x-client-fingerprint")];
}

test("a client with a certificate is let in, and the backend hears who it is, not what it says", async () => {
  for (const port of [proxy.port, optional]) {
    const answer = await curl(port, ...ALICE, ...SPOOFED);
    assert.match(answer.text, /^HTTP\/1\.1 200 OK/);
    assert.deepEqual(told(), ["CN=alice", alice.fingerprint]);
  }
});

test("without a certificate: refused where one is required, else let in without a word of it", async () => {
  for (const version of ["1.2", "1.3"]) {
    const before = backend.count;
    const refused = await curl(proxy.port, "--tls-max", version);
    assert.notEqual(refused.code, 0);
    assert.equal(backend.count, before);
    const answer = await curl(optional, "--tls-max", version, ...SPOOFED);
    assert.match(answer.text, /^HTTP\/1\.1 200 OK/);
    assert.deepEqual(told(), [undefined, undefined]);
  }
});

test("a certificate of somebody else is refused, also where none is required; the log says why", async () => {
  const before = backend.count;
  for (const port of [proxy.port, optional]) {
    const { text } = await openssl(
      port,
      ["-cert", file("stranger.pem"), "-key", file("stranger.key"), "-ign_eof"],
      closing("/"),
    );
    assert.match(text, /alert (unknown ca|bad certificate)/);
    assert.notEqual((await curl(port, ...STRANGER)).code, 0);
  }
  assert.equal(backend.count, before);
  const line = /TLS handshake of 127\.0\.0\.1:\d+ for a\.test on [\d.:]+ failed: invalid_certificate/;
  await until("the log says why", () => line.test(proxy.output));
});

test("TLS-16: a certificate that nobody asked for is not sent, and the client is served", async () => {
  const { text } = await openssl(
    plain,
    ["-cert", file("stranger.pem"), "-key", file("stranger.key"), "-ign_eof"],
    closing("/"),
  );
  assert.match(text, /HTTP\/1\.1 200 OK/);
  assert.deepEqual(told(), [undefined, undefined]);
});
