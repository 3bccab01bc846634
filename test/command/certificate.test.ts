// Certificates (spec 8.1, decisions 33): what is read from them, what is refused, what the state does with them, and that
// private keys show nowhere but in saved states.

import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { certificateNotes, coversHost } from "../../src/command/certificate.ts";
import { fieldChanges } from "../../src/command/diff-fields.ts";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { ClusterSchema, ResponseContentSchema } from "../../src/command/gen/sozu_pb.ts";
import { oneofToPrettyJson } from "../../src/command/json.ts";
import { okResponse, request } from "../../src/command/messages.ts";
import { storedNotes } from "../../src/command/notes.ts";
import { decodeRecords, encodeRecords } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import { describeClusters, listCertificates, listListeners } from "../../src/main/queries.ts";
import { type MadeCertificate, makeCertificate } from "./certs.ts";
import { addCluster, addHttpsFrontend, addHttpsListener, address } from "./requests.ts";

const AT = "0.0.0.0:8443";
const root = makeCertificate({ commonName: "Root", names: [] });
const middle = makeCertificate({ commonName: "Middle", names: [], issuer: root });
const leaf = makeCertificate({ names: ["Shop.test", "*.shop.test"], issuer: middle });
const other = makeCertificate({ names: ["other.test"] });

function add(made: MadeCertificate, more: object = {}): Request {
  const certificate = { certificate: made.pem, certificateChain: [], key: made.key, versions: [], names: [], ...more };
  return request({ case: "addCertificate", value: { address: address(AT), certificate } });
}

function replace(old: string, made: MadeCertificate, more: object = {}): Request {
  const newCertificate = {
    certificate: made.pem,
    certificateChain: [],
    key: made.key,
    versions: [],
    names: [],
    ...more,
  };
  return request({ case: "replaceCertificate", value: { address: address(AT), newCertificate, oldFingerprint: old } });
}

function remove(fingerprint: string): Request {
  return request({ case: "removeCertificate", value: { address: address(AT), fingerprint } });
}

function taken(state: ConfigState, one: Request): number {
  const result = state.apply(one, "socket");
  assert.ok(result.ok, result.ok ? "" : result.error.message);
  return result.steps.length;
}

function refusal(one: Request, state: ConfigState = new ConfigState()): string {
  const before = state.hash();
  const result = state.apply(one, "socket");
  assert.ok(!result.ok, "it was accepted");
  assert.deepEqual(state.hash(), before);
  assert.doesNotMatch(result.error.message, /PRIVATE/);
  return result.error.message;
}

function objects(state: ConfigState) {
  return [...state.certificates.entries.values()].map((entry) => entry.object);
}

test("a certificate is known by its fingerprint, its names come from it, in small letters", () => {
  const state = new ConfigState();
  assert.equal(taken(state, add(leaf, { certificateChain: [middle.pem, root.pem] })), 1);
  const [found] = objects(state);
  assert.equal(found?.fingerprint, leaf.fingerprint);
  assert.deepEqual(found?.names, ["shop.test", "*.shop.test"]);
  assert.equal(found?.notAfter, Date.parse("2120-01-01") / 1000);
  assert.equal(found?.expiresAt, found?.notAfter);
  // Once more: fine, and no change.
  assert.equal(taken(state, add(leaf)), 0);
  const [message] = [...state.certificates.entries.values()].map((entry) => entry.message);
  assert.deepEqual(message?.certificate?.names, ["shop.test", "*.shop.test"]);
});

test("names: those given win, the common name counts without others, what is no host name is left out", () => {
  const namesOf = (one: Request) => {
    const state = new ConfigState();
    taken(state, one);
    return objects(state)[0]?.names;
  };
  assert.deepEqual(namesOf(add(leaf, { names: ["Given.test."] })), ["given.test"]);
  assert.deepEqual(namesOf(add(makeCertificate({ names: [] }))), ["common.test"]);
  const odd = makeCertificate({ names: ["ok.test", "a b", 'x", DNS:evil.test', "*", "-", "a..b", "[::1]"] });
  assert.deepEqual(namesOf(add(odd)), ["ok.test", "-"]);
});

test("expired_at of the request decides the order, not the dates", () => {
  const certificate = { certificate: leaf.pem, certificateChain: [], key: leaf.key, versions: [], names: [] };
  const state = new ConfigState();
  const value = { address: address(AT), certificate, expiredAt: 5n };
  taken(state, request({ case: "addCertificate", value }));
  assert.equal(objects(state)[0]?.expiresAt, 5);
});

