// HTTPS in the configuration file (spec 2.4 to 2.8): certificate files of listeners and frontends, and what is said of them.

import assert from "node:assert/strict";
import test from "node:test";
import { parseConfig } from "../../src/config/parse.ts";
import { makeCertificate } from "../command/certs.ts";

const root = makeCertificate({ commonName: "Root", names: [] });
const shop = makeCertificate({ names: ["shop.test"], issuer: root });
const old = makeCertificate({ names: ["old.test"], notAfter: new Date("2021-01-01") });
const FILES: Readonly<Record<string, string>> = {
  "/etc/sozu/shop.pem": shop.pem,
  "/etc/sozu/root.pem": root.pem,
  "/etc/sozu/shop.key": shop.key,
  "/etc/sozu/old.pem": old.pem,
  "/etc/sozu/old.key": old.key,
  "/etc/sozu/none.pem": "nothing",
  // Binary files are read as base64.
  "/etc/sozu/good.ocsp": Buffer.of(0x30, 3, 0x0a, 1, 0).toString("base64"),
  "/etc/sozu/bad.ocsp": Buffer.of(0x30, 3, 0x0a, 1, 6).toString("base64"),
};

function parse(text: string) {
  const readFile = (path: string) => FILES[path] ?? { reason: `there is no file ${path}` };
  const nowSeconds = Date.parse("2026-11-20") / 1000;
  return parseConfig(text, { file: "config.toml", folder: "/etc/sozu", readFile, nowSeconds });
}

async function good(text: string) {
  const result = await parse(text);
  assert.ok(result.ok, result.ok ? "" : result.text);
  const cases = result.requests.map((one) => one.requestType.case);
  return { result, cases, warnings: result.warnings.map((warning) => warning.message) };
}

async function reasons(text: string): Promise<string[]> {
  const result = await parse(text);
  assert.ok(!result.ok);
  assert.doesNotMatch(result.text, /PRIVATE/);
  return result.problems.filter((one) => one.severity === "error").map((one) => one.message);
}

const CLUSTER = '[clusters.shop]\nprotocol = "http"\nbackends = [{ address = "10.0.0.1:80" }]\n';
const NOT_OFFERED = "alpn_protocols: h2 is not offered, HTTP/2 is not built yet";

test("a frontend with certificate and key gets its certificate, itself and a listener", async () => {
  const files = 'certificate = "shop.pem", certificate_chain = "root.pem", key = "shop.key"';
  const { cases, warnings, result } = await good(
    `${CLUSTER}frontends = [{ address = "0.0.0.0:8443", hostname = "shop.test", ${files}, hsts = { enabled = true } }]\n`,
  );
  assert.deepEqual(cases, [
    "addHttpsListener",
    "addCluster",
    "addCertificate",
    "addHttpsFrontend",
    "addBackend",
    "activateListener",
  ]);
  assert.deepEqual(warnings, [NOT_OFFERED]);
  const [entry] = [...result.state.certificates.entries.values()];
  assert.deepEqual(entry?.object.names, ["shop.test"]);
  assert.equal(entry?.object.chain.length, 1);
  const [frontend] = [...result.state.httpsFrontends.entries.values()];
  assert.deepEqual(frontend?.object.hsts?.maxAge, 31_536_000);
  const listener = result.state.httpsListeners.get("0.0.0.0:8443")?.message;
  // Written out, since a stock proxy has no defaults of its own for these.
  assert.equal(listener?.cipherList.length, 9);
  assert.deepEqual(listener?.alpnProtocols, ["h2", "http/1.1"]);
  assert.deepEqual(listener?.versions, [4, 5]);
});

test("the certificate of a listener serves its frontends without one; the listener itself holds no key", async () => {
  const listener =
    '[[listeners]]\nprotocol = "https"\naddress = "0.0.0.0:8443"\ncertificate = "shop.pem"\nkey = "shop.key"\n';
  const { result, warnings } = await good(
    `${listener}${CLUSTER}frontends = [{ address = "0.0.0.0:8443", hostname = "www.test" }]\n`,
  );
  assert.equal(result.state.certificates.size, 1);
  assert.equal(result.state.httpsFrontends.size, 1);
  assert.equal(result.state.httpsListeners.get("0.0.0.0:8443")?.message.key, "");
  assert.deepEqual(warnings, [NOT_OFFERED, "certificate: it does not cover www.test"]);
});

