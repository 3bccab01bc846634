// What HTTPS carries besides pages: WebSockets, the PROXY protocol in front of the handshake, OCSP responses, and what the
// access log says of TLS in both of its formats (spec 8.8, 10.3, 12.3; hardening PP-16, WS-01).

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setDefaultCACertificates } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import { type ProtobufAccessLog, ProtobufAccessLogSchema } from "../src/command/gen/sozu_pb.ts";
import { rawBackend } from "./lib/backend.ts";
import { startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";
import { authority, closing, exchange, issue, openssl, secureConnect, writeIdentity } from "./lib/secure.ts";
import { webSocketBackend } from "./lib/websocket.ts";

const made = issue({ names: ["a.test", "localhost"] });

interface Asked {
  readonly keys?: Readonly<Record<string, boolean | string>>;
  readonly settings?: Readonly<Record<string, boolean | string>>;
  readonly backend: number;
  readonly before?: (folder: string) => void;
}

function start(t: Scope, { keys = {}, settings = {}, backend, before }: Asked) {
  return startProxy(t, {
    settings,
    listener: { protocol: "https", certificate: "a.pem", key: "a.key", ...keys },
    clusters: { app: { frontends: ["a.test", "localhost"], backends: [backend] } },
    before: (folder) => {
      writeIdentity(folder, "a", made);
      before?.(folder);
    },
  });
}

test("WS-01: a WebSocket over TLS: messages of 1 B to 1 MB come back; the log names the tunnel", async (t) => {
  const backend = await webSocketBackend(t);
  const proxy = await start(t, { backend: backend.port });
  setDefaultCACertificates([authority.pem]);
  const socket = new WebSocket(`wss://localhost:${proxy.port}/chat`);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  for (const size of [1, 125, 126, 65_535, 65_536, 1_000_000]) {
    const sent = new Uint8Array(size).map((_, i) => (i * 7 + (i >> 11)) & 255);
    const reply = new Promise<ArrayBuffer>((resolve) => {
      socket.onmessage = (event) => resolve(event.data as ArrayBuffer);
    });
    socket.send(sent);
    assert.ok(Buffer.from(await reply).equals(sent), `${size} bytes`);
  }
  assert.match(backend.requests[0] as string, /^X-Forwarded-Proto: https\r?$/m);
  socket.close();
  const lines = await proxy.waitForAccessLines(2);
  assert.match(lines[0] as string, / https localhost:\d+ GET \/chat 101/);
  assert.match(lines[1] as string, / WSS-TLS1\.3 localhost:\d+ GET \/chat 101/);
});

test("PP-16: the PROXY protocol before the ClientHello names the client, also of a WebSocket; TLS without it is closed", async (t) => {
  const backend = await rawBackend(t, (request, peer) => {
    if (request.headers.get("upgrade") === undefined) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
      return;
    }
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
    peer.socket.removeAllListeners("data");
    peer.socket.on("data", (data: Buffer) => peer.socket.write(data));
  });
  const proxy = await start(t, { keys: { expect_proxy: true }, backend: backend.port });
  const header = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
  assert.match(await exchange(await secureConnect(proxy.port, {}, header), closing("/x")), /^HTTP\/1\.1 200 OK/);
  const request = backend.requests[0];
  assert.equal(request?.headers.get("x-forwarded-for"), "192.0.2.7");
  assert.equal(request?.headers.get("x-forwarded-proto"), "https");
  const socket = await secureConnect(proxy.port, {}, header);
  let text = "";
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
  });
  socket.write("GET /up HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
  await until("the protocols are switched", () => text.includes("101 Switching") && text.includes("\r\n\r\n"));
  socket.write("ping through the tunnel");
  await until("the echo", () => text.endsWith("ping through the tunnel"));
  socket.destroy();
  for (const line of await proxy.waitForAccessLines(3)) assert.match(line, /\] 192\.0\.2\.7:4711 127\.0\.0\.1:\d+ /);
  await assert.rejects(secureConnect(proxy.port));
});

