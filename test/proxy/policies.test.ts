// What a route does besides forwarding (spec 5.7, 5.8, 5.10): redirects, denial, credentials, rewrites and edits, through
// the whole proxy, byte by byte at both ends.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, test } from "node:test";
import type {
  ClusterObject,
  FrontendPolicyObject,
  HeaderEditObject,
  HttpFrontendObject,
} from "../../src/command/objects.ts";
import { MemoryTarget } from "../observe/memory-target.ts";
import { backendOf, clusterOf, FORWARD, frontendOf, Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const log = new MemoryTarget();
const rig = new Rig({}, log);
after(() => rig.stop());

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

interface Site {
  readonly port: number;
  readonly backend: RawBackend;
  readonly cluster: string;
}

/** A listener with one backend and, for `hostname`, a route with this policy. */
async function site(
  policy: Partial<FrontendPolicyObject>,
  frontend: Partial<HttpFrontendObject> = {},
  cluster: Partial<ClusterObject> = {},
): Promise<Site> {
  const backend = await RawBackend.start();
  after(() => backend.close());
  const port = rig.listen([]);
  const id = `policy-${port}`;
  const address = { ip: "127.0.0.1", port };
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(id), ...cluster } });
  rig.must({ kind: "add_backend", backend: backendOf(id, backend.port) });
  rig.must({
    kind: "add_http_frontend",
    frontend: { ...frontendOf(id, address), hostname: "a.test", policy: { ...FORWARD, ...policy }, ...frontend },
  });
  return { port, backend, cluster: id };
}

function edit(name: string, value: string, position = 1, append = false): HeaderEditObject {
  return { position, name, value, append };
}

/** Sends a head, gives the answer of the backend, returns what both sides got. */
async function exchange(one: Site, head: string, answer = OK): Promise<[request: string, response: string]> {
  const peer = await connect(one.port);
  peer.send(head);
  const back = await one.backend.connection();
  const request = await back.has("\r\n\r\n");
  back.send(answer);
  const response = await peer.has("\r\n\r\nok");
  back.socket.destroy();
  peer.socket.destroy();
  return [request, response];
}

async function local(one: Site, head: string): Promise<string> {
  const peer = await connect(one.port);
  peer.send(head);
  const response = await peer.has("\r\n\r\n");
  peer.socket.destroy();
  assert.equal(one.backend.accepted.length, 0, "the backend was contacted");
  return response;
}

const get = (path: string, fields = "", host = "a.test"): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
const statusOf = (response: string): string => response.slice(9, 12);
const fieldsOf = (message: string, name: string): string[] =>
  [...message.matchAll(new RegExp(`^${name}: (.*)\r$`, "gim"))].map((match) => match[1] ?? "");

test("5.8: redirects of every kind name host and path, and no backend is asked", async () => {
  for (const [redirect, status] of [
    [1, "301"],
    [3, "302"],
    [4, "308"],
  ] as const) {
    const one = await site({ redirect });
    const response = await local(one, get("/x/y?z=1", "", "a.test:8080"));
    assert.equal(statusOf(response), status);
    assert.deepEqual(fieldsOf(response, "Location"), ["http://a.test/x/y?z=1"]);
  }
});

test("5.8: scheme, host, path and port of a redirect", async () => {
  const one = await site(
    { redirect: 1, redirectScheme: 2, rewriteHost: "new-$HOST[0]", rewritePath: "/v2$PATH[1]", rewritePort: 8443 },
    { path: "/v1" },
  );
  const response = await local(one, get("/v1/x?q", "", "A.test"));
  assert.deepEqual(fieldsOf(response, "Location"), ["https://new-a.test:8443/v2/x?q"]);
});

test("5.8: the port of https_redirect counts when the frontend has none", async () => {
  const one = await site({ redirect: 3, redirectScheme: 2 }, {}, { httpsRedirectPort: 8443 });
  assert.deepEqual(fieldsOf(await local(one, get("/")), "Location"), ["https://a.test:8443/"]);
});

