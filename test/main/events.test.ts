// Who hears of what (spec 12.7): the events of requests and of workers, and subscribers that do not read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addressToMessage } from "../../src/command/address.ts";
import { EventKind, ResponseSchema, ResponseStatus } from "../../src/command/gen/sozu_pb.ts";
import { decodeMessage, eventName, request } from "../../src/command/messages.ts";
import { EventHub, eventOf } from "../../src/main/events.ts";
import type { Logger } from "../../src/observe/logger.ts";

function hubOf() {
  const warnings: string[] = [];
  const logger = { warn: (_module: string, text: string) => void warnings.push(text) } as unknown as Logger;
  const listening: boolean[] = [];
  return { hub: new EventHub(logger, (anybody) => void listening.push(anybody)), warnings, listening };
}

function listener(room = 1000) {
  const heard: string[] = [];
  const push = (frame: Uint8Array): boolean => {
    if (heard.length >= room) return false;
    const response = decodeMessage(ResponseSchema, frame.subarray(8));
    const held = response?.content?.contentType;
    assert.ok(response?.status === ResponseStatus.PROCESSING && held?.case === "event");
    const { kind, clusterId, backendId, address } = held.value;
    heard.push(
      `${eventName(kind)}${response.message === "main" ? "" : ` (${response.message})`} ${clusterId} ${backendId} ${address?.port ?? ""}`,
    );
    return true;
  };
  return { heard, push };
}

test("decisions 6: a subscriber hears nothing of its own subscription, the others do", () => {
  const { hub, listening } = hubOf();
  const first = listener();
  const second = listener();
  hub.subscribe(first);
  hub.subscribe(second);
  assert.deepEqual(first.heard, ["EVENTS_SUBSCRIBED   "]);
  assert.deepEqual(second.heard, []);
  const address = { ip: "127.0.0.1", port: 1026 };
  hub.emitOf(0, { kind: EventKind.BACKEND_DOWN, clusterId: "app", backendId: "b0", address });
  hub.emitOf(1, { kind: EventKind.NO_AVAILABLE_BACKENDS, clusterId: "app", backendId: null, address: null });
  assert.deepEqual(second.heard, ["BACKEND_DOWN (0) app b0 1026", "NO_AVAILABLE_BACKENDS (1) app  "]);
  hub.unsubscribe(second);
  hub.emit({ kind: EventKind.STATE_SAVED });
  assert.equal(first.heard.length, 4);
  assert.equal(second.heard.length, 2);
  assert.deepEqual(listening, [true]);
  hub.unsubscribe(first);
  hub.unsubscribe(first);
  assert.deepEqual(listening, [true, false]);
});

test("a subscriber that does not read is dropped with a count, the others hear everything", () => {
  const { hub, warnings } = hubOf();
  const slow = listener(3);
  const good = listener();
  hub.subscribe(slow);
  hub.subscribe(good);
  for (let i = 0; i < 10; i++) hub.emit({ kind: EventKind.STATE_LOADED });
  assert.equal(slow.heard.length, 3);
  assert.equal(good.heard.length, 10);
  assert.equal(hub.subscribers, 1);
  assert.equal(hub.dropped, 1);
  assert.match(warnings[0], /dropped \(1 so far\)/);
});

test("spec 12.7: the events of requests; backends and health checks have none", () => {
  const address = addressToMessage({ ip: "127.0.0.1", port: 80 });
  const frontend = { clusterId: "app", address, hostname: "a.test", path: { kind: 0, value: "/" } } as const;
  const { clusterId: _none, ...denying } = frontend;
  const name = (init: Parameters<typeof request>[0]): string => {
    const event = eventOf(request(init));
    return event === null ? "" : `${eventName(event.kind)} ${event.clusterId ?? ""} ${event.address?.port ?? ""}`;
  };
  assert.equal(name({ case: "addHttpFrontend", value: { ...frontend, position: 2 } }), "FRONTEND_ADDED app 80");
  assert.equal(name({ case: "removeHttpFrontend", value: { ...denying, position: 2 } }), "FRONTEND_REMOVED  80");
  assert.equal(name({ case: "removeCluster", value: "app" }), "CLUSTER_REMOVED app ");
  assert.equal(name({ case: "removeListener", value: { address, proxy: 0 } }), "LISTENER_REMOVED  80");
  const stream = { clusterId: "app", address };
  assert.equal(name({ case: "addHttpsFrontend", value: { ...frontend, position: 2 } }), "FRONTEND_ADDED app 80");
  assert.equal(name({ case: "addUdpFrontend", value: stream }), "FRONTEND_ADDED app 80");
  assert.equal(name({ case: "removeTcpFrontend", value: stream }), "FRONTEND_REMOVED app 80");
  assert.equal(name({ case: "addTcpListener", value: { address } }), "LISTENER_ADDED  80");
  assert.equal(name({ case: "updateHttpsListener", value: { address } }), "LISTENER_UPDATED  80");
  const removal = { address, fingerprint: "ab" };
  assert.equal(name({ case: "removeCertificate", value: removal }), "CERTIFICATE_REMOVED  80");
  assert.equal(name({ case: "configureMetrics", value: 2 }), "METRICS_CONFIGURED  ");
  assert.equal(name({ case: "upgradeWorker", value: 1 }), "WORKER_UPGRADED  ");
  assert.equal(name({ case: "saveState", value: "x" }), "STATE_SAVED  ");
  assert.equal(name({ case: "addBackend", value: { clusterId: "app", backendId: "b", address } }), "");
  assert.equal(name({ case: "removeHealthCheck", value: "app" }), "");
  assert.equal(name({ case: "status", value: {} }), "");
});
