// HTTPS through the whole product, with clients that are not ours: curl and openssl s_client (spec 8, 5.11; hardening TLS).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import nodeTls from "node:tls";
import { httpBackend } from "./lib/backend.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { fileScope, until } from "./lib/scope.ts";
import { authority, issue, type ProgramResult, runProgram, writeIdentity } from "./lib/secure.ts";

const first = issue({ names: ["a.test", "*.a.test"] });
const second = issue({ names: ["b.test"], kind: "rsa" });

const scope = fileScope();
const backend = await httpBackend(scope, (request, response) => {
  response.setHeader("x-seen", `${request.headers["x-forwarded-proto"]} ${request.headers["x-forwarded-port"]}`);
  response.end(`hello ${request.url}\n`);
});
const securePort = await freePort();
const proxy = await startSecure("");

function startSecure(listenerKeys: string, port = securePort): Promise<RunningProxy> {
  const frontends = ["a", "b"].map(
    (name) =>
      `{ address = "127.0.0.1:${port}", hostname = "${name}.test", certificate = "$FOLDER/${name}.pem", key = "$FOLDER/${name}.key" }`,
  );
  const toml = `
command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"

[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"

[[listeners]]
address = "127.0.0.1:${port}"
protocol = "https"
hsts = { enabled = true, max_age = 86400 }
${listenerKeys}

[clusters.app]
protocol = "http"
https_redirect = true
https_redirect_port = ${port}
frontends = [ { address = "127.0.0.1:$PORT", hostname = "a.test" }, ${frontends.join(", ")} ]
backends = [ { address = "127.0.0.1:${backend.port}" } ]
`;
  return startProxy(scope, {
    toml,
    before: (folder) => {
      writeFileSync(join(folder, "ca.pem"), authority.pem);
      for (const [name, made] of [
        ["a", first],
        ["b", second],
      ] as const) {
        writeIdentity(folder, name, made);
      }
    },
  });
}

function curl(...args: string[]): Promise<ProgramResult> {
  const resolve = ["a.test", "www.a.test", "b.test", "c.test"].flatMap((host) => [
    "--resolve",
    `${host}:${securePort}:127.0.0.1`,
  ]);
  return runProgram("curl", ["-sSi", "--cacert", join(proxy.folder, "ca.pem"), ...resolve, ...args]);
}

function client(args: readonly string[], input = "", port = securePort): Promise<ProgramResult> {
  const where = ["-connect", `127.0.0.1:${port}`, "-CAfile", join(proxy.folder, "ca.pem")];
  return runProgram(
    "openssl",
    ["s_client", ...where, ...(args.includes("-noservername") ? [] : ["-servername", "a.test"]), ...args],
    input,
  );
}

const REQUEST = "GET /s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

test("curl gets pages over HTTPS, the backend hears of it, the access log names it", async () => {
  const answer = await curl(`https://a.test:${securePort}/one`, `https://a.test:${securePort}/two`);
  assert.equal(answer.code, 0, answer.text);
  assert.match(answer.text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer.text, new RegExp(`x-seen: https ${securePort}`, "i"));
  assert.match(answer.text, /hello \/one\n[\s\S]*hello \/two\n/);
  const lines = await until("the access lines", () => {
    const found = proxy.accessLines.filter((line) => line.includes("GET /one") || line.includes("GET /two"));
    return found.length === 2 ? found : null;
  });
  for (const line of lines) assert.match(line, / https a\.test:\d+ GET \/(one|two) 200 \| H1::Complete$/);
});

test("each name has its certificate, a wildcard covers one label, an unknown name gets an alert", async () => {
  for (const host of ["www.a.test", "b.test"]) {
    const answer = await curl(`https://${host}:${securePort}/`);
    // www.a.test has no frontend; TLS is agreed on all the same.
    assert.equal(answer.code, 0, answer.text);
  }
  const unknown = await curl(`https://c.test:${securePort}/`);
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.text, /unrecognized name/);
});

test("8.3, 8.4: openssl speaks every version and suite of the listener", async () => {
  for (const suite of ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]) {
    const { text } = await client(["-tls1_3", "-ciphersuites", suite, "-ign_eof"], REQUEST);
    assert.match(text, new RegExp(`Cipher is ${suite}`));
    assert.match(text, /hello \/s/);
  }
  for (const suite of ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"]) {
    for (const [host, key] of [
      ["a.test", "ECDSA"],
      ["b.test", "RSA"],
    ] as const) {
      const name = `ECDHE-${key}-${suite}`;
      const request = REQUEST.replace("a.test", host);
      const { text } = await client(["-tls1_2", "-cipher", name, "-ign_eof", "-servername", host], request);
      assert.match(text, new RegExp(`Cipher is ${name}`));
      assert.match(text, /hello \/s/);
    }
  }
  for (const group of ["X25519", "P-256", "P-384"]) {
    const { text } = await client(["-groups", group, "-ign_eof"], REQUEST);
    assert.match(text, /hello \/s/, group);
  }
});

