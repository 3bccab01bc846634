// Identities, client certificates, verification of servers, OCSP staples, ALPN and refusals at the pause.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ENOBUFS, ENOENT } from "../../src/os/errno.ts";
import * as tls from "../../src/os/tls.ts";
import { type MadeCertificate, makeCertificate } from "../command/certs.ts";
import { arena } from "./descriptors.ts";
import { authority, context, identity, leaf, Pair, readAll, writeText } from "./tls-peers.ts";

afterEach(() => assert.deepEqual(tls.tlsHandles(), { contexts: 0, identities: 0, sessions: 0, resumptions: 0 }));

function reasonOf(result: number | tls.TlsRefusal): string {
  assert.ok(typeof result !== "number", "was accepted");
  return result.reason;
}

function causeOf(words: readonly number[]): string[] {
  const [cause = 0, sent = -1, received = -1] = words;
  return [
    tls.TLS_CAUSES[cause] ?? "?",
    sent < 0 ? "" : tls.tlsAlertName(sent),
    received < 0 ? "" : tls.tlsAlertName(received),
  ];
}

test("TLS-12 an identity that cannot serve is refused with the reason", () => {
  const other = makeCertificate({ names: ["example.com"], kind: "rsa" });
  assert.match(reasonOf(tls.createIdentity(leaf.pem, "", other.key)), /^key and certificate: key type mismatch/);
  assert.match(reasonOf(tls.createIdentity(leaf.pem, "", authority.key)), /^key and certificate: key values mismatch/);
  assert.match(reasonOf(tls.createIdentity("", "", leaf.key)), /^no certificate/);
  assert.match(reasonOf(tls.createIdentity("text", "", leaf.key)), /^no certificate/);
  assert.match(reasonOf(tls.createIdentity(leaf.pem, "", "")), /^private key/);
  const cut = leaf.pem.slice(0, 200);
  assert.match(reasonOf(tls.createIdentity(cut, "", leaf.key)), /certificate/);
  assert.match(reasonOf(tls.createIdentity(leaf.pem, cut, leaf.key)), /^certificate chain/);
  const broken = leaf.pem.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
  assert.match(reasonOf(tls.createIdentity(broken, "", leaf.key)), /certificate/);
  const weak = makeCertificate({ kind: "rsa", rsaBits: 1024 });
  assert.match(reasonOf(tls.createIdentity(weak.pem, "", weak.key)), /^certificate not usable: ee key too small/);
});

test("a key in PKCS#1 and SEC1 is read, one with a passphrase refused", () => {
  const rsa = makeCertificate({ kind: "rsa" });
  const ec = makeCertificate();
  const texts: [MadeCertificate, string][] = [
    [rsa, rsa.privateKey.export({ type: "pkcs1", format: "pem" }).toString()],
    [ec, ec.privateKey.export({ type: "sec1", format: "pem" }).toString()],
  ];
  for (const [certificate, key] of texts) {
    const handle = tls.createIdentity(certificate.pem, "", key);
    assert.ok(typeof handle === "number");
    tls.destroyIdentity(handle);
  }
  const secret = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
  const locked = ec.privateKey.export(secret).toString();
  assert.match(reasonOf(tls.createIdentity(ec.pem, "", locked)), /^private key/);
});

test("a context with options that OpenSSL does not know is refused with the reason", () => {
  assert.match(reasonOf(tls.createContext({ suites: ["TLS_RSA_WITH_RC4_128_MD5"] })), /suite/);
  assert.match(reasonOf(tls.createContext({ suites: [] })), /suite/);
  assert.match(reasonOf(tls.createContext({ groups: ["P-521"] })), /group/);
  assert.match(reasonOf(tls.createContext({ signatureAlgorithms: "nothing" })), /signature/);
  assert.match(reasonOf(tls.createContext({ authorities: "no PEM" })), /authorities/);
  assert.match(reasonOf(tls.createContext({ authorities: `${leaf.pem}${leaf.pem.slice(0, 200)}` })), /authorities/);
  assert.match(reasonOf(tls.createContext({ tickets: 65 })), /range/);
  assert.match(reasonOf(tls.createContext({ sessionIdContext: new Uint8Array(33) })), /range/);
});

test("the chain goes to the client without the leaf doubled, the root unneeded", () => {
  const middle = makeCertificate({ commonName: "Middle", names: [], isAuthority: true, issuer: authority });
  const end = makeCertificate({ names: ["example.com"], issuer: middle });
  const good = new Pair({ identity: identity(end, end.pem + middle.pem) }).open();
  good.free();
  const lonely = new Pair({ identity: identity(end) });
  const { client, clientFailure, serverFailure } = lonely.handshake();
  assert.equal(client, tls.HANDSHAKE_FAILED);
  assert.deepEqual(causeOf(clientFailure), ["invalid_certificate", "unknown_ca", ""]);
  assert.deepEqual(causeOf(serverFailure), ["alert_received", "", "unknown_ca"]);
  lonely.free();
});

