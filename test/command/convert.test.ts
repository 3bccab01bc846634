// What frontends, clusters and listeners can do beyond forwarding: each field reaches the record, the deprecated ones are
// merged in, and whatever cannot work is refused with the field and the reason.

import assert from "node:assert/strict";
import test from "node:test";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import type { ClusterObject, HttpFrontendObject, HttpListenerObject } from "../../src/command/objects.ts";
import { ConfigState } from "../../src/command/state.ts";
import {
  addCluster,
  addFrontend,
  addListener,
  answer,
  healthCheck,
  onListener,
  removeCluster,
  removeHealthCheck,
  setHealthCheck,
  updateListener,
} from "./requests.ts";

const HASH = `admin:${"0123456789abcdef".repeat(4)}`;

function apply(state: ConfigState, one: Request): string[] {
  const result = state.apply(one, "socket");
  assert.ok(result.ok, result.ok ? "" : result.error.message);
  return result.changes.map((change) => change.kind);
}

function refusal(one: Request, state: ConfigState = new ConfigState()): string {
  const result = state.apply(one, "socket");
  assert.ok(!result.ok, "it was accepted");
  return result.error.message;
}

function cluster(...requests: Request[]): ClusterObject {
  const state = new ConfigState();
  for (const one of requests) apply(state, one);
  return state.clusters.get("app")!.object;
}

function listener(...requests: Request[]): HttpListenerObject {
  const state = new ConfigState();
  for (const one of requests) apply(state, one);
  return state.httpListeners.get("0.0.0.0:80")!.object;
}

function frontend(more: object): HttpFrontendObject {
  const state = new ConfigState();
  apply(state, addFrontend("a.test", "/", more));
  return [...state.httpFrontends.entries.values()][0]!.object;
}

test("plain objects have no policies, whatever stock clients send for off", () => {
  const plain = { authorizedHashes: [], answers: {}, wwwAuthenticate: "", slowStart: 0, affinity: "source-ip" };
  const { policy, healthCheck: check, tuning } = cluster(addCluster("app", plain));
  assert.deepEqual([policy, check, tuning], [null, null, null]);
  const off = {
    redirect: 0,
    redirectScheme: 0,
    redirectTemplate: "",
    rewriteHost: "",
    requiredAuth: false,
    headers: [],
  };
  assert.equal(frontend(off).policy, null);
  const { answers, trustedProxies, underscoreNames, dotSegments, encodedSlashes } = listener(addListener("0.0.0.0:80"));
  assert.deepEqual([answers, trustedProxies, underscoreNames, dotSegments, encodedSlashes], [[], [], 0, 2, 0]);
});

test("spec 5.9: the map wins over http_answers and answer_503, both end in one list", () => {
  const map = { 404: answer("404", "map") };
  const httpAnswers = { answer404: answer("404", "old"), answer301: answer("301") };
  const { answers } = listener(addListener("0.0.0.0:80", { answers: map, httpAnswers }));
  assert.deepEqual(answers, [
    ["301", answer("301")],
    ["404", answer("404", "map")],
  ]);
  const old = answer("503", "old");
  assert.deepEqual(cluster(addCluster("app", { answer503: old })).policy?.answers, [["503", old]]);
  const both = addCluster("app", { answer503: old, answers: { 503: answer("503", "map") } });
  assert.deepEqual(cluster(both).policy?.answers, [["503", answer("503", "map")]]);
});

test("spec 5.9: adding a cluster again merges its answers, an empty one goes, RemoveCluster drops them", () => {
  const first = addCluster("app", { answers: { 502: answer("502") }, answer503: answer("503") });
  const second = addCluster("app", { answers: { 502: answer("502", "new"), 404: answer("404") } });
  assert.deepEqual(cluster(first, second).policy?.answers, [
    ["404", answer("404")],
    ["502", answer("502", "new")],
    ["503", answer("503")],
  ]);
  const without = addCluster("app", { answers: { 502: "", 503: "" } });
  assert.deepEqual(cluster(first, second, without).policy?.answers, [["404", answer("404")]]);
  const contradicts = addCluster("app", { answer503: answer("503", "old"), answers: { 503: "" } });
  assert.equal(cluster(contradicts).policy, null);
  assert.equal(cluster(addCluster("app", { answers: { 503: answer("503") } }), contradicts).policy, null);
  assert.equal(cluster(first, removeCluster("app"), addCluster("app")).policy, null);
});

