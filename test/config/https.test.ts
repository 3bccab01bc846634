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