test("two identities of different keys: the client gets the one that it can verify", () => {
  const rsa = identity(makeCertificate({ names: ["example.com"], kind: "rsa", issuer: authority }));
  for (const [suite, cipher] of [
    ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f],
    ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b],
  ] as const) {
    const pair = new Pair({ client: { maxVersion: tls.TLS12, suites: [suite] } });
    pair.decide = () => {
      assert.equal(tls.choose(pair.server, pair.serverContext, tls.ALPN_NONE, pair.identity), 0);
      assert.equal(tls.addIdentity(pair.server, rsa), 0);
    };
    pair.open();
    tls.readFacts(pair.server);
    assert.equal(tls.factWords[tls.FACT_CIPHER], cipher);
    pair.free();
  }
  tls.destroyIdentity(rsa);
});

const trusted = makeCertificate({ commonName: "Client, Inc", names: [], issuer: authority });
const stranger = makeCertificate({ commonName: "Stranger", names: [] });

function part(session: number, kind: number): Buffer {
  const length = tls.peerCertificate(session, kind, 0, 8000);
  assert.ok(length > 0, `part: ${length}`);
  return Buffer.from(arena.subarray(0, length));
}

for (const maxVersion of [tls.TLS12, tls.TLS13]) {
  const version = tls.tlsVersionName(maxVersion);
  const mutual = { maxVersion, authorities: authority.pem } as const;

  test(`a client certificate is verified and its facts are given, over ${version}`, () => {
    const own = identity(trusted);
    const pair = new Pair({ server: { ...mutual, verify: "required" }, clientIdentity: own }).open();
    writeText(pair.client, "hi");
    assert.equal(readAll(pair.server).text, "hi");
    tls.readFacts(pair.server);
    assert.deepEqual(Array.from(tls.factWords.subarray(5)), [0, 1]);
    assert.equal(part(pair.server, tls.PEER_SUBJECT).toString(), "CN=Client\\, Inc");
    assert.equal(part(pair.server, tls.PEER_ISSUER).toString(), "CN=Test CA");
    assert.equal(part(pair.server, tls.PEER_FINGERPRINT).toString("hex"), trusted.fingerprint);
    assert.match(part(pair.server, tls.PEER_SERIAL).toString(), /^[0-9A-F]{18}$/);
    assert.equal(part(pair.server, tls.PEER_PEM).toString(), trusted.pem);
    const der = Buffer.from(trusted.pem.replace(/-----.*-----/g, ""), "base64");
    assert.deepEqual(part(pair.server, tls.PEER_DER), der);
    assert.equal(tls.peerCertificate(pair.server, tls.PEER_PEM, 0, 10), -ENOBUFS);
    pair.free();
    tls.destroyIdentity(own);
  });

  test(`no or a foreign client certificate, required and optional, over ${version}`, () => {
    const foreign = identity(stranger);
    const none = new Pair({ server: { ...mutual, verify: "required" } });
    assert.equal(none.handshake().server, tls.HANDSHAKE_FAILED);
    none.free();
    const bad = new Pair({ server: { ...mutual, verify: "optional" }, clientIdentity: foreign });
    const { serverFailure } = bad.handshake();
    assert.deepEqual(causeOf(serverFailure).slice(0, 2), ["invalid_certificate", "unknown_ca"]);
    bad.free();
    const optional = new Pair({ server: { ...mutual, verify: "optional" } }).open();
    tls.readFacts(optional.server);
    assert.equal(tls.factWords[tls.FACT_HAS_CERTIFICATE], 0);
    assert.equal(tls.peerCertificate(optional.server, tls.PEER_DER, 0, 100), -ENOENT);
    optional.free();
    // TLS-16: nobody asked, so nothing is sent or looked at.
    const unasked = new Pair({ server: { maxVersion }, clientIdentity: foreign }).open();
    tls.readFacts(unasked.server);
    assert.equal(tls.factWords[tls.FACT_HAS_CERTIFICATE], 0);
    unasked.free();
    tls.destroyIdentity(foreign);
  });

  test(`a client policy chosen at the pause counts, over ${version}`, () => {
    const strict = context({ ...mutual, verify: "required", sessionIdContext: Buffer.from("strict") });
    const own = identity(trusted);
    for (const clientIdentity of [-1, own]) {
      const pair = new Pair({ server: { maxVersion }, clientIdentity });
      pair.decide = () => assert.equal(tls.choose(pair.server, strict, tls.ALPN_NONE, pair.identity), 0);
      const { server } = pair.handshake();
      assert.equal(server, clientIdentity === -1 ? tls.HANDSHAKE_FAILED : tls.HANDSHAKE_DONE);
      pair.free();
    }
    tls.destroyContext(strict);
    tls.destroyIdentity(own);
  });
}

