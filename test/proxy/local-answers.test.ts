// Local answers from templates: whose template it is, what it shows, and what becomes of the connection (spec 5.9,
// decisions 17).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  type AnswerTexts,
  type ClusterPolicyObject,
  type FrontendPolicyObject,
  REDIRECT_FOUND,
  REDIRECT_PERMANENT,
  REDIRECT_PERMANENT_REDIRECT,
  REDIRECT_UNAUTHORIZED,
  SCHEME_HTTPS,
} from "../../src/command/objects.ts";
import {
  METRIC_HTTP_302_REDIRECTION,
  METRIC_HTTP_308_REDIRECTION,
  METRIC_HTTP_503_ERRORS,
  METRIC_HTTP_ANSWERS_TOO_LARGE,
} from "../../src/observe/metrics.ts";
import { clusterOf, FORWARD, frontendOf, Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ maxBuffers: 40 });
after(() => rig.stop());

const addressOf = (port: number): { ip: string; port: number } => ({ ip: "127.0.0.1", port });

function policyOf(answers: AnswerTexts): ClusterPolicyObject {
  return { answers, authorizedHashes: [], wwwAuthenticate: null, maxConnectionsPerIp: null, retryAfter: null };
}

function setListener(port: number, answers: AnswerTexts): string | null {
  return rig.proxy.apply({
    kind: "add_http_listener",
    listener: { ...rig.listenerAt(addressOf(port), { requestTimeout: 1 }), answers },
  });
}

function setCluster(port: number, answers: AnswerTexts): string | null {
  return rig.proxy.apply({
    kind: "add_cluster",
    cluster: { ...clusterOf(`app-${port}`), policy: policyOf(answers) },
  });
}

const must = (refused: string | null): void => assert.equal(refused, null);
const template = (status: number, body: string, fields = ""): readonly [string, string] => [
  `${status}`,
  `HTTP/1.1 ${status} Custom\nX-Sozu-Stamp: 1\n${fields}\n${body}`,
];
const requestFor = (path = "/", method = "GET"): string => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** The answer to one request on a connection of its own. */
async function ask(port: number, request = requestFor()): Promise<string> {
  const peer = await connect(port);
  peer.send(request);
  peer.socket.end();
  const answer = await peer.end();
  peer.socket.destroy();
  return answer;
}

