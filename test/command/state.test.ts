// The state: what each request does, what it refuses and with which text (spec 4.7), and the properties that workers
// and saved states rest on: the hash depends on content only, reverting is exact, followers end up equal.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { StateMirror } from "../../src/command/mirror.ts";
import type { Change } from "../../src/command/objects.ts";
import { encodeChanges, encodeState, followChanges } from "../../src/command/snapshot.ts";
import { ConfigState } from "../../src/command/state.ts";
import {
  addBackend,
  addCluster,
  addFrontend,
  addListener,
  anyRequest,
  onListener,
  removeBackend,
  removeCluster,
  removeFrontend,
} from "./requests.ts";

/** Applies requests that must all be taken. */
function stateOf(...requests: Request[]): ConfigState {
  const state = new ConfigState();
  for (const one of requests) {
    const result = state.apply(one, "socket");
    assert.ok(result.ok, result.ok ? "" : result.error.message);
  }
  return state;
}

function refusal(state: ConfigState, one: Request): string {
  const before = fingerprint(state);
  const result = state.apply(one, "socket");
  assert.ok(!result.ok, "it was accepted");
  assert.equal(fingerprint(state), before, "a refusal changed something");
  return result.error.message;
}

function kinds(state: ConfigState, one: Request): string[] {
  const result = state.apply(one, "socket");
  assert.ok(result.ok);
  return result.changes.map((change) => change.kind);
}

function fingerprint(state: ConfigState): string {
  return `${state.revision}:${wholeHash(state)}`;
}

function hash(state: ConfigState | StateMirror): string {
  const mirror = state instanceof ConfigState ? state.mirror : state;
  return `${mirror.hashLow}:${mirror.hashHigh}:${mirror.size}`;
}

/** Of everything, what only main has included. */
function wholeHash(state: ConfigState): string {
  const { low, high } = state.hash();
  return `${low}:${high}:${state.mirror.size}:${state.stored.size}`;
}

test("AddCluster is an upsert and RemoveCluster leaves frontends and backends", () => {
  const state = stateOf(addCluster("app"), addBackend("app", "b0"), addFrontend("a.test"));
  assert.deepEqual(kinds(state, addCluster("app", { httpsRedirect: true })), ["add_cluster"]);
  assert.deepEqual(kinds(state, addCluster("app", { httpsRedirect: true })), []);
  assert.deepEqual(kinds(state, removeCluster("app")), ["remove_cluster"]);
  assert.equal(state.backends.size, 1);
  assert.equal(state.httpFrontends.size, 1);
  assert.equal(refusal(state, removeCluster("app")), "Did not find Cluster with address or id 'app'");
});

test("AddBackend replaces; RemoveBackend tells an unknown cluster from an unknown backend", () => {
  const state = stateOf(addBackend("app", "b0"));
  const more = { loadBalancingParameters: { weight: 3 } };
  assert.deepEqual(kinds(state, addBackend("app", "b0", "127.0.0.1:1026", more)), ["add_backend"]);
  assert.equal(state.backends.size, 1);
  assert.equal(refusal(state, removeBackend("no", "b0")), "Did not find Backend with address or id 'b0'");
  assert.equal(
    refusal(state, removeBackend("app", "b1")),
    "dispatching this request did not bring any change to the state",
  );
  assert.deepEqual(kinds(state, removeBackend("app", "b0")), ["remove_backend"]);
});

test("decisions 9: a missing weight and weight 0 arrive as 100", () => {
  for (const more of [{}, { loadBalancingParameters: { weight: 0 } }]) {
    const result = new ConfigState().apply(addBackend("app", "b0", "127.0.0.1:1026", more), "socket");
    assert.ok(result.ok);
    const change = result.changes[0]!;
    assert.equal(change.kind === "add_backend" && change.backend.weight, 100);
  }
});

test("CP-10 frontends are known by address, host, path and method; the host is folded", () => {
  const state = stateOf(addFrontend("Example.COM.", "/api"), addFrontend("example.com", "/api", { method: "GET" }));
  assert.equal(
    refusal(state, addFrontend("example.com", "/api", { clusterId: "other", position: 0 })),
    "HttpFrontend '0.0.0.0:8080;example.com;P/api' already exists",
  );
  assert.equal(
    refusal(state, removeFrontend("example.com", "/api", { method: "PUT" })),
    "Did not find HttpFrontend with address or id '0.0.0.0:8080;example.com;P/api;PUT'",
  );
  assert.deepEqual(kinds(state, removeFrontend("EXAMPLE.com", "/api")), ["remove_http_frontend"]);
  assert.equal(state.httpFrontends.size, 1);
});

test("a path that ends like a method is not confused with a method", () => {
  const state = stateOf(addFrontend("a.test", "/a;GET"), addFrontend("a.test", "/a", { method: "GET" }));
  assert.equal(state.httpFrontends.size, 2);
});