test("keys in SEC1 and PKCS#1 and other curves are read, also behind other blocks of a file", () => {
  const sec1 = createPrivateKey(leaf.key).export({ type: "sec1", format: "pem" }) as string;
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  for (const one of [
    add(leaf, { key: sec1 }),
    add(leaf, { key: parameters + sec1 }),
    add(leaf, { certificate: `subject=CN\n${leaf.pem}` }),
    add(makeCertificate({ curve: "P-384" })),
    // The whole chain in one file, the leaf in the chain once more.
    add(leaf, { certificate: leaf.pem + middle.pem, certificateChain: [root.pem] }),
    add(leaf, { certificateChain: [leaf.pem + middle.pem + root.pem] }),
  ]) {
    assert.equal(taken(new ConfigState(), one), 1);
  }
});

test("decisions 33: unparsable, mismatched and broken are refused, with the field, never with the key", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const locked = rsa.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }) as string;
  const dsa = generateKeyPairSync("ed448").privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  const cases: [Request, RegExp][] = [
    [add(leaf, { certificate: "" }), /'certificate.certificate': it holds no certificate in PEM/],
    [
      add(leaf, { certificate: leaf.pem.replace(/\n[A-Za-z]/, "\n!") }),
      /'certificate.certificate': a certificate of it/,
    ],
    [add(leaf, { certificate: leaf.pem.slice(0, 200) }), /'certificate.certificate': it holds no certificate/],
    [add(leaf, { certificate: "x".repeat(70_000) }), /'certificate.certificate': it is longer than 65536 bytes/],
    [add(leaf, { key: "" }), /'certificate.key': it holds no private key in PEM/],
    [add(leaf, { key: leaf.key.slice(0, 80) }), /'certificate.key': it holds no private key/],
    [add(leaf, { key: other.key }), /'certificate.key': it is not the key of this certificate/],
    [add(leaf, { key: locked }), /'certificate.key': it is encrypted/],
    [add(leaf, { key: dsa }), /'certificate.key': keys of the kind ed448/],
    [
      add(leaf, { certificateChain: [root.pem] }),
      /'certificate.certificate_chain': certificate 1 of the chain did not/,
    ],
    [add(leaf, { certificateChain: [middle.pem, other.pem] }), /certificate 2 of the chain did not issue/],
    [add(leaf, { certificateChain: ["none"] }), /'certificate.certificate_chain\[0\]': it holds no certificate/],
    [add(leaf, { certificateChain: new Array(11).fill(middle.pem) }), /there are more than 10/],
    [add(leaf, { names: ["a b"] }), /'certificate.names\[0\]'/],
    [add(leaf, { names: ["*"] }), /'certificate.names\[0\]': expected example.com/],
    [remove("abc"), /'fingerprint': expected 64 hexadecimal digits/],
  ];
  for (const [one, expected] of cases) assert.match(refusal(one), expected);
});

test("an issuer of the same name with another key is a broken chain", () => {
  const forged = makeCertificate({ commonName: "Middle", names: [], issuer: root });
  assert.match(refusal(add(leaf, { certificateChain: [forged.pem] })), /did not issue/);
});

test("dates and names that do not fit are notes, not refusals", () => {
  const now = Date.parse("2026-11-20") / 1000;
  const notes = (made: MadeCertificate): string[] => {
    const state = new ConfigState();
    taken(state, add(made));
    assert.deepEqual(storedNotes(state, add(made), now), certificateNotes(objects(state)[0]!, now));
    return storedNotes(state, add(made), now);
  };
  assert.deepEqual(notes(leaf), []);
  assert.match(notes(makeCertificate({ notAfter: new Date("2021-01-01") }))[0]!, /expired on 2021-01-01T00:00:00/);
  assert.match(notes(makeCertificate({ notBefore: new Date("2030-01-01") }))[0]!, /is not valid before 2030/);
  assert.match(notes(makeCertificate({ names: ["a b"] }))[0]!, /has no host name/);
  const state = new ConfigState();
  taken(state, add(leaf));
  assert.deepEqual(storedNotes(state, addHttpsFrontend("www.shop.test"), now), []);
  assert.deepEqual(storedNotes(state, addHttpsFrontend("/.*/.test"), now), []);
  assert.deepEqual(storedNotes(state, addHttpsFrontend("nope.test"), now), [
    "no certificate of 0.0.0.0:8443 covers nope.test",
  ]);
});

test("a wildcard covers one label and itself, nothing else (RFC 6125 6.4.3)", () => {
  const names = ["a.test", "*.a.test"];
  for (const host of ["a.test", "b.a.test", "*.a.test"]) assert.ok(coversHost(names, host), host);
  for (const host of ["c.b.a.test", "*.b.a.test", "b.test", "test"]) assert.ok(!coversHost(names, host), host);
});

