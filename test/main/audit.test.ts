// What the audit trail says of each request: verbs as the counters are called, targets without secrets, and no verb that
// changes something is left out (oddity 19).

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { RequestSchema } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { ConfigState, changesState } from "../../src/command/state.ts";
import { Actors } from "../../src/main/actor.ts";
import { Audit, verbOf } from "../../src/main/audit.ts";
import type { AuditEvent, AuditLog } from "../../src/observe/audit.ts";

const ADDRESS = { ip: { inner: { case: "v4", value: 0x7f000001 } }, port: 80 } as const;

function trail(state = new ConfigState()) {
  const events: AuditEvent[] = [];
  const log = { record: (event: AuditEvent) => void events.push(event) } as unknown as AuditLog;
  const actors = new Actors();
  const client = actors.client({ uid: process.getuid?.() ?? 0, gid: 0, pid: process.pid });
  return { audit: new Audit(log, actors, () => state), client, events };
}

type Init = Parameters<typeof request>[0];

function targetOf(init: Init, state = new ConfigState()): string {
  const { audit, client, events } = trail(state);
  audit.begin(client, request(init))?.finish(null);
  return events[0].target;
}

test("verbs are those of spec 12.9", () => {
  const verbs = new Map<string, string>();
  for (const { localName } of RequestSchema.oneofs[0].fields) {
    verbs.set(localName, verbOf({ requestType: { case: localName } } as never));
  }
  assert.equal(verbs.get("addCluster"), "cluster_added");
  assert.equal(verbs.get("removeHttpsFrontend"), "https_frontend_removed");
  assert.equal(verbs.get("replaceCertificate"), "certificate_replaced");
  assert.equal(verbs.get("activateListener"), "listener_activated");
  assert.equal(verbs.get("addUdpListener"), "udp_listener_added");
  assert.equal(verbs.get("updateTcpListener"), "tcp_listener_updated");
  assert.equal(verbs.get("addBackend"), "backend_added");
  assert.equal(verbs.get("saveState"), "state_saved");
  assert.equal(verbs.get("Logging"), "logging_level_changed");
  assert.equal(verbs.get("hardStop"), "sozu_stop_requested");
  assert.equal(verbs.get("upgradeMain"), "main_upgraded");
});

test("oddity 19: everything that changes something is audited, questions are not", () => {
  const { audit, client } = trail();
  for (const { localName, message } of RequestSchema.oneofs[0].fields) {
    const name = localName as Parameters<typeof changesState>[0] & string;
    const init = { case: localName, value: message === undefined ? "" : create(message) } as Init;
    const audited = audit.begin(client, { requestType: init } as never) !== null;
    const question = /^(query|list|status|count|returnListen)/.test(localName);
    assert.equal(audited, !question, localName);
    if (changesState(name)) assert.ok(audited, localName);
  }
});

test("targets name what is changed", () => {
  const backend = { clusterId: "a", backendId: "b0", address: ADDRESS };
  assert.equal(targetOf({ case: "addBackend", value: backend }), "backend:a:b0:127.0.0.1:80");
  assert.equal(targetOf({ case: "removeCluster", value: "x,y=z\n" }), "cluster:x?y?z?");
  const frontend = { address: ADDRESS, hostname: "h.test", path: { kind: 0, value: "/" } } as const;
  assert.equal(targetOf({ case: "addHttpFrontend", value: frontend }), "frontend:http:h.test:127.0.0.1:80");
  assert.equal(targetOf({ case: "loadState", value: "/tmp/s" }), "file:/tmp/s");
  assert.equal(
    targetOf({ case: "activateListener", value: { address: ADDRESS, proxy: 1 } }),
    "listener:https:127.0.0.1:80",
  );
  assert.equal(targetOf({ case: "setMaxConnectionsPerIp", value: 5n }), "connection-limit:5");
});

test("the update of a listener shows old and new values, and answers only by name", () => {
  const state = new ConfigState();
  const listener = { address: ADDRESS, stickyName: "S", frontTimeout: 60, backTimeout: 30, connectTimeout: 3 } as const;
  const value = { ...listener, requestTimeout: 10, expectProxy: false, active: false } as const;
  assert.ok(state.apply(request({ case: "addHttpListener", value }), "socket").ok);
  const change = { address: ADDRESS, frontTimeout: 30, stickyName: "S", elideXRealIp: true };
  const target = targetOf({ case: "updateHttpListener", value: change }, state);
  assert.equal(target, "listener:http:127.0.0.1:80:front_timeout=60→30 elide_x_real_ip=-→true");
  const none = { address: ADDRESS, frontTimeout: 60 };
  assert.equal(targetOf({ case: "updateHttpListener", value: none }, state), "listener:http:127.0.0.1:80:(no-op)");
});

test("no secret is part of an entry", () => {
  const { audit, client, events } = trail();
  const secret = "5ca1ab1e5ca1ab1e";
  const cluster = { clusterId: "a", stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  const value = { ...cluster, authorizedHashes: [`ann:${secret}`], answers: { "503": secret } };
  audit.begin(client, request({ case: "addCluster", value }))?.finish(null);
  const certificate = { certificate: secret, key: secret, certificateChain: [secret] };
  audit.begin(client, request({ case: "addCertificate", value: { address: ADDRESS, certificate } }))?.finish(null);
  assert.equal(events.length, 2);
  assert.doesNotMatch(JSON.stringify(events), new RegExp(secret));
});

test("a change that goes to workers leaves two lines, with what they said", () => {
  const { audit, client, events } = trail();
  const entry = audit.begin(client, request({ case: "removeCluster", value: "a" }));
  entry?.published();
  entry?.settled({ kind: "timed out", workers: [1], accepted: 1, failed: 1 });
  entry?.finish({ status: 2, message: "late" } as never);
  const [attempt, completion] = events;
  assert.equal(attempt.ok, true);
  assert.equal(attempt.fanout, null);
  assert.equal(completion.ok, false);
  assert.equal(completion.fanout, "timeout");
  assert.deepEqual(completion.workers, { ok: 1, err: 1, expected: 2 });
  assert.equal(completion.errorCode, "WORKERS_TIMEOUT");
  assert.equal(attempt.requestUlid, completion.requestUlid);
  assert.match(completion.requestSha256 ?? "", /^[0-9a-f]{16}$/);
});

test("names of at most 16 users are kept, the program is named only while its pid is the same user's", () => {
  const actors = new Actors("/nonexistent");
  for (let uid = 0; uid < 40; uid++) assert.equal(actors.client({ uid, gid: 0, pid: -1 }).actor.user, null);
  const mine = { uid: process.getuid?.() ?? 0, gid: 0, pid: process.pid };
  assert.notEqual(actors.client(mine).actor.comm, null);
  assert.equal(actors.client({ ...mine, uid: mine.uid + 1 }).actor.comm, null);
});