test("an OCSP response is stapled for clients that ask", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await start(t, {
    keys: { ocsp_response: "a.der" },
    backend: backend.port,
    before: (folder) => writeFileSync(join(folder, "a.der"), ocspResponse(folder)),
  });
  for (const version of ["-tls1_2", "-tls1_3"]) {
    const asked = await openssl(proxy.port, [version, "-status"], closing("/"));
    assert.match(asked.text, /OCSP Response Status: successful \(0x0\)/);
    assert.match(asked.text, /Cert Status: good/);
    const { text } = await openssl(proxy.port, [version], closing("/"));
    assert.doesNotMatch(text, /OCSP Response Status/);
  }
});

/** Says that `made` is good, with `openssl ocsp` in the place of the authority. */
function ocspResponse(folder: string): Buffer {
  const path = (name: string): string => join(folder, name);
  writeIdentity(folder, "ca", authority);
  const serial = execFileSync("openssl", ["x509", "-in", path("a.pem"), "-noout", "-serial"], { encoding: "utf8" });
  writeFileSync(path("index.txt"), `V\t491231235959Z\t\t${serial.trim().slice("serial=".length)}\tunknown\t/CN=a\n`);
  const signer = ["-CA", path("ca.pem"), "-rsigner", path("ca.pem"), "-rkey", path("ca.key"), "-ndays", "7"];
  const query = ["-issuer", path("ca.pem"), "-cert", path("a.pem"), "-reqout", path("request.der"), "-no_nonce"];
  execFileSync("openssl", ["ocsp", ...query], { stdio: "ignore" });
  const answer = ["-index", path("index.txt"), "-reqin", path("request.der"), "-respout", path("response.der")];
  execFileSync("openssl", ["ocsp", ...answer, ...signer], { stdio: "ignore" });
  return readFileSync(path("response.der"));
}

test("12.2: access_logs_tls tells of TLS in text", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await start(t, { settings: { access_logs_tls: true }, backend: backend.port });
  await exchange(await secureConnect(proxy.port, { ALPNProtocols: ["http/1.1"] }), closing("/"));
  const [line] = await proxy.waitForAccessLines(1);
  const tags =
    / \[tls-version=TLSv1\.3, tls-cipher=TLS13_[A-Z0-9_]+, tls-group=\w+, tls-sni=a\.test, tls-alpn=http\/1\.1, tls-resumed=false\] None https /;
  assert.match(line as string, tags);
});

test("12.3: access_logs_format = protobuf", async (t) => {
  const backend = await rawBackend(t);
  const proxy = await start(t, { settings: { access_logs_format: "protobuf" }, backend: backend.port });
  await exchange(await secureConnect(proxy.port, { maxVersion: "TLSv1.2" }), closing("/one"));
  await exchange(await secureConnect(proxy.port), closing("/two"));
  const [one, two] = await until("two records", () => {
    const found = records(join(proxy.folder, "access.log"));
    return found.length === 2 ? found : null;
  });
  const paths = [one, two].map((record) =>
    record?.endpoint?.inner.case === "http" ? record.endpoint.inner.value.path : "",
  );
  assert.deepEqual(paths, ["/one", "/two"]);
  assert.deepEqual([one?.tlsVersion, two?.tlsVersion], ["TLSv1.2", "TLSv1.3"]);
  assert.equal(one?.tlsCipher, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
  assert.equal(two?.tlsSni, "a.test");
  assert.deepEqual([one?.clusterId, one?.protocol, one?.tag], ["app", "https", "WRK-00"]);
  assert.match(two?.xRequestId ?? "", /^[0-9A-Z]{26}$/);
  assert.equal(two?.xffChain, "127.0.0.1");
});

/** What a file holds: varint length, message, two zero bytes, again and again. */
function records(path: string): ProtobufAccessLog[] {
  const bytes = readFileSync(path);
  const found: ProtobufAccessLog[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    found.push(fromBinary(ProtobufAccessLogSchema, bytes.subarray(at, at + length)));
    at += length + 2;
  }
  return found;
}
