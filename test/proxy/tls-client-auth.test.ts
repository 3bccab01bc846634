// Certificates of clients (an addition): who is let in, and what backends hear of it.

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import type { ClientAuthObject } from "../../src/command/objects-tls.ts";
import { METRIC_CLIENT_CONNECTIONS } from "../../src/observe/metrics.ts";
import { METRIC_TLS_HANDSHAKE_FAILED_INVALID_CERTIFICATE } from "../../src/observe/metrics-tls.ts";
import { tlsHandles } from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import { Rig } from "./rig.ts";
import { connectSecure, listenSecure } from "./secure.ts";
import { type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
const { values } = rig.stats;
after(() => rig.stop());

const clientAuthority = makeCertificate({ commonName: "Client CA", names: [], isAuthority: true });
const alice = makeCertificate({ commonName: "alice, of accounting", names: ["alice"], issuer: clientAuthority });
const mallory = makeCertificate({ commonName: "alice, of accounting", names: ["alice"] });

let backend: RawBackend;
const clients: Peer[] = [];

beforeEach(async () => {
  backend = await RawBackend.start();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  backend.close();
  while (values[METRIC_CLIENT_CONNECTIONS] > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(tlsHandles().sessions, 0);
});

function listen(auth: Partial<ClientAuthObject> = {}): number {
  const clientAuth: ClientAuthObject = {
    required: true,
    ca: clientAuthority.pem,
    subjectHeader: "X-Client-Subject",
    fingerprintHeader: "X-Client-Fingerprint",
    ...auth,
  };
  return listenSecure(rig, [backend.port], { listener: { clientAuth } });
}

/** What the backend gets of a request with these lines. */
async function headAtBackend(port: number, made: typeof alice | null, lines: string): Promise<string> {
  const peer = await connectSecure(port, made === null ? {} : { cert: made.pem, key: made.key });
  clients.push(peer);
  peer.send(`GET / HTTP/1.1\r\nHost: example.com\r\n${lines}\r\n`);
  const back = await backend.connection();
  return await back.has("\r\n\r\n");
}

const SPOOFED =
  "X-Client-Subject: CN=root\r\nx-client-fingerprint: 00\r\nX_Client_Subject: CN=root\r\nX-Client_Fingerprint: 1\r\n";

test("a client's certificate is told to the backend, and what the client says itself is dropped", async () => {
  const head = await headAtBackend(listen(), alice, SPOOFED);
  assert.match(head, /\r\nX-Client-Subject: CN=alice\\, of accounting\r\n/);
  assert.ok(head.includes(`\r\nX-Client-Fingerprint: ${alice.fingerprint}\r\n`), head);
  assert.ok(!head.includes("CN=root"), head);
  assert.equal(head.toLowerCase().split(/x.client.fingerprint/).length, 2);
});

test("where a certificate is optional, a client without one is let in, and no header of it gets through", async () => {
  const head = await headAtBackend(listen({ required: false }), null, SPOOFED);
  assert.doesNotMatch(head, /x.client.(subject|fingerprint)/i);
});

test("no header is asked for: none is added", async () => {
  const head = await headAtBackend(listen({ subjectHeader: null, fingerprintHeader: null }), alice, "");
  assert.doesNotMatch(head, /client/i);
});

test("TLS-16: a missing, a foreign and an unknown certificate are refused", async () => {
  const before = values[METRIC_TLS_HANDSHAKE_FAILED_INVALID_CERTIFICATE];
  for (const [port, made] of [
    [listen(), null],
    [listen(), mallory],
    [listen({ required: false }), mallory],
  ] as const) {
    const options = made === null ? {} : { cert: made.pem, key: made.key };
    await assert.rejects(connectSecure(port, { ...options, maxVersion: "TLSv1.2" }));
  }
  assert.equal(values[METRIC_TLS_HANDSHAKE_FAILED_INVALID_CERTIFICATE] - before, 3);
});