test("replace puts the new one in and the old one out; a refusal leaves the old one", () => {
  const state = new ConfigState();
  assert.equal(refusal(replace(leaf.fingerprint, other), state), `Did not find Certificate with address or id '${AT}'`);
  taken(state, add(leaf));
  assert.match(refusal(replace(leaf.fingerprint, other, { key: leaf.key }), state), /'new_certificate.key'/);
  assert.equal(taken(state, replace(leaf.fingerprint, leaf)), 0);
  assert.equal(taken(state, replace(leaf.fingerprint.toUpperCase(), other)), 2);
  assert.deepEqual(
    objects(state).map((each) => each.fingerprint),
    [other.fingerprint],
  );
  // An unknown old one is tolerated (spec 8.1).
  assert.equal(taken(state, replace("what", leaf)), 1);
  assert.equal(taken(state, remove(leaf.fingerprint)), 1);
  assert.equal(taken(state, remove(leaf.fingerprint)), 0);
});

test("CP-21: private keys are in saved states and in no list, hash or error", () => {
  const state = new ConfigState();
  taken(state, addHttpsListener(AT, { certificate: leaf.pem, key: leaf.key }));
  taken(state, add(leaf));
  const filters = { domain: "", fingerprint: "" } as never;
  for (const content of [listCertificates(state, filters), listListeners(state)]) {
    const message = okResponse("", content).content!;
    const json = oneofToPrettyJson(ResponseContentSchema, message);
    assert.match(json, /BEGIN CERTIFICATE/);
    assert.doesNotMatch(json, /PRIVATE KEY/);
  }
  const file = Buffer.concat([...encodeRecords(state.toRequests())]);
  const read = decodeRecords(file);
  const again = new ConfigState();
  for (const one of read.requests) taken(again, one);
  assert.deepEqual(again.hash(), state.hash());
  assert.match(file.toString(), /PRIVATE KEY/);
});

test("additions: a default certificate and an OCSP response come later, too, and stock clients leave them alone", () => {
  const state = new ConfigState();
  const response = Uint8Array.of(0x30, 3, 0x0a, 1, 0);
  taken(state, add(leaf));
  assert.equal(taken(state, add(leaf, { defaultCertificate: true })), 1);
  assert.equal(taken(state, add(leaf, { ocspResponse: response })), 1);
  assert.equal(taken(state, add(leaf, { ocspResponse: response, defaultCertificate: true })), 0);
  assert.equal(taken(state, add(leaf)), 0);
  assert.deepEqual([objects(state)[0]?.isDefault, objects(state)[0]?.ocspResponse], [true, "MAMKAQA="]);
  assert.match(
    refusal(add(leaf, { ocspResponse: Uint8Array.of(0x30) }), state),
    /'certificate.ocsp_response': it is no/,
  );
  assert.match(refusal(add(other, { ocspResponse: new Uint8Array(20_000) })), /longer than 16384 bytes/);
  // What replaces the default certificate is the default one.
  taken(state, replace(leaf.fingerprint, other));
  assert.deepEqual([objects(state)[0]?.fingerprint, objects(state)[0]?.isDefault], [other.fingerprint, true]);
  taken(state, replace(other.fingerprint, leaf, { defaultCertificate: false }));
  assert.equal(objects(state)[0]?.isDefault, false);
});

test("CP-21: the key of TLS to backends is in no list and in no difference, and survives what was listed", () => {
  const state = new ConfigState();
  const tls = { serverName: "b.test", certificate: other.pem, key: other.key };
  taken(state, addCluster("app", { tls }));
  const [facts] = [...describeClusters(state, ["app"]).values()];
  assert.equal(facts?.configuration.tls?.key, "");
  assert.equal(facts?.configuration.tls?.certificate, other.pem);
  taken(state, request({ case: "addCluster", value: { ...facts!.configuration, stickySession: true } }));
  const { object, message } = state.clusters.get("app")!;
  assert.deepEqual([object.tls?.key, object.stickySession], [other.key, true]);
  const changes = fieldChanges(ClusterSchema, create(ClusterSchema, { clusterId: "app" }), message);
  assert.ok(changes.some(({ field }) => field === "tls.key"));
  assert.doesNotMatch(JSON.stringify(changes), /PRIVATE KEY/);
  assert.match(refusal(addCluster("app", { tls: { ...tls, key: leaf.key } }), state), /'tls.key': it is not the key/);
  assert.match(refusal(addCluster("app", { tls: { ca: "x" } }), state), /'tls.ca': it holds no certificate/);
});

test("lists of certificates by fingerprint and by host", () => {
  const state = new ConfigState();
  taken(state, add(leaf));
  taken(state, add(other));
  const found = (filters: object): string[] => {
    const content = listCertificates(state, { domain: "", fingerprint: "", ...filters } as never);
    assert.ok(content.case === "certificatesWithFingerprints");
    return Object.keys(content.value.certs ?? {});
  };
  assert.deepEqual(found({}).sort(), [leaf.fingerprint, other.fingerprint].sort());
  assert.deepEqual(found({ domain: "WWW.shop.test" }), [leaf.fingerprint]);
  assert.deepEqual(found({ domain: "shop" }), []);
  assert.deepEqual(found({ fingerprint: other.fingerprint.toUpperCase() }), [other.fingerprint]);
  assert.deepEqual(found({ fingerprint: "00" }), []);
});
