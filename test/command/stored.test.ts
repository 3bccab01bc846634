// Objects whose traffic is not built yet: checked, stored, listed, hashed and saved on main, given to no worker, and not
// to be activated (spec 4.7, 10.1, 11).

import assert from "node:assert/strict";
import test from "node:test";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { judgeRefusal } from "../../src/command/load.ts";
import { decodeRecords, encodeRecords } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import { listFrontends, listListeners } from "../../src/main/queries.ts";
import {
  addBackend,
  addCluster,
  addTcpListener,
  addUdpListener,
  onOther,
  streamFrontend,
  updateTcpListener,
  updateUdpListener,
} from "./requests.ts";

const AT = "127.0.0.1:5432";

function stateOf(...requests: Request[]): ConfigState {
  const state = new ConfigState();
  for (const one of requests) {
    const result = state.apply(one, "socket");
    assert.ok(result.ok, result.ok ? "" : result.error.message);
  }
  return state;
}

function refusal(state: ConfigState, one: Request): string {
  const before = `${state.revision} ${JSON.stringify(state.hash())}`;
  const result = state.apply(one, "socket");
  assert.ok(!result.ok, "it was accepted");
  assert.equal(`${state.revision} ${JSON.stringify(state.hash())}`, before);
  return result.error.message;
}

test("TCP and UDP listeners are stored by address, patched in place, and change nothing in workers", () => {
  const state = new ConfigState();
  for (const one of [addTcpListener(AT), addUdpListener(AT), updateTcpListener(AT, { frontTimeout: 5 })]) {
    const before = state.hash();
    const result = state.apply(one, "socket");
    assert.ok(result.ok && result.changes.length === 0 && result.steps.length === 1);
    assert.notDeepEqual(state.hash(), before);
  }
  assert.equal(state.mirror.size, 0);
  assert.equal(state.revision, 3);
  assert.equal(state.tcpListeners.get(AT)?.object.frontTimeout, 5);
  assert.equal(state.tcpListeners.get(AT)?.object.backTimeout, 30);
  assert.equal(refusal(state, addTcpListener(AT)), `TcpListener '${AT}' already exists`);
  assert.equal(
    refusal(state, updateUdpListener("[::1]:53", {})),
    "Did not find UdpListener with address or id '[::1]:53'",
  );
  const again = state.apply(updateTcpListener(AT, { frontTimeout: 5 }), "socket");
  assert.ok(again.ok && again.steps.length === 0);
});

test("their activation is refused with the reason, deactivation of what is inactive changes nothing", () => {
  const state = stateOf(addTcpListener(AT, { active: true }), addUdpListener(AT));
  assert.equal(state.tcpListeners.get(AT)?.object.active, false);
  assert.equal(
    refusal(state, onOther("activateListener", 2, AT)),
    "the listener is stored, but TCP traffic is not built yet: activation refused",
  );
  assert.match(refusal(state, onOther("activateListener", 3, AT)), /UDP traffic is not built yet/);
  assert.equal(
    refusal(state, onOther("deactivateListener", 2, AT)),
    "dispatching this request did not bring any change to the state",
  );
  assert.equal(
    refusal(state, onOther("activateListener", 2, "127.0.0.1:1")),
    "Did not find TcpListener with address or id '127.0.0.1:1'",
  );
  assert.ok(state.apply(onOther("removeListener", 2, AT), "socket").ok);
  assert.equal(state.tcpListeners.size, 0);
  assert.equal(
    refusal(state, onOther("removeListener", 2, AT)),
    "dispatching this request did not bring any change to the state",
  );
});

test("TCP and UDP frontends: one per cluster and address, the same twice is refused, other tags replace", () => {
  const state = stateOf(streamFrontend("addTcpFrontend", "db", AT), streamFrontend("addUdpFrontend", "db", AT));
  assert.equal(refusal(state, streamFrontend("addTcpFrontend", "db", AT)), `TcpFrontend 'db;${AT}' already exists`);
  assert.ok(state.apply(streamFrontend("addTcpFrontend", "db", AT, { team: "data" }), "socket").ok);
  assert.equal(state.tcpFrontends.size, 1);
  assert.equal(
    refusal(state, streamFrontend("removeTcpFrontend", "db", "127.0.0.1:1")),
    "dispatching this request did not bring any change to the state",
  );
  assert.equal(
    refusal(state, streamFrontend("removeTcpFrontend", "other", AT)),
    `Did not find TcpFrontend with address or id '${AT}'`,
  );
  assert.ok(state.apply(streamFrontend("removeTcpFrontend", "db", AT), "socket").ok);
  assert.equal(state.tcpFrontends.size, 0);
  assert.equal(state.udpFrontends.size, 1);
});

