// Expiry warnings in main's log.

import assert from "node:assert/strict";
import test from "node:test";
import { request } from "../../src/command/messages.ts";
import { ConfigState } from "../../src/command/state.ts";
import { CertificateWatch } from "../../src/main/certificate-watch.ts";
import { makeCertificate } from "../command/certs.ts";
import { address } from "../command/requests.ts";

const DAY = 86_400;

test("what expires is said at the start and once a day, and no more when it was replaced", () => {
  const state = new ConfigState();
  const end = Date.parse("2026-12-01") / 1000;
  const made = makeCertificate({ names: ["a.test"], notAfter: new Date(end * 1000) });
  const certificate = { certificate: made.pem, certificateChain: [], key: made.key, versions: [], names: [] };
  const where = address("127.0.0.1:8443");
  assert.ok(state.apply(request({ case: "addCertificate", value: { address: where, certificate } }), "file").ok);
  const said: string[] = [];
  const watch = new CertificateWatch(state, { warn: (_part: string, text: string) => void said.push(text) });
  watch.tick(end - 30 * DAY);
  assert.deepEqual(said, []);
  watch.tick(end - 29.5 * DAY);
  watch.tick(end - 10 * DAY);
  watch.tick(end - 10 * DAY + 1);
  watch.tick(end - 9 * DAY);
  watch.tick(end + DAY);
  const which = `certificate ${made.fingerprint.slice(0, 16)} (a.test) of 127.0.0.1:8443`;
  assert.deepEqual(said, [
    `${which} expires in 10 days`,
    `${which} expires in 9 days`,
    `${which} expired 24 hours ago`,
  ]);
  const { fingerprint } = made;
  assert.ok(state.apply(request({ case: "removeCertificate", value: { address: where, fingerprint } }), "socket").ok);
  watch.tick(end + 5 * DAY);
  assert.equal(said.length, 3);
});