test("TLS-03 TLS-05 TLS-17: old versions, a fallback and weak suites are refused", async () => {
  for (const version of ["-tls1", "-tls1_1"]) {
    const { text } = await client([version, "-cipher", "ALL:@SECLEVEL=0"]);
    assert.match(text, /alert protocol version|protocol_version/, version);
  }
  const fallback = await client(["-tls1_2", "-fallback_scsv"]);
  assert.match(fallback.text, /inappropriate fallback/);
  for (const weak of ["aNULL", "eNULL", "AES128-SHA", "kDHE", "PSK", "AES256-GCM-SHA384"]) {
    const { text } = await client(["-tls1_2", "-cipher", `${weak}:@SECLEVEL=0`]);
    assert.doesNotMatch(text, /Verify return code: 0[\s\S]*Cipher is ECDHE/, weak);
    assert.match(text, /Cipher is \(NONE\)|no cipher match/, weak);
  }
});

test("TLS-04: renegotiation from the client is refused, and the connection does not live on it", async () => {
  const child = spawn("openssl", [
    "s_client",
    "-connect",
    `127.0.0.1:${securePort}`,
    "-servername",
    "a.test",
    "-tls1_2",
  ]);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      text += data.toString();
    });
  }
  await until("the session", () => text.includes("Verify return code"));
  child.stdin.write("R\n");
  await until("the refusal", () => /no renegotiation|alert|:error:/i.test(text));
  child.kill();
});

test("TLS-18 8.7: a request for another host of the proxy is answered 421", async () => {
  const answer = await curl("-H", "Host: b.test", `https://a.test:${securePort}/`);
  assert.match(answer.text, /^HTTP\/1\.1 421 Misdirected Request\r\n/);
  const covered = await curl("-H", "Host: A.Test.", `https://a.test:${securePort}/covered`);
  assert.match(covered.text, /hello \/covered/);
});

test("5.11: every answer of a frontend says Strict-Transport-Security; plain HTTP redirects and does not", async () => {
  const answer = await curl(`https://a.test:${securePort}/`);
  assert.match(answer.text, /\r\nStrict-Transport-Security: max-age=86400\r\n/);
  const plain = await runProgram("curl", [
    "-sSi",
    "--resolve",
    `a.test:${proxy.port}:127.0.0.1`,
    `http://a.test:${proxy.port}/x?y`,
  ]);
  assert.match(plain.text, /^HTTP\/1\.1 301 /);
  assert.match(plain.text, new RegExp(`\\r\\nLocation: https://a\\.test:${securePort}/x\\?y\\r\\n`));
  assert.doesNotMatch(plain.text, /Strict-Transport-Security/i);
});

test("certificates are replaced over the command socket while clients come and go: none fails, the new one is seen", async () => {
  let running = true;
  let handshakes = 0;
  const seen = new Set<string>();
  const clients = Array.from({ length: 4 }, async () => {
    while (running) {
      seen.add(await fingerprintSeen());
      handshakes++;
    }
  });
  let before = first.fingerprint;
  for (let i = 0; i < 5; i++) {
    const fresh = issue({ names: ["a.test", "*.a.test"] });
    // The chain may follow the leaf in its file.
    writeFileSync(join(proxy.folder, "fresh.pem"), fresh.pem + authority.pem);
    writeFileSync(join(proxy.folder, "fresh.key"), fresh.key);
    const file = (name: string): string => join(proxy.folder, name);
    const where = ["--address", `127.0.0.1:${securePort}`, "--fingerprint", before];
    const files = ["--new-certificate", file("fresh.pem")];
    const result = await proxy.run("certificate", "replace", ...where, ...files, "--new-key", file("fresh.key"));
    assert.equal(result.code, 0, result.stdout + result.stderr);
    before = fresh.fingerprint;
    assert.equal(await fingerprintSeen(), fresh.fingerprint, "a handshake after the answer has the new one");
  }
  assert.equal((await client(["-showcerts"])).text.match(/BEGIN CERTIFICATE/g)?.length, 2, "leaf and chain");
  running = false;
  await Promise.all(clients);
  assert.ok(handshakes > 20, `${handshakes} handshakes`);
  assert.ok(seen.size > 1);
});

/** The certificate of a new connection that carries a request. */
function fingerprintSeen(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = nodeTls.connect({ port: securePort, host: "127.0.0.1", servername: "a.test", ca: authority.pem });
    let text = "";
    socket.on("error", reject);
    socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
    socket.on("data", (data: Buffer) => {
      text += data.toString();
    });
    socket.on("end", () => {
      const fingerprint = socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase();
      socket.destroy();
      if (text.includes("hello")) resolve(fingerprint);
      else reject(new Error(`no answer: ${text}`));
    });
  });
}

test("a listener is patched, deactivated and activated without harm to open connections", async () => {
  const address = `127.0.0.1:${securePort}`;
  const must = async (...args: string[]): Promise<void> => {
    const result = await proxy.run(...args);
    assert.equal(result.code, 0, result.stdout + result.stderr);
  };
  await must("listener", "https", "update", "--address", address, "--no-strict-sni-binding");
  const other = await curl("-H", "Host: b.test", `https://a.test:${securePort}/loose`);
  assert.match(other.text, /hello \/loose/);
  await must("listener", "https", "update", "--address", address, "--strict-sni-binding");
  await must("listener", "https", "deactivate", "--address", address);
  assert.notEqual((await curl(`https://a.test:${securePort}/`)).code, 0);
  await must("listener", "https", "activate", "--address", address);
  assert.match((await curl(`https://a.test:${securePort}/back`)).text, /hello \/back/);
});