test("test_per_cluster_503_template: cluster, else listener, else built-in", async () => {
  const port = rig.listen([]);
  const before = rig.stats.values[METRIC_HTTP_503_ERRORS];
  assert.match(await ask(port), /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  must(setListener(port, [template(503, "listener")]));
  assert.match(await ask(port), /\r\nX-Sozu-Stamp: 1\r\nContent-Length: 8\r\n\r\nlistener$/);
  must(setCluster(port, [template(503, "cluster %CLUSTER_ID")]));
  assert.ok((await ask(port)).endsWith(`\r\n\r\ncluster app-${port}`));
  assert.equal(rig.stats.values[METRIC_HTTP_503_ERRORS], before + 3);
});

test("test_http_answers_replace_preserves_cluster_overrides: and the cluster's 404 is never asked for", async () => {
  const port = rig.listen([]);
  must(setCluster(port, [template(503, "cluster"), template(404, "never")]));
  must(setListener(port, [template(503, "first"), template(404, "first")]));
  must(setListener(port, [template(404, "second")]));
  assert.ok((await ask(port)).endsWith("\r\n\r\ncluster"));
  rig.must({ kind: "remove_http_frontend", frontend: frontendOf(`app-${port}`, addressOf(port)) });
  assert.ok((await ask(port)).endsWith("\r\n\r\nsecond"));
});

test("oddity 15: the answers of a cluster reach listeners that are added later", async () => {
  const cluster = rig.listen([]);
  must(setCluster(cluster, [template(503, "early")]));
  const port = rig.listen([]);
  rig.must({ kind: "remove_http_frontend", frontend: frontendOf(`app-${port}`, addressOf(port)) });
  rig.must({ kind: "add_http_frontend", frontend: frontendOf(`app-${cluster}`, addressOf(port)) });
  assert.ok((await ask(port)).endsWith("\r\n\r\nearly"));
});

test("a cluster that is removed takes its answers along", async () => {
  const port = rig.listen([]);
  must(setCluster(port, [template(503, "cluster")]));
  rig.must({ kind: "remove_cluster", clusterId: `app-${port}` });
  assert.match(await ask(port), /^HTTP\/1\.1 503 Service Unavailable\r\n/);
});

test("a broken template refuses the change with status, line and reason, and changes nothing", async () => {
  const port = rig.listen([]);
  must(setCluster(port, [template(503, "good")]));
  assert.equal(
    setCluster(port, [template(502, "fine"), ["503", "HTTP/1.1 503 X\n\n%BACKENDID"]]),
    `cluster app-${port}: the answer for 503, line 3: there is no variable %BACKENDID: did you mean %BACKEND_ID?`,
  );
  assert.equal(
    setListener(port, [["404", "HTTP/1.1 503 X\n\n"]]),
    `listener 127.0.0.1:${port}: the answer for 404, line 1: the status line says 503, but this is the answer for 404`,
  );
  assert.ok((await ask(port)).endsWith("\r\n\r\ngood"));
});

test("decisions 17: a template keeps the connection where the built-in answer does, unless it says close", async () => {
  const port = rig.listen([]);
  must(setCluster(port, [template(503, "kept")]));
  const peer = await connect(port);
  peer.send(requestFor());
  await peer.has("\r\n\r\nkept");
  peer.clear();
  peer.send(requestFor("/", "HEAD"));
  const head = await peer.has("\r\n\r\n");
  assert.equal(head, "HTTP/1.1 503 Custom\r\nX-Sozu-Stamp: 1\r\nContent-Length: 4\r\n\r\n");
  must(setCluster(port, [template(503, "closed", "Connection: close\n")]));
  peer.clear();
  peer.send(requestFor());
  const last = await peer.end();
  assert.ok(last.endsWith("\r\nConnection: close\r\nContent-Length: 6\r\n\r\nclosed"));
});

test("a template without Connection: close says it when the connection closes all the same", async () => {
  const port = rig.listen([]);
  must(setListener(port, [template(400, "%MESSAGE")]));
  const answer = await ask(port, "GET / HTTP/1.1\r\n\r\n");
  assert.match(answer, /\r\nConnection: close\r\n(?s:.*)\r\n\r\nno Host field and no authority in the target$/);
});

test("404 and 503 show the request; values cannot leave the page", async () => {
  const port = rig.listen([]);
  must(setListener(port, [template(503, "%ROUTE|%REQUEST_ID|%MESSAGE|%BACKEND_ID", "X-Id: %REQUEST_ID\n")]));
  const answer = await ask(port, requestFor("/a?b='c'&d"));
  const [head, body] = answer.split("\r\n\r\n");
  const id = /\r\nX-Id: ([0-9A-Z]{26})(\r\n|$)/.exec(head)?.[1];
  assert.equal(body, `GET localhost/a?b=&#39;c&#39;&#38;d|${id}|the cluster has no backends|-`);
});

test("PHASE and the parser's diagnostics of a 400", async () => {
  const port = rig.listen([]);
  const body = '{"p":"%PHASE","s":%SUCCESSFULLY_PARSED,"t":%PARTIALLY_PARSED,"i":%INVALID}';
  must(setListener(port, [template(400, body, "Content-Type: application/json\n")]));
  const told = async (request: string): Promise<unknown> => JSON.parse((await ask(port, request)).split("\r\n\r\n")[1]);
  assert.deepEqual(await told("GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\nCookie: s=1\r\n\r\n"), {
    p: "Headers",
    s: "GET / HTTP/1.1\r\nHost: a\r\n",
    t: "X",
    i: " y: z\r",
  });
  assert.deepEqual(await told("GET /a\u0001b HTTP/1.1\r\n\r\n"), {
    p: "StatusLine",
    s: null,
    t: "GET /a",
    i: "\u0001b HTTP/1.1\r",
  });
  assert.deepEqual(await told("\u0000\r\n\r\n"), { p: "StatusLine", s: null, t: null, i: "\u0000\r" });
  assert.deepEqual(await told("GET / HTTP/1.1\r\nX: y\r\n\r\n"), {
    p: "Headers",
    s: "GET / HTTP/1.1\r\nX: y\r\n\r\n",
    t: null,
    i: null,
  });
  assert.deepEqual(await told("GET / HTTP/1.1\r\nCookie: a=b\r\ncookie: \u0001secret\r\n\r\n"), {
    p: "Headers",
    s: "GET / HTTP/1.1\r\n[not shown]\n",
    t: "[not shown]",
    i: "[not shown]",
  });
  const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
  const backend = await RawBackend.start();
  rig.must({
    kind: "add_backend",
    backend: {
      clusterId: `app-${port}`,
      backendId: "b",
      address: addressOf(backend.port),
      weight: 100,
      stickyId: null,
      backup: false,
    },
  });
  assert.deepEqual(await told(chunked), { p: "Chunks", s: null, t: null, i: null });
  backend.close();
});

test("502 tells what of the backend's answer was understood, and why not", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  must(setCluster(port, [template(502, "%PHASE|%MESSAGE|%SUCCESSFULLY_PARSED|%INVALID|%BACKEND_ID")]));
  for (const [sent, expected] of [
    ["HTTP/1.1 200 OK\r\nSet-Cookie: x\r\nA: \u0001\r\n\r\n", "Headers|a field value holds a control character|"],
    ["", "StatusLine|the backend closed the connection before it answered|null|null|"],
  ] as const) {
    const asked = ask(port);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(sent);
    back.socket.end();
    const body = (await asked).split("\r\n\r\n")[1];
    assert.ok(body.startsWith(expected), body);
    assert.ok(body.endsWith(`|b-${backend.port}`), body);
    assert.ok(!body.includes("Set-Cookie"));
  }
  backend.close();
});