test("spec 2.9: health checks are part of the cluster, set and removed alone", () => {
  const state = new ConfigState();
  assert.equal(refusal(setHealthCheck("app"), state), "Did not find Cluster with address or id 'app'");
  assert.equal(refusal(removeHealthCheck("app"), state), "Did not find Cluster with address or id 'app'");
  apply(state, addCluster("app", { wwwAuthenticate: "Basic" }));
  assert.deepEqual(apply(state, removeHealthCheck("app")), []);
  assert.deepEqual(apply(state, setHealthCheck("app", { acceptedStatuses: ["200-299", "404"] })), ["add_cluster"]);
  assert.deepEqual(apply(state, setHealthCheck("app", { acceptedStatuses: ["200-299", "404"] })), []);
  const { healthCheck: check, policy } = state.clusters.get("app")!.object;
  assert.deepEqual(check?.acceptedStatuses, [
    [200, 299],
    [404, 404],
  ]);
  assert.equal(policy?.wwwAuthenticate, "Basic");
  assert.deepEqual(apply(state, removeHealthCheck("app")), ["add_cluster"]);
  assert.equal(state.clusters.get("app")!.object.healthCheck, null);
  apply(state, setHealthCheck("app"));
  apply(state, addCluster("app"));
  assert.equal(state.clusters.get("app")!.object.healthCheck, null, "AddCluster without a check removes it");
});

test("oddity 9: a patch of a listener is part of the state, only given fields change", () => {
  const state = new ConfigState();
  assert.equal(
    refusal(updateListener("0.0.0.0:80", { frontTimeout: 1 }), state),
    "Did not find HttpListener with address or id '0.0.0.0:80'",
  );
  apply(state, addListener("0.0.0.0:80", { backTimeout: 7, httpAnswers: { answer404: answer("404", "old") } }));
  apply(state, onListener("activateListener", "0.0.0.0:80"));
  const patch = {
    frontTimeout: 1,
    sendXRealIp: true,
    elideXRealIp: true,
    httpAnswers: { answer429: answer("429") },
    answers: { 404: answer("404", "new") },
    trustedProxies: { values: ["10.0.0.0/8"] },
  };
  assert.deepEqual(apply(state, updateListener("0.0.0.0:80", patch)), ["add_http_listener"]);
  const changed = state.httpListeners.get("0.0.0.0:80")!.object;
  assert.deepEqual(
    [changed.frontTimeout, changed.backTimeout, changed.sendXRealIp, changed.elideXRealIp, changed.active],
    [1, 7, true, true, true],
  );
  assert.deepEqual(changed.answers, [
    ["404", answer("404", "new")],
    ["429", answer("429")],
  ]);
  assert.deepEqual(apply(state, updateListener("0.0.0.0:80", patch)), [], "nothing new is no change");
  assert.deepEqual(apply(state, updateListener("0.0.0.0:80", {})), []);
  const again = new ConfigState();
  for (const one of state.toRequests()) apply(again, one);
  assert.deepEqual(again.httpListeners.get("0.0.0.0:80")!.object, changed);
  apply(state, updateListener("0.0.0.0:80", { trustedProxies: { values: [] }, answers: { 404: "" } }));
  const cleared = state.httpListeners.get("0.0.0.0:80")!.object;
  assert.deepEqual([cleared.trustedProxies, cleared.answers.map(([status]) => status)], [[], ["429"]]);
});

test("a later patch of the deprecated field wins over an earlier one of the map", () => {
  const { answers } = listener(
    addListener("0.0.0.0:80", { answers: { 404: answer("404", "map") } }),
    updateListener("0.0.0.0:80", { httpAnswers: { answer404: answer("404", "patch") } }),
  );
  assert.deepEqual(answers, [["404", answer("404", "patch")]]);
});

test("spec 2.4.1: HTTP/2 settings are checked, kept and handed on", () => {
  const state = new ConfigState();
  apply(state, addListener("0.0.0.0:80"));
  const update = (more: object): Request => updateListener("0.0.0.0:80", more);
  assert.match(refusal(update({ h2MaxPingPerWindow: 0 }), state), /'h2_max_ping_per_window': it must be at least 1/);
  assert.match(refusal(update({ h2StreamShrinkRatio: 1 }), state), /'h2_stream_shrink_ratio': it must be at least 2/);
  assert.match(refusal(update({ h2MaxRstStreamLifetime: 0n }), state), /'h2_max_rst_stream_lifetime'/);
  assert.match(refusal(update({ sozuIdHeader: "" }), state), /'sozu_id_header': it is empty/);
  assert.match(refusal(update({ sozuIdHeader: "a b" }), state), /'sozu_id_header': it is not a token/);
  const zeros = { h2InitialConnectionWindow: 0, h2StreamIdleTimeoutSeconds: 0, h2GracefulShutdownDeadlineSeconds: 0 };
  assert.deepEqual(apply(state, update(zeros)), ["add_http_listener"]);
  assert.equal(state.httpListeners.get("0.0.0.0:80")!.message.h2StreamIdleTimeoutSeconds, 0);
});