test("the hash of a cluster covers its TCP frontends, not its UDP frontends (spec 4.7)", () => {
  const state = stateOf(addCluster("db"), addBackend("db", "b"));
  const bare = state.clusterHash("db");
  assert.equal(bare, state.mirror.clusterHashes().get("db"));
  state.apply(streamFrontend("addUdpFrontend", "db", AT), "socket");
  assert.equal(state.clusterHash("db"), bare);
  state.apply(streamFrontend("addTcpFrontend", "db", AT), "socket");
  assert.notEqual(state.clusterHash("db"), bare);
  state.apply(streamFrontend("removeTcpFrontend", "db", AT), "socket");
  assert.equal(state.clusterHash("db"), bare);
  assert.equal(state.clusterHash("other"), null);
});

test("bad values are refused with the field's name", () => {
  const state = new ConfigState();
  const probes = (health: object) => addCluster("a", { udp: { health } });
  const cases: [Request, RegExp][] = [
    [addTcpListener(AT, { connectTimeout: 4_000_000_000 }), /'connect_timeout': it must be at most/],
    [addUdpListener(AT, { maxRxDatagramSize: 0 }), /'max_rx_datagram_size': it must be from 1 to 65527 bytes, got 0/],
    [addUdpListener(AT, { maxRxDatagramSize: 65_528 }), /'max_rx_datagram_size'/],
    [streamFrontend("addTcpFrontend", "", AT), /'cluster_id': it is empty/],
    [streamFrontend("addUdpFrontend", "a", AT, { "a\n": "b" }), /'tags': it holds the control character/],
    [probes({ rise: 0 }), /'udp.health.rise': it must be at least 1/],
    [probes({ tcpPort: 65_536 }), /'udp.health.tcp_port'/],
    [probes({ udpProbePayload: new Uint8Array(1201) }), /'udp.health.udp_probe_payload': it is longer than 1200 bytes/],
  ];
  for (const [one, expected] of cases) assert.match(refusal(state, one), expected);
});

test("a saved state keeps them, in the order in which frontends came", () => {
  const state = stateOf(
    addUdpListener("127.0.0.1:53"),
    addTcpListener(AT),
    streamFrontend("addTcpFrontend", "z", AT),
    streamFrontend("addTcpFrontend", "a", AT, { team: "x" }),
    addCluster("z", { proxyProtocol: 1, http2: true, udp: { responses: 1, health: { mode: 2 } } }),
  );
  const file = Buffer.concat([...encodeRecords(state.toRequests())]);
  const read = decodeRecords(file);
  assert.deepEqual(read.broken, []);
  const again = stateOf(...read.requests);
  assert.deepEqual(again.hash(), state.hash());
  const orders = [state, again].map((one) =>
    one
      .toRequests()
      .map((each) => (each.requestType.case === "addTcpFrontend" ? each.requestType.value.clusterId : "")),
  );
  assert.deepEqual(
    orders[0]!.filter((id) => id !== ""),
    ["z", "a"],
  );
  assert.deepEqual(orders[1], orders[0]);
});

test("decisions 11: a record of a listener that is there is fine when equal, kept when it differs", () => {
  const state = stateOf(addTcpListener(AT), streamFrontend("addTcpFrontend", "db", AT));
  const judge = (one: Request) => {
    const result = state.apply(one, "saved_state");
    assert.ok(!result.ok);
    return judgeRefusal(state, one, result.error);
  };
  assert.deepEqual(judge(addTcpListener(AT, { active: true })), { kind: "same" });
  assert.deepEqual(judge(addTcpListener(AT, { frontTimeout: 1 })), { kind: "kept", object: `TcpListener ${AT}` });
  assert.deepEqual(judge(streamFrontend("addTcpFrontend", "db", AT)), { kind: "same" });
  // A saved state of Sozu activates its TCP listeners: the record is sound, only nothing comes of it yet.
  const activation = onOther("activateListener", 2, AT);
  assert.equal(state.check(activation), null);
  assert.equal(judge(activation).kind, "skipped");
});

test("lists show them; a domain leaves out TCP and UDP frontends", () => {
  const state = stateOf(
    addTcpListener(AT),
    addUdpListener(AT),
    streamFrontend("addTcpFrontend", "db", AT),
    streamFrontend("addUdpFrontend", "db", AT),
  );
  const listeners = listListeners(state);
  assert.ok(listeners.case === "listenersList");
  assert.deepEqual(Object.keys(listeners.value.tcpListeners ?? {}), [AT]);
  assert.deepEqual(Object.keys(listeners.value.udpListeners ?? {}), [AT]);
  const count = (filters: object): number[] => {
    const found = listFrontends(state, { http: false, https: false, tcp: false, domain: "", ...filters } as never);
    assert.ok(found.case === "frontendList");
    const { tcpFrontends, udpFrontends } = found.value;
    return [tcpFrontends?.length ?? 0, udpFrontends?.length ?? 0];
  };
  assert.deepEqual(count({}), [1, 1]);
  assert.deepEqual(count({ tcp: true }), [1, 1]);
  assert.deepEqual(count({ http: true }), [0, 0]);
  assert.deepEqual(count({ domain: "db" }), [0, 0]);
});