test("DURATION of a 408 and a 504 is the time that was waited", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port], { backTimeout: 1 });
  must(setCluster(port, [template(504, "%DURATION")]));
  assert.match((await ask(port)).split("\r\n\r\n")[1], /^1\.\ds$/);
  must(setListener(port, [template(408, "%DURATION")]));
  const slow = await connect(port);
  slow.send("GET / HTTP/1.1\r\n");
  assert.match(await slow.end(), /\r\n\r\n1\.\ds$/);
  backend.close();
});

test("an answer that does not fit makes room for the built-in one, and is counted", async () => {
  const port = rig.listen([]);
  must(setListener(port, [template(503, "%ROUTE".repeat(5000))]));
  const before = rig.stats.values[METRIC_HTTP_ANSWERS_TOO_LARGE];
  assert.match(await ask(port, requestFor(`/${"x".repeat(200)}`)), /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  assert.equal(rig.stats.values[METRIC_HTTP_ANSWERS_TOO_LARGE], before + 1);
});

test("a template of 60 kB arrives whole", async () => {
  const port = rig.listen([]);
  const page = "0123456789".repeat(6000);
  must(setListener(port, [template(503, page)]));
  assert.ok((await ask(port)).endsWith(`\r\n\r\n${page}`));
});

const REDIRECT = { ...FORWARD, redirect: REDIRECT_PERMANENT, redirectScheme: SCHEME_HTTPS };

function redirects(port: number, policy: Partial<FrontendPolicyObject>): string | null {
  const frontend = { ...frontendOf(`app-${port}`, addressOf(port)), hostname: "old.test" };
  rig.proxy.apply({ kind: "remove_http_frontend", frontend });
  return rig.proxy.apply({ kind: "add_http_frontend", frontend: { ...frontend, policy: { ...REDIRECT, ...policy } } });
}

test("test_redirect_permanent_uses_rewrite_host_and_template", async () => {
  const port = rig.listen([]);
  const old = "GET /a HTTP/1.1\r\nHost: old.test\r\n\r\n";
  const text = "HTTP/1.1 301 Gone\nLocation: %REDIRECT_LOCATION\nX-Sozu-Stamp: 1\n\nmoved: %ROUTE";
  must(redirects(port, { rewriteHost: "new.test", redirectTemplate: text }));
  assert.equal(
    await ask(port, old),
    "HTTP/1.1 301 Gone\r\nLocation: https://new.test/a\r\nX-Sozu-Stamp: 1\r\nContent-Length: 21\r\n\r\nmoved: GET old.test/a",
  );
  assert.match(
    redirects(port, { redirectTemplate: "HTTP/1.1 301 Gone\nLocation: %LOCATION\n\n" }) ?? "",
    /redirect_template, line 2: there is no variable %LOCATION/,
  );
});

test("302 and 308 have templates by status, and are counted", async () => {
  const port = rig.listen([]);
  const { values } = rig.stats;
  const before = values[METRIC_HTTP_302_REDIRECTION] + values[METRIC_HTTP_308_REDIRECTION];
  must(setListener(port, [template(302, "found"), template(308, "gone", "Location: %REDIRECT_LOCATION\n")]));
  const old = "GET /a HTTP/1.1\r\nHost: old.test\r\n\r\n";
  must(redirects(port, { redirect: REDIRECT_FOUND }));
  assert.ok((await ask(port, old)).endsWith("\r\n\r\nfound"));
  must(redirects(port, { redirect: REDIRECT_PERMANENT_REDIRECT }));
  assert.match(await ask(port, old), /\r\nLocation: https:\/\/old\.test\/a\r\n/);
  assert.equal(values[METRIC_HTTP_302_REDIRECTION] + values[METRIC_HTTP_308_REDIRECTION], before + 2);
});

test("401 shows the challenge of its cluster", async () => {
  const port = rig.listen([]);
  const challenge = { ...policyOf([template(401, "who?", "WWW-Authenticate: %WWW_AUTHENTICATE\n")]) };
  rig.must({
    kind: "add_cluster",
    cluster: { ...clusterOf(`app-${port}`), policy: { ...challenge, wwwAuthenticate: 'Basic realm="x"' } },
  });
  must(redirects(port, { redirect: REDIRECT_UNAUTHORIZED }));
  const answer = await ask(port, "GET / HTTP/1.1\r\nHost: old.test\r\n\r\n");
  assert.match(answer, /\r\nWWW-Authenticate: Basic realm="x"\r\n.*\r\n\r\nwho\?$/s);
});