test("frontend policies arrive whole", () => {
  const headers = [
    { position: 3, key: "X-A", val: "" },
    { position: 1, key: "X-B", val: "1", append: true },
  ];
  const more = {
    redirect: 3,
    redirectScheme: 2,
    redirectTemplate: answer("302"),
    rewritePort: 8443,
    requiredAuth: true,
  };
  assert.deepEqual(frontend({ ...more, headers, rewriteHost: "b.test", rewritePath: "/$PATH[1]" }).policy, {
    redirect: 3,
    redirectScheme: 2,
    redirectTemplate: answer("302"),
    rewriteHost: "b.test",
    rewritePath: "/$PATH[1]",
    rewritePort: 8443,
    requiredAuth: true,
    headers: [
      { position: 3, name: "X-A", value: "", append: false },
      { position: 1, name: "X-B", value: "1", append: true },
    ],
  });
});

test("balancing additions: affinity by source, header or cookie, for the policies that use it", () => {
  const tuned = (more: object) => cluster(addCluster("app", { loadBalancing: 4, ...more })).tuning;
  const plain = { affinity: 0, affinityName: "", slowStart: 0, ejectAfter: 0, ejectionTime: 30 };
  assert.deepEqual(tuned({ affinity: "header:X-User" }), { ...plain, affinity: 1, affinityName: "x-user" });
  assert.deepEqual(tuned({ affinity: "cookie:Sid" }), { ...plain, affinity: 2, affinityName: "Sid" });
  assert.deepEqual(tuned({ slowStart: 60 }), { ...plain, slowStart: 60 });
  assert.deepEqual(tuned({ ejectAfter: 3, ejectionTime: 10 }), { ...plain, ejectAfter: 3, ejectionTime: 10 });
});