test("CP-10 listeners are added inactive, activated once, and removed with their activation", () => {
  const state = stateOf(addListener("0.0.0.0:80", { active: true }));
  assert.equal(state.httpListeners.get("0.0.0.0:80")?.object.active, false);
  assert.deepEqual(kinds(state, onListener("activateListener", "0.0.0.0:80")), ["activate_http_listener"]);
  assert.deepEqual(kinds(state, onListener("activateListener", "0.0.0.0:80")), []);
  assert.equal(refusal(state, addListener("0.0.0.0:80")), "HttpListener '0.0.0.0:80' already exists");
  assert.deepEqual(kinds(state, onListener("removeListener", "0.0.0.0:80")), [
    "deactivate_http_listener",
    "remove_http_listener",
  ]);
  assert.equal(
    refusal(state, onListener("removeListener", "0.0.0.0:80")),
    "dispatching this request did not bring any change to the state",
  );
  assert.equal(
    refusal(state, onListener("activateListener", "0.0.0.0:80")),
    "Did not find HttpListener with address or id '0.0.0.0:80'",
  );
});

test("what is not built yet is refused by name, neutral values pass", () => {
  const state = new ConfigState();
  assert.equal(refusal(state, request({ case: "status", value: {} })), "the request does not change the state");
  stateOf(addCluster("a", { http2: false, answers: {}, maxConnectionsPerIp: 0n, wwwAuthenticate: "" }));
  stateOf(addFrontend("a.test", "/", { redirect: 0, requiredAuth: false, headers: [] }));
  stateOf(addListener("0.0.0.0:80", { httpAnswers: {} }));
});

test("CP-20: control characters, oversize and odd names are refused with the field's name", () => {
  const state = new ConfigState();
  const cases: [Request, RegExp][] = [
    [addCluster(""), /'cluster_id': it is empty/],
    [addCluster("a\r\nb"), /'cluster_id': it holds the control character 0x0d/],
    [addCluster("a\0b"), /'cluster_id': it holds the control character 0x00/],
    [addCluster("x".repeat(10_000)), /'cluster_id': it is longer than 255 bytes/],
    [addBackend("a", "é".repeat(200)), /'backend_id': it is longer than 255 bytes/],
    [addBackend("a", "b", "127.0.0.1:1", { stickyId: "a;b" }), /'sticky_id': it has characters that a cookie/],
    [addBackend("a", "b", "127.0.0.1:1", { loadBalancingParameters: { weight: 256 } }), /'weight'/],
    [addBackend("a", "b", "127.0.0.1:1", { loadBalancingParameters: { weight: -1 } }), /'weight'/],
    [addFrontend(""), /'hostname': it is empty/],
    [addFrontend("a b"), /'hostname': the label "a b"/],
    [addFrontend("a.test:80"), /'hostname': a host name has no port here/],
    [addFrontend("a.*.test"), /'hostname': a wildcard must be the whole first label/],
    [addFrontend("a..test"), /'hostname': it has an empty label/],
    [addFrontend(`${"x".repeat(64)}.test`), /'hostname': a label is longer than 63 bytes/],
    [addFrontend("x.".repeat(5000)), /'hostname': it is longer than/],
    [addFrontend("/(a+/.test"), /'hostname': invalid regular expression: missing closing \) for "\(" at character 1/],
    [addFrontend(`/${"a".repeat(1001)}/.test`), /'hostname': it is longer than 1000 bytes/],
    [addFrontend("a.test", "(?=a)", { path: { kind: 1, value: "(?=a)" } }), /'path': look-around cannot be used/],
    [addFrontend("a.test", "/", { path: { kind: 1, value: "(x{100}){100}" } }), /'path': .* invalid repeat count/],
    [addFrontend("a.test", "/", { path: { kind: 1, value: "x".repeat(1001) } }), /'path': .* longer than 1000 char/],
    [addFrontend("a.test", "/", { path: { kind: 1, value: "\\pL{1000}" } }), /'path': .* compiles to 1002 steps/],
    [addFrontend("a.test\r\nX: y"), /'hostname'/],
    [addFrontend("a.test", "/\n"), /'path': it holds the control character 0x0a/],
    [addFrontend("a.test", `/${"x".repeat(5000)}`), /'path': it is longer than 4096 bytes/],
    [addFrontend("a.test", "/", { method: "GE T" }), /'method': it is not a token/],
    [addFrontend("a.test", "/", { tags: { "a\r\n": "b" } }), /'tags': it holds the control character 0x0d/],
    [addFrontend("a.test", "/", { tags: { a: "x".repeat(2000) } }), /'tags': it is longer than 1024 bytes/],
    [addListener("0.0.0.0:80", { stickyName: "a b" }), /'sticky_name': it is not a token/],
    [addListener("0.0.0.0:80", { frontTimeout: 4_000_000_000 }), /'front_timeout': it must be at most/],
  ];
  for (const [one, expected] of cases) assert.match(refusal(state, one), expected);
});