test("versions, suites and groups chosen at the pause count", () => {
  const narrow = context({
    maxVersion: tls.TLS12,
    suites: ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
    groups: ["P-384"],
  });
  const pair = new Pair();
  pair.decide = () => assert.equal(tls.choose(pair.server, narrow, tls.ALPN_NONE, pair.identity), 0);
  pair.open();
  tls.readFacts(pair.server);
  assert.deepEqual(Array.from(tls.factWords.subarray(0, 3)), [tls.TLS12, 0xcca9, 24]);
  pair.free();
  tls.destroyContext(narrow);
});

test("a suite of TLS 1.3 chosen at the pause counts", () => {
  const narrow = context({ suites: ["TLS13_CHACHA20_POLY1305_SHA256"] });
  const pair = new Pair();
  pair.decide = () => assert.equal(tls.choose(pair.server, narrow, tls.ALPN_NONE, pair.identity), 0);
  pair.open();
  tls.readFacts(pair.server);
  assert.deepEqual(Array.from(tls.factWords.subarray(0, 2)), [tls.TLS13, 0x1303]);
  pair.free();
  tls.destroyContext(narrow);
});

test("a client verifies name, address, issuer and dates of a server", () => {
  const expired = makeCertificate({ names: ["example.com"], issuer: authority, notAfter: new Date("2021-01-01") });
  const wildcard = makeCertificate({ names: ["*.example.com"], issuer: authority });
  const cases: [MadeCertificate, string, string][] = [
    [leaf, "other.example.com", "bad_certificate"],
    [leaf, "127.0.0.1", "bad_certificate"],
    [expired, "example.com", "certificate_expired"],
    [stranger, "example.com", "unknown_ca"],
    [wildcard, "a.b.example.com", "bad_certificate"],
  ];
  for (const [certificate, expectedHost, alert] of cases) {
    const pair = new Pair({ identity: identity(certificate), expectedHost });
    const { client, clientFailure } = pair.handshake();
    assert.equal(client, tls.HANDSHAKE_FAILED, `${expectedHost} ${alert}`);
    assert.equal(causeOf(clientFailure)[0], "invalid_certificate");
    assert.ok([alert, "certificate_unknown", "bad_certificate"].includes(causeOf(clientFailure)[1] ?? ""), alert);
    pair.free();
  }
  new Pair({ identity: identity(wildcard), expectedHost: "a.example.com" }).open().free();
  new Pair({ identity: identity(stranger), client: { verify: "none" }, expectedHost: "" }).open().free();
});

test("ALPN: what TypeScript has chosen is agreed on, nothing when it chose none", () => {
  for (const [alpn, name] of [
    [tls.ALPN_H2, tls.ALPN_H2],
    [tls.ALPN_HTTP11, tls.ALPN_HTTP11],
    [tls.ALPN_NONE, tls.ALPN_NONE],
  ]) {
    const pair = new Pair({ alpn, client: { alpn: ["h2", "http/1.1"] } }).open();
    for (const session of [pair.server, pair.client]) {
      tls.readFacts(session);
      assert.equal(tls.factWords[tls.FACT_ALPN], name);
    }
    pair.free();
  }
});

test("a refusal at the pause sends its alert", () => {
  for (const alert of [
    tls.ALERT_UNRECOGNIZED_NAME,
    tls.ALERT_NO_APPLICATION_PROTOCOL,
    tls.ALERT_ACCESS_DENIED,
    tls.ALERT_HANDSHAKE_FAILURE,
  ]) {
    const pair = new Pair();
    pair.decide = () => assert.equal(tls.refuse(pair.server, alert), 0);
    const { serverFailure, clientFailure } = pair.handshake();
    assert.deepEqual(causeOf(serverFailure), ["refused", tls.tlsAlertName(alert), ""]);
    assert.deepEqual(causeOf(clientFailure), ["alert_received", "", tls.tlsAlertName(alert)]);
    pair.free();
  }
});

test("a choice without an identity fails with handshake_failure", () => {
  const pair = new Pair();
  pair.decide = () => assert.equal(tls.choose(pair.server, pair.serverContext, tls.ALPN_NONE, -1), 0);
  assert.equal(causeOf(pair.handshake().serverFailure)[1], "handshake_failure");
  pair.free();
});