const long = "x".repeat(10_000);
const REFUSED: readonly (readonly [Request, RegExp])[] = [
  [addListener("0.0.0.0:80", { answers: { abc: "x" } }), /'answers.abc': the key must be a status from 200 to 599/],
  [addListener("0.0.0.0:80", { answers: { 100: "x" } }), /'answers.100'/],
  [addListener("0.0.0.0:80", { answers: Object.fromEntries([["__proto__", "x"]]) }), /'answers.__proto__'/],
  [addListener("0.0.0.0:80", { answers: { 404: `${answer("404")}\0` } }), /'answers.404': .* character 0x00/],
  [addListener("0.0.0.0:80", { httpAnswers: { answer404: long.repeat(7) } }), /'answers.404': .* 65536 bytes/],
  [addListener("0.0.0.0:80", { underscoreNames: "maybe" }), /'underscore_names': expected one of pass, drop, refuse/],
  [addListener("0.0.0.0:80", { dotSegments: "drop" }), /'dot_segments': expected one of pass, refuse/],
  [addListener("0.0.0.0:80", { trustedProxies: [""] }), /'trusted_proxies\[0\]': "" is not a network such as/],
  [addListener("0.0.0.0:80", { trustedProxies: new Array(300).fill("::1/128") }), /'trusted_proxies': there are more/],
  [addListener("0.0.0.0:80", { sozuIdHeader: `X-${long}` }), /'sozu_id_header': it is longer/],
  [addCluster("app", { answers: { 503: "\ud800" } }), /'answers.503': it holds half of a surrogate pair/],
  [addCluster("app", { authorizedHashes: ["a", long] }), /'authorized_hashes\[\d\]'/],
  [
    addCluster("app", { authorizedHashes: new Array(1025).fill(HASH) }),
    /'authorized_hashes': there are more than 1024/,
  ],
  [addCluster("app", { wwwAuthenticate: "Basic\r\nX: y" }), /'www_authenticate': .* control character 0x0d/],
  [addCluster("app", { maxConnectionsPerIp: 1n << 40n }), /'max_connections_per_ip': it must be at most 4294967295/],
  [addCluster("app", { retryAfter: 4_000_000_000 }), /'retry_after': it must be at most/],
  [addCluster("app", { affinity: "header:X-User" }), /'affinity': only the policies HRW and MAGLEV look at it/],
  [
    addCluster("app", { affinity: "header:a b", loadBalancing: 4 }),
    /'affinity': the name of the header: it is not a tok/,
  ],
  [addCluster("app", { affinity: "Cookie:a", loadBalancing: 4 }), /'affinity': expected source-ip, header:NAME or/],
  [addCluster("app", { ejectionTime: 0 }), /'ejection_time': it must be at least 1/],
  [addCluster("app", { slowStart: 4_000_000_000 }), /'slow_start': it must be at most/],
  [addCluster("app", { healthCheck: healthCheck({ uri: "health" }) }), /'health_check.uri': it must begin with "\/"/],
  [addCluster("app", { healthCheck: healthCheck({ uri: "/\r\nX: y" }) }), /'health_check.uri': .* visible ASCII/],
  [addCluster("app", { healthCheck: healthCheck({ uri: `/${long}` }) }), /'health_check.uri': it is longer/],
  [addCluster("app", { healthCheck: healthCheck({ interval: 0 }) }), /'health_check.interval': it must be at least 1/],
  [addCluster("app", { healthCheck: healthCheck({ unhealthyThreshold: 0 }) }), /'health_check.unhealthy_threshold'/],
  [addCluster("app", { healthCheck: healthCheck({ expectedStatus: 99 }) }), /'health_check.expected_status'/],
  [
    addCluster("app", { healthCheck: healthCheck({ acceptedStatuses: ["200", "300-200"] }) }),
    /accepted_statuses\[1\]'/,
  ],
  [addFrontend("a.test", "/", { hsts: { enabled: false } }), /'hsts': a plain HTTP frontend cannot carry it/],
  [addFrontend("a.test", "/", { rewritePort: 0 }), /'rewrite_port': it must be from 1 to 65535/],
  [addFrontend("a.test", "/", { rewritePath: "/\n" }), /'rewrite_path': .* cannot be part of a path/],
  [addFrontend("a.test", "/", { rewriteHost: long }), /'rewrite_host': it is longer than 4096 characters/],
  [addFrontend("a.test", "/", { redirectTemplate: "\0" }), /'redirect_template': .* 0x00/],
  [
    addFrontend("a.test", "/", { headers: [{ position: 0, key: "X", val: "" }] }),
    /'headers\[0\].position': it must be/,
  ],
  [
    addFrontend("a.test", "/", { headers: [{ position: 1, key: "X:", val: "" }] }),
    /'headers\[0\]': "X:" is not a header name/,
  ],
  [addFrontend("a.test", "/", { headers: [{ position: 1, key: "X", val: "a\r\nb" }] }), /'headers\[0\].val': .* 0x0d/],
  [addFrontend("a.test", "/", { headers: [{ position: 1, key: "X", val: long }] }), /'headers\[0\].val': it is longer/],
  [
    addFrontend("a.test", "/", { headers: [{ position: 1, key: "Content-Length", val: "0" }] }),
    /'headers\[0\]': Content-Length cannot be edited/,
  ],
  [
    addFrontend("a.test", "/", { headers: [{ position: 2, key: "X", val: "", append: true }] }),
    /'headers\[0\]': an edit that appends needs a value/,
  ],
  [addFrontend("a.test", "/", { headers: new Array(65).fill({ position: 1, key: "X", val: "" }) }), /'headers': there/],
  [addFrontend("a.test", "/", { rewritePath: "/$PATH[2]" }), /'rewrite_path': /],
  [addFrontend("a.test", "/", { rewriteHost: "$HOST[1].test" }), /'rewrite_host': /],
  [addFrontend("a.test", "/", { rewritePath: "/$PATHS" }), /'rewrite_path': "\$" at character 2 does not begin/],
  [addCluster("app", { authorizedHashes: ["admin:secret"] }), /'authorized_hashes\[0\]': .* 64 hexadecimal digits/],
  [addListener("0.0.0.0:80", { trustedProxies: ["::1", "10.0.0.1/8"] }), /'trusted_proxies\[1\]': .* bits set behind/],
  [addListener("0.0.0.0:80", { answers: { 404: answer("503") } }), /'answers.404': line 1 of the template/],
  [addFrontend("a.test", "/", { redirectTemplate: "hello" }), /'redirect_template': line 1 of the template/],
];

test("captures of a rewrite are those of its rule", () => {
  const regex = {
    path: { kind: 1, value: "^/(a+)/(b+)" },
    hostname: "/([a-z]+)/.test",
    rewritePath: "/$PATH[2]$HOST[1]",
  };
  assert.equal(frontend(regex).policy?.rewritePath, "/$PATH[2]$HOST[1]");
  const wildcard = addFrontend("*.test", "/", { rewriteHost: "$HOST[1].example", path: { kind: 2, value: "/" } });
  apply(new ConfigState(), wildcard);
  assert.match(refusal(addFrontend("*.test", "/", { rewritePath: "$PATH[1]", path: { kind: 2, value: "/" } })), /PATH/);
});

test("CP-20: what cannot work is refused with the field's name and the reason, and changes nothing", () => {
  for (const [one, expected] of REFUSED) {
    const state = new ConfigState();
    assert.match(refusal(one, state), expected);
    assert.equal(state.mirror.size, 0);
  }
  assert.match(refusal(setHealthCheck("app", { timeout: 0 })), /'config.timeout': it must be at least 1/);
});
