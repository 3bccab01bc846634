// HTTPS objects of the state: what workers hear of listeners, frontends and certificates, and in which order.

import assert from "node:assert/strict";
import test from "node:test";
import { diff } from "../../src/command/diff.ts";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { ConfigState } from "../../src/command/state.ts";
import { makeCertificate } from "./certs.ts";
import { addHttpsFrontend, addHttpsListener, addListener, address, onListener, onOther } from "./requests.ts";

const AT = "0.0.0.0:8443";
const made = makeCertificate({ names: ["a.test"] });

function addCertificate(): Request {
  const certificate = { certificate: made.pem, certificateChain: [], key: made.key, versions: [], names: [] };
  return request({ case: "addCertificate", value: { address: address(AT), certificate } });
}

function kinds(state: ConfigState, one: Request): string[] {
  const result = state.apply(one, "socket");
  assert.ok(result.ok, result.ok ? "" : result.error.message);
  return result.changes.map((change) => change.kind);
}

test("workers hear of listeners, frontends and certificates; removing a listener leaves the others in the state", () => {
  const state = new ConfigState();
  assert.deepEqual(kinds(state, addHttpsListener(AT)), ["add_https_listener"]);
  assert.deepEqual(kinds(state, onOther("activateListener", 1, AT)), ["activate_https_listener"]);
  assert.deepEqual(kinds(state, addCertificate()), ["add_certificate"]);
  assert.deepEqual(kinds(state, addCertificate()), []);
  assert.deepEqual(kinds(state, addHttpsFrontend("a.test")), ["add_https_frontend"]);
  assert.deepEqual(kinds(state, onOther("removeListener", 1, AT)), [
    "deactivate_https_listener",
    "remove_https_listener",
  ]);
  // A worker lost them with the listener, so it hears of them again.
  assert.deepEqual(kinds(state, addHttpsListener(AT)), ["add_https_listener", "add_certificate", "add_https_frontend"]);
});

test("an HTTP and an HTTPS listener may have one address, but only one of them is active", () => {
  const state = new ConfigState();
  for (const one of [addListener(AT), addHttpsListener(AT), onListener("activateListener", AT)]) kinds(state, one);
  const refused = state.apply(onOther("activateListener", 1, AT), "socket");
  assert.ok(!refused.ok);
  assert.equal(refused.error.message, `the HttpListener at ${AT} is active: deactivate it first`);
  kinds(state, onListener("deactivateListener", AT));
  assert.deepEqual(kinds(state, onOther("activateListener", 1, AT)), ["activate_https_listener"]);
  assert.ok(!state.apply(onListener("activateListener", AT), "socket").ok);
});

test("a reload that changes the protocol of an address deactivates before it activates", () => {
  const before = new ConfigState();
  for (const one of [addListener(AT), onListener("activateListener", AT)]) kinds(before, one);
  const after = new ConfigState();
  for (const one of [addHttpsListener(AT), onOther("activateListener", 1, AT)]) kinds(after, one);
  for (const one of diff(before, after).requests) kinds(before, one);
  assert.deepEqual(before.hash(), after.hash());
  assert.equal(before.httpsListeners.get(AT)?.object.active, true);
});