test("5.8: redirect_template takes the place of the redirect's answer, for redirects only", async () => {
  const redirectTemplate = "HTTP/1.1 302 Moved\r\nLocation: %REDIRECT_LOCATION\r\nX-Stamp: here\r\n\r\nmoved\n";
  const one = await site({ redirect: 1, rewriteHost: "b.test", redirectTemplate });
  const response = await local(one, get("/x"));
  assert.equal(statusOf(response), "302");
  assert.deepEqual(fieldsOf(response, "Location"), ["http://b.test/x"]);
  assert.deepEqual(fieldsOf(response, "X-Stamp"), ["here"]);
  assert.deepEqual(fieldsOf(await local(await site({ redirect: 2, redirectTemplate }), get("/x")), "X-Stamp"), []);
});

test("5.7: a redirect needs no cluster", async () => {
  const one = await site({ redirect: 1 }, { clusterId: null });
  assert.equal(statusOf(await local(one, get("/"))), "301");
});

test("5.7: an unauthorized route and a route without a cluster deny", async () => {
  assert.equal(statusOf(await local(await site({ redirect: 2 }), get("/"))), "401");
  assert.equal(statusOf(await local(await site({}, { clusterId: null }), get("/"))), "401");
});

test("5.8: OPTIONS * has no path to redirect to or to rewrite", async () => {
  const redirected = await local(await site({ redirect: 1 }), "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
  assert.deepEqual(fieldsOf(redirected, "Location"), ["http://a.test/"]);
  const [request] = await exchange(await site({ rewritePath: "/new" }), "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
  assert.match(request, /^OPTIONS \* HTTP\/1\.1\r\n/);
});

const entry = `bob:${createHash("sha256").update("builder").digest("hex")}`;
const withUsers = {
  policy: {
    answers: [],
    authorizedHashes: [entry],
    wwwAuthenticate: 'Basic realm="r"',
    maxConnectionsPerIp: null,
    retryAfter: null,
  },
};
const credentials = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString("base64")}\r\n`;

test("5.10: basic auth: without 401, wrong 401, right 200, and the field reaches the backend", async () => {
  const one = await site({ requiredAuth: true }, {}, withUsers);
  for (const fields of ["", credentials("bob:wrong"), credentials("bob:builder").repeat(2)]) {
    const response = await local(one, get("/", fields));
    assert.equal(statusOf(response), "401");
    assert.deepEqual(fieldsOf(response, "WWW-Authenticate"), ['Basic realm="r"']);
  }
  for (let i = 0; i < 2; i++) {
    const [request, response] = await exchange(one, get("/", credentials("bob:builder")));
    assert.equal(statusOf(response), "200");
    assert.equal(fieldsOf(request, "Authorization").length, 1);
  }
});

test("5.10: a changed list counts from the next request on", async () => {
  const one = await site({ requiredAuth: true }, {}, withUsers);
  await exchange(one, get("/", credentials("bob:builder")));
  const policy = { ...withUsers.policy, authorizedHashes: [] };
  rig.must({ kind: "add_cluster", cluster: { ...clusterOf(one.cluster), policy } });
  const peer = await connect(one.port);
  peer.send(get("/", credentials("bob:builder")));
  assert.equal(statusOf(await peer.has("\r\n\r\n")), "401");
  peer.socket.destroy();
});

test("5.7: credentials are asked for before https_redirect answers", async () => {
  const one = await site({ requiredAuth: true }, {}, { ...withUsers, httpsRedirect: true });
  assert.equal(statusOf(await local(one, get("/"))), "401");
  const response = await local(one, get("/p", credentials("bob:builder")));
  assert.equal(statusOf(response), "301");
  assert.deepEqual(fieldsOf(response, "Location"), ["https://a.test/p"]);
});

test("5.8: rewrite_host replaces Host and says so in X-Forwarded-Host", async () => {
  const one = await site({ rewriteHost: "inner.$HOST[0]:81" });
  const [request] = await exchange(
    one,
    get("/p", "X-Forwarded-Host: evil\r\nx-forwarded-host: worse\r\n", "A.test:8080"),
  );
  assert.deepEqual(fieldsOf(request, "Host"), ["inner.a.test:81"]);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Host"), ["A.test:8080"]);
  assert.match(request, /^GET \/p HTTP\/1\.1\r\n/);
});

test("5.8: rewrite_path replaces the path, the query stays unless the template has its own", async () => {
  const cases: readonly (readonly [template: string, target: string, wanted: string])[] = [
    ["/new$PATH[1]", "/old/x?q=1", "/new/x?q=1"],
    ["/new", "/old/x?q=1", "/new?q=1"],
    ["new", "/old", "/new"],
    ["/new?from=$PATH[0]", "/old/x?q=1", "/new?from=/old/x"],
    ["/new?", "/old/x?q=1", "/new"],
    ["$PATH[1]", "/old", "/"],
    ["$PATH[1]", "/old/x", "/x"],
  ];
  for (const [rewritePath, target, wanted] of cases) {
    const one = await site({ rewritePath }, { path: "/old" });
    const [request] = await exchange(one, get(target));
    assert.equal(request.split(" ")[1], wanted, `${rewritePath} of ${target}`);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Host"), []);
  }
});

test("6.6: captures of expressions and wildcards", async () => {
  const one = await site(
    { rewriteHost: "$HOST[1].internal", rewritePath: "/$HOST[1]/v$PATH[1]/$PATH[2]" },
    { hostname: "*.a.test", pathKind: 1, path: "^/api/v([0-9]+)/(.*)$" },
  );
  for (let i = 0; i < 2; i++) {
    const [request] = await exchange(one, get("/api/v3/users/7?x", "", "Shop.a.test"));
    assert.match(request, /^GET \/shop\/v3\/users\/7\?x HTTP\/1\.1\r\nHost: shop\.internal\r\n/);
  }
});

test("an absolute-form target is rewritten like any other", async () => {
  const one = await site({ rewriteHost: "b.test", rewritePath: "/n$PATH[1]" });
  const [request] = await exchange(one, "GET http://a.test/x HTTP/1.1\r\nHost: other\r\n\r\n");
  assert.match(request, /^GET \/n\/x HTTP\/1\.1\r\nHost: b\.test\r\n/);
  assert.deepEqual(fieldsOf(request, "Host"), ["b.test"]);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Host"), ["a.test"]);
});

test("a host that the path makes impossible is a 400, a path that grows too long a 431", async () => {
  const one = await site({ rewriteHost: "b$PATH[1]" });
  const response = await local(one, get("/x/y"));
  assert.equal(statusOf(response), "400");
  const long = await site({ rewritePath: "$PATH[0]$PATH[0]$PATH[0]" });
  assert.equal(statusOf(await local(long, get(`/${"x".repeat(6000)}`))), "431");
});

test("5.8, oddity 27: request edits replace, remove and append", async () => {
  const one = await site({
    headers: [
      edit("X-Set", "new"),
      edit("X-Gone", ""),
      edit("X-Add", "2", 1, true),
      edit("Cookie", ""),
      edit("Both", "b", 3),
    ],
  });
  const [request, response] = await exchange(
    one,
    get("/", "x-set: old\r\nX-Set: older\r\nX-GONE: 1\r\nX-Add: 1\r\nCookie: a=b\r\nX-Kept: k\r\n"),
  );
  assert.deepEqual(fieldsOf(request, "X-Set"), ["new"]);
  assert.deepEqual(fieldsOf(request, "X-Gone"), []);
  assert.deepEqual(fieldsOf(request, "X-Add"), ["1", "2"]);
  assert.deepEqual(fieldsOf(request, "Cookie"), []);
  assert.deepEqual(fieldsOf(request, "X-Kept"), ["k"]);
  assert.deepEqual(fieldsOf(request, "Both"), ["b"]);
  assert.deepEqual(fieldsOf(response, "Both"), ["b"]);
  assert.deepEqual(fieldsOf(response, "X-Set"), []);
});

test("5.8: an edit of a field that the proxy writes takes its place", async () => {
  const headers = [
    edit("X-Forwarded-Proto", "https"),
    edit("X-Forwarded-For", ""),
    edit("Forwarded", ""),
    edit("X-Request-Id", "r"),
  ];
  const one = await site({ headers });
  for (const fields of ["", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: ftp\r\nX-Request-Id: mine\r\n"]) {
    const [request] = await exchange(one, get("/", fields));
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Proto"), ["https"]);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), []);
    assert.deepEqual(fieldsOf(request, "Forwarded"), []);
    assert.deepEqual(fieldsOf(request, "X-Request-Id"), ["r"]);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Port"), [`${one.port}`]);
  }
});

test("5.8: Host and X-Forwarded-Host can be set", async () => {
  const one = await site({ rewriteHost: "b.test", headers: [edit("host", "c.test:1"), edit("X-Forwarded-Host", "d")] });
  const [request] = await exchange(one, get("/"));
  assert.deepEqual(fieldsOf(request, "Host"), ["c.test:1"]);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Host"), ["d"]);
});

test("5.8: response edits replace, remove and append, once", async () => {
  const one = await site({
    headers: [
      edit("X-Set", "new", 2),
      edit("Server", "", 2),
      edit("Set-Cookie", "c=3", 2, true),
      edit("X-Gone", "", 2),
    ],
  });
  const answer =
    "HTTP/1.1 200 OK\r\nServer: s\r\nX-Gone: 1\r\nSet-Cookie: a=1\r\nx-set: old\r\nX-SET: older\r\nContent-Length: 2\r\n\r\nok";
  const [, response] = await exchange(one, get("/"), answer);
  assert.deepEqual(fieldsOf(response, "X-Set"), ["new"]);
  assert.deepEqual(fieldsOf(response, "Server"), []);
  assert.deepEqual(fieldsOf(response, "X-Gone"), []);
  assert.deepEqual(fieldsOf(response, "Set-Cookie"), ["a=1", "c=3"]);
  assert.deepEqual(fieldsOf(response, "Content-Length"), ["2"]);
});

test("5.8: answers of the proxy itself stay as they are", async () => {
  const response = await local(await site({ redirect: 2, headers: [edit("X-Set", "new", 2)] }), get("/"));
  assert.deepEqual(fieldsOf(response, "X-Set"), []);
});

test("5.12: the access line shows what the client asked for", async () => {
  const headers = [edit("User-Agent", "hidden")];
  const one = await site({ rewriteHost: "b.test", rewritePath: "/new/$PATH[1]", headers });
  await exchange(one, get("/old?q", "User-Agent: me\r\n"));
  rig.sink.flush();
  const line = log.writes
    .join("")
    .split("\n")
    .find((text) => text.includes(one.cluster));
  assert.match(String(line), / a\.test GET \/old\?q 200 /);
  assert.match(String(line), /user-agent=me\]/);
});

test("a policy that cannot be used is refused with its reason, and nothing changes", async () => {
  const port = rig.listen([]);
  const add = (policy: Partial<FrontendPolicyObject>): string | null =>
    rig.proxy.apply({
      kind: "add_http_frontend",
      frontend: {
        ...frontendOf("x", { ip: "127.0.0.1", port }),
        hostname: "a.test",
        policy: { ...FORWARD, ...policy },
      },
    });
  assert.equal(
    add({ rewritePath: "/$PATH[2]" }),
    "rewrite_path: $PATH[2] at character 2: the rule captures $PATH[0] to $PATH[1]",
  );
  assert.equal(
    add({ rewriteHost: "$HOST[1]" }),
    "rewrite_host: $HOST[1] at character 1: the rule captures only $HOST[0]",
  );
  assert.match(String(add({ headers: [edit("Content-Length", "1")] })), /^headers: Content-Length cannot be edited/);
  assert.match(String(add({ redirectTemplate: "HTTP/1.1 301 x\r\n%NOPE\r\n\r\n" })), /^redirect_template, line \d+: /);
  assert.equal(add({}), null);
});

test("requests on one connection: each route does its own", async () => {
  const one = await site({ headers: [edit("X-Set", "1")] });
  rig.must({
    kind: "add_http_frontend",
    frontend: { ...frontendOf(one.cluster, { ip: "127.0.0.1", port: one.port }), hostname: "a.test", path: "/plain" },
  });
  const peer = await connect(one.port);
  let back: Peer | null = null;
  for (const [path, wanted] of [
    ["/edited", ["1"]],
    ["/plain", []],
    ["/edited", ["1"]],
  ] as const) {
    peer.clear();
    peer.send(get(path));
    back ??= await one.backend.connection();
    assert.deepEqual(fieldsOf(await back.has("\r\n\r\n"), "X-Set"), wanted);
    back.clear();
    back.send(OK);
    await peer.has("\r\n\r\nok");
  }
  peer.socket.destroy();
});