test("__proto__ is a name like any other", () => {
  const tags = Object.fromEntries([["__proto__", "x"]]);
  const state = stateOf(
    addCluster("__proto__"),
    addBackend("__proto__", "__proto__"),
    addFrontend("a.test", "/", { tags }),
  );
  assert.equal(state.clusters.get("__proto__")?.object.clusterId, "__proto__");
  assert.deepEqual([...state.httpFrontends.entries.values()][0]?.object.tags, [["__proto__", "x"]]);
  assert.ok(state.mirror.clusterHashes().has("__proto__"));
});

test("objects carry origin and revision", () => {
  const state = new ConfigState();
  state.apply(addCluster("a"), "file");
  state.apply(addCluster("b"), "socket");
  assert.deepEqual(
    [...state.clusters.entries.values()].map((entry) => [entry.origin, entry.revision]),
    [
      ["file", 1],
      ["socket", 2],
    ],
  );
  assert.equal(state.revision, 2);
});

test("clusterHashes cover the cluster, its backends and its frontends, and nothing else", () => {
  const state = stateOf(addCluster("app"), addCluster("other"), addBackend("app", "b0"), addFrontend("a.test"));
  const before = state.mirror.clusterHashes();
  state.apply(addBackend("app", "b1"), "socket");
  const after = state.mirror.clusterHashes();
  assert.notEqual(after.get("app"), before.get("app"));
  assert.equal(after.get("other"), before.get("other"));
  state.apply(removeBackend("app", "b1"), "socket");
  assert.deepEqual(state.mirror.clusterHashes(), before);
});

test("toRequests has the order of the specification and activates what is active", () => {
  const state = stateOf(
    addBackend("app", "b0"),
    addFrontend("a.test"),
    addCluster("app"),
    addListener("0.0.0.0:81"),
    addListener("0.0.0.0:80"),
    onListener("activateListener", "0.0.0.0:80"),
  );
  const cases = state.toRequests().map((one) => one.requestType.case);
  assert.deepEqual(cases, [
    "addHttpListener",
    "activateListener",
    "addHttpListener",
    "addCluster",
    "addHttpFrontend",
    "addBackend",
  ]);
});

test("property: a worker that follows every batch has main's hash, whatever the requests", () => {
  fc.assert(
    fc.property(fc.array(anyRequest(), { maxLength: 40 }), (requests) => {
      const state = new ConfigState();
      const worker = new StateMirror();
      for (const one of requests) {
        const result = state.apply(one, "socket");
        if (!result.ok) continue;
        const followed = followChanges(encodeChanges(state, result.changes), worker, () => null);
        assert.ok(followed.inStep);
      }
      // A worker that starts from the whole state is equal as well, and so are the objects.
      const fresh = new StateMirror();
      const seen: Change[] = [];
      const followed = followChanges(encodeState(state), fresh, (change) => {
        seen.push(change);
        return null;
      });
      assert.ok(followed.inStep);
      assert.equal(followed.revision, state.revision);
      assert.equal(hash(fresh), hash(worker));
      assert.deepEqual(fresh.clusterHashes(), state.mirror.clusterHashes());
      assert.deepEqual(seen, [...state.toChanges()]);
    }),
  );
});

test("property: replaying toRequests gives the same hash, in any order that can be applied", () => {
  fc.assert(
    fc.property(fc.array(anyRequest(), { maxLength: 40 }), fc.infiniteStream(fc.nat()), (requests, random) => {
      const state = new ConfigState();
      for (const one of requests) state.apply(one, "socket");
      const replay = state.toRequests();
      const shuffled = replay
        .map((one) => ({ one, key: one.requestType.case === "activateListener" ? Infinity : random.next().value }))
        .sort((a, b) => a.key - b.key)
        .map((item) => item.one);
      for (const order of [replay, shuffled]) {
        const again = new ConfigState();
        for (const one of order) {
          const result = again.apply(one, "saved_state");
          assert.ok(result.ok, result.ok ? "" : result.error.message);
        }
        assert.equal(hash(again), hash(state));
        assert.equal(wholeHash(again), wholeHash(state));
      }
    }),
  );
});

test("property: revert takes back exactly what apply did", () => {
  fc.assert(
    fc.property(fc.array(anyRequest(), { maxLength: 30 }), anyRequest(), (requests, last) => {
      const state = new ConfigState();
      for (const one of requests) state.apply(one, "socket");
      const before = JSON.stringify([...state.toChanges()].map((change) => JSON.stringify(change)).sort());
      const hashBefore = wholeHash(state);
      const worker = new StateMirror();
      followChanges(encodeState(state), worker, () => null);
      const applied = state.apply(last, "socket");
      if (!applied.ok) return;
      followChanges(encodeChanges(state, applied.changes), worker, () => null);
      const back = state.revert(applied);
      assert.ok(followChanges(encodeChanges(state, back), worker, () => null).inStep);
      assert.equal(wholeHash(state), hashBefore);
      assert.equal(JSON.stringify([...state.toChanges()].map((change) => JSON.stringify(change)).sort()), before);
    }),
  );
});