test("the certificate of a listener is its default, also without frontends, once", async () => {
  const { result, cases } = await good(`${LISTENER}${CLUSTER}frontends = [${FRONTEND}]\n`);
  assert.equal(cases.filter((name) => name === "addCertificate").length, 2);
  const [entry, ...more] = [...result.state.certificates.entries.values()];
  assert.deepEqual([entry?.object.isDefault, more.length], [true, 0]);
  const alone = await good(`${LISTENER}${CLUSTER}frontends = []\n`);
  assert.equal([...alone.result.state.certificates.entries.values()][0]?.object.isDefault, true);
  const own = await good(
    `${CLUSTER}frontends = [${FRONTEND.replace("}", ', certificate = "shop.pem", key = "shop.key" }')}]\n`,
  );
  assert.equal([...own.result.state.certificates.entries.values()][0]?.object.isDefault, false);
});

test("additions: certificates of clients, TLS to backends, OCSP responses are read from files", async () => {
  const auth =
    'client_auth = { ca = "root.pem", required = false, subject_header = "X-Subject" }\nocsp_response = "good.ocsp"\n';
  const tls = 'tls = { ca = "root.pem", server_name = "App.Internal", certificate = "shop.pem", key = "shop.key" }\n';
  const { result } = await good(`${LISTENER}${auth}${CLUSTER}${tls}frontends = [${FRONTEND}]\n`);
  assert.deepEqual(result.state.httpsListeners.get("0.0.0.0:8443")?.object.clientAuth, {
    required: false,
    ca: root.pem,
    subjectHeader: "X-Subject",
    fingerprintHeader: null,
  });
  assert.deepEqual(result.state.clusters.get("shop")?.object.tls, {
    verify: true,
    ca: root.pem,
    serverName: "app.internal",
    certificate: shop.pem,
    key: shop.key,
  });
  assert.equal([...result.state.certificates.entries.values()][0]?.object.ocspResponse, FILES["/etc/sozu/good.ocsp"]);
});

test("what of them can never work is an error where it is written", async () => {
  const listener = (more: string): Promise<string[]> => reasons(`${LISTENER}${more}\n${CLUSTER}frontends = []\n`);
  const cluster = (tls: string): Promise<string[]> => reasons(`${CLUSTER}tls = ${tls}\nfrontends = []\n`);
  assert.match((await listener("client_auth = { required = true }"))[0]!, /missing key "ca"/);
  assert.match((await listener('client_auth = { ca = "none.pem" }'))[0]!, /it holds no certificate in PEM/);
  assert.match((await listener('client_auth = { ca = "root.pem", subject_header = "a b" }'))[0]!, /is not a token/);
  assert.match((await listener('client_auth = { ca = "root.pem", subject_header = "Content-Length" }'))[0]!, /frames/);
  assert.match((await listener('ocsp_response = "bad.ocsp"'))[0]!, /no successful OCSP response/);
  assert.match((await cluster('{ ca = "none.pem" }'))[0]!, /it holds no certificate/);
  assert.match((await cluster('{ server_name = "*.a.test" }'))[0]!, /expected a host name/);
  assert.match((await cluster('{ server_name = "10.0.0.1" }'))[0]!, /expected a host name/);
  assert.match((await cluster('{ certificate = "shop.pem" }'))[0]!, /holds no private key/);
  assert.match((await cluster('{ certificate = "shop.pem", key = "old.key" }'))[0]!, /not the key of this certificate/);
});

const LISTENER =
  '[[listeners]]\nprotocol = "https"\naddress = "0.0.0.0:8443"\ncertificate = "shop.pem"\nkey = "shop.key"\n';
const FRONTEND = '{ address = "0.0.0.0:8443", hostname = "shop.test" }';

test("decisions 33: a certificate that expired is a warning", async () => {
  const { warnings } = await good(
    `${CLUSTER}frontends = [{ address = "0.0.0.0:8443", hostname = "old.test", certificate = "old.pem", key = "old.key" }]\n`,
  );
  assert.match(warnings.join("\n"), /certificate: certificate [0-9a-f]{16} expired on 2021-01-01/);
});

test("certificates and keys that cannot be used are errors where they are named", async () => {
  const frontend = (files: string) =>
    `${CLUSTER}frontends = [{ address = "0.0.0.0:8443", hostname = "shop.test", ${files} }]\n`;
  const cases: [string, RegExp][] = [
    ['certificate = "no.pem", key = "shop.key"', /^certificate: there is no file \/etc\/sozu\/no.pem$/],
    ['certificate = "none.pem", key = "shop.key"', /it holds no certificate in PEM/],
    ['certificate = "shop.pem", key = "old.key"', /it is not the key of this certificate/],
    ['certificate = "shop.pem", certificate_chain = "old.pem", key = "shop.key"', /did not issue the one before it/],
    ['certificate = "shop.pem", certificate_chain = "none.pem", key = "shop.key"', /it holds no certificate in PEM/],
    ['certificate = "shop.pem"', /missing key "key"/],
    ['key = "shop.key"', /missing key "certificate"/],
  ];
  for (const [files, expected] of cases) {
    const found = await reasons(frontend(files));
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, expected);
  }
});
