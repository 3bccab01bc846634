// The fields that tell a backend whom the proxy speaks for (spec 5.3), and whose account of them is believed (decisions 21).

import assert from "node:assert/strict";
import net from "node:net";
import { after, test } from "node:test";
import type { HttpListenerObject } from "../../src/command/objects.ts";
import {
  METRIC_HTTP_TRUSTING_X_PORT,
  METRIC_HTTP_TRUSTING_X_PORT_DIFF,
  METRIC_HTTP_TRUSTING_X_PROTO,
  METRIC_HTTP_TRUSTING_X_PROTO_DIFF,
  METRIC_HTTP_X_REQUEST_ID_GENERATED,
  METRIC_HTTP_X_REQUEST_ID_PROPAGATED,
} from "../../src/observe/metrics.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "./rig.ts";
import { Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

/** Listens with these settings; returns what a backend gets for a request with these fields, and the port. */
async function listen(
  settings: Partial<HttpListenerObject>,
  ip = "127.0.0.1",
): Promise<readonly [(fields: string, before?: string) => Promise<string>, port: number]> {
  const backend = await RawBackend.start();
  after(() => backend.close());
  const fd = listenTcp({ ip, port: 0 }, { reusePort: false });
  const bound = getsockname(fd);
  assert.ok(bound !== null && typeof bound !== "number");
  const id = `forward-${bound.port}`;
  rig.must({ kind: "add_http_listener", listener: { ...rig.listenerAt(bound), ...settings } });
  rig.must({ kind: "add_cluster", cluster: clusterOf(id) });
  rig.must({ kind: "add_http_frontend", frontend: frontendOf(id, bound) });
  rig.must({ kind: "add_backend", backend: backendOf(id, backend.port) });
  assert.equal(rig.proxy.activate(bound, fd), null);
  const ask = async (fields: string, before = ""): Promise<string> => {
    const peer = new Peer(net.connect({ port: bound.port, host: ip }));
    peer.send(`${before}GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    const back = await backend.connection();
    const request = await back.has("\r\n\r\n");
    back.socket.destroy();
    await peer.has("502");
    peer.socket.destroy();
    return request;
  };
  return [ask, bound.port];
}

const fieldsOf = (message: string, name: string): string[] =>
  [...message.matchAll(new RegExp(`^${name}: (.*)\r$`, "gim"))].map((match) => match[1] ?? "");

test("5.3: a client that says nothing about itself is described", async () => {
  const [ask, port] = await listen({ sendXRealIp: true });
  const request = await ask("");
  assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), ["127.0.0.1"]);
  assert.match(fieldsOf(request, "Forwarded")[0] ?? "", /^proto=http;for="127\.0\.0\.1:\d+";by=127\.0\.0\.1$/);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Proto"), ["http"]);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Port"), [`${port}`]);
  assert.deepEqual(fieldsOf(request, "X-Real-IP"), ["127.0.0.1"]);
  assert.deepEqual(fieldsOf(request, "X-Request-Id"), fieldsOf(request, "Sozu-Id"));
});

test("5.3: IPv6 is bare in X-Forwarded-For and X-Real-IP, quoted and in brackets in Forwarded", async () => {
  const [ask] = await listen({ sendXRealIp: true }, "::1");
  const request = await ask("");
  assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), ["::1"]);
  assert.deepEqual(fieldsOf(request, "X-Real-IP"), ["::1"]);
  assert.match(fieldsOf(request, "Forwarded")[0] ?? "", /^proto=http;for="\[::1\]:\d+";by="\[::1\]"$/);
});

test("5.3: of several X-Forwarded-For and Forwarded the last is extended", async () => {
  const [ask] = await listen({});
  const request = await ask(
    "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nForwarded: for=b\r\n",
  );
  assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), ["1.1.1.1", "2.2.2.2, 3.3.3.3, 127.0.0.1"]);
  const [first, last] = fieldsOf(request, "Forwarded");
  assert.equal(first, "for=1.1.1.1");
  assert.match(last ?? "", /^for=b, proto=http;for="127\.0\.0\.1:\d+";by=127\.0\.0\.1$/);
});

test("5.3: X-Real-IP: client's and ours are independent of each other", async () => {
  for (const [send, elide, wanted] of [
    [false, false, ["9.9.9.9"]],
    [true, false, ["9.9.9.9", "127.0.0.1"]],
    [false, true, []],
    [true, true, ["127.0.0.1"]],
  ] as const) {
    const [ask] = await listen({ sendXRealIp: send, elideXRealIp: elide });
    assert.deepEqual(fieldsOf(await ask("X-Real-IP: 9.9.9.9\r\n"), "X-Real-IP"), wanted, `send ${send} elide ${elide}`);
  }
});

test("5.3: the correlation header has the name of the listener", async () => {
  const [ask] = await listen({ sozuIdHeader: "X-Trace" });
  const request = await ask("");
  assert.equal(fieldsOf(request, "X-Trace")[0]?.length, 26);
  assert.deepEqual(fieldsOf(request, "Sozu-Id"), []);
});

test("5.3: what is believed is counted, and counted again where it differs", async () => {
  const [ask, port] = await listen({});
  const { values } = rig.stats;
  const counted = async (fields: string): Promise<number[]> => {
    const metrics = [
      METRIC_HTTP_TRUSTING_X_PROTO,
      METRIC_HTTP_TRUSTING_X_PROTO_DIFF,
      METRIC_HTTP_TRUSTING_X_PORT,
      METRIC_HTTP_TRUSTING_X_PORT_DIFF,
      METRIC_HTTP_X_REQUEST_ID_PROPAGATED,
      METRIC_HTTP_X_REQUEST_ID_GENERATED,
    ];
    const before = metrics.map((metric) => values[metric]);
    await ask(fields);
    return metrics.map((metric, i) => values[metric] - before[i]);
  };
  assert.deepEqual(await counted(""), [0, 0, 0, 0, 0, 1]);
  assert.deepEqual(await counted("X-Forwarded-Proto: HTTP\r\n"), [1, 0, 0, 0, 0, 1]);
  assert.deepEqual(await counted("X-Forwarded-Proto: https\r\n"), [1, 1, 0, 0, 0, 1]);
  assert.deepEqual(await counted(`X-Forwarded-Port: ${port}\r\nX-Request-Id: r\r\n`), [0, 0, 1, 0, 1, 0]);
  assert.deepEqual(await counted("X-Forwarded-Port: 443\r\n"), [0, 0, 1, 1, 0, 1]);
});

const CLAIMS =
  "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n" +
  "X-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Ssl: on\r\nx_forwarded_user: root\r\nX-Request-Id: r\r\n";

test("decisions 21: a client outside of trusted_proxies has no say in who it is", async () => {
  const [ask, port] = await listen({ trustedProxies: ["10.0.0.0/8"], sendXRealIp: true });
  const request = await ask(CLAIMS);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), ["127.0.0.1"]);
  assert.doesNotMatch(request, /6\.6\.6\.6|evil|X-Forwarded-Ssl|x_forwarded_user/i);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Proto"), ["http"]);
  assert.deepEqual(fieldsOf(request, "X-Forwarded-Port"), [`${port}`]);
  assert.deepEqual(fieldsOf(request, "X-Request-Id"), ["r"]);
  assert.match(fieldsOf(request, "Forwarded")[0] ?? "", /^proto=http;/);
});

test("decisions 21: a client inside of trusted_proxies is believed, as everybody is without the list", async () => {
  for (const trustedProxies of [["127.0.0.0/8"], ["::ffff:127.0.0.1"], []]) {
    const [ask] = await listen({ trustedProxies });
    const request = await ask(CLAIMS);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-For"), ["6.6.6.6, 127.0.0.1"]);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Proto"), ["https"]);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Host"), ["evil"]);
    assert.deepEqual(fieldsOf(request, "X-Forwarded-Ssl"), ["on"]);
  }
});

test("decisions 21: behind a PROXY header it is the client's network that counts", async () => {
  const [ask] = await listen({ trustedProxies: ["10.0.0.0/8"], expectProxy: true });
  const from = (ip: string): string => `PROXY TCP4 ${ip} 127.0.0.1 1000 80\r\n`;
  assert.deepEqual(fieldsOf(await ask(CLAIMS, from("10.1.1.1")), "X-Forwarded-For"), ["6.6.6.6, 10.1.1.1"]);
  assert.deepEqual(fieldsOf(await ask(CLAIMS, from("9.1.1.1")), "X-Forwarded-For"), ["9.1.1.1"]);
});

test("a list of networks that cannot be read refuses the listener", () => {
  const listener = { ...rig.listenerAt({ ip: "127.0.0.1", port: 1 }), trustedProxies: ["10.0.0.1/8"] };
  assert.equal(
    rig.proxy.apply({ kind: "add_http_listener", listener }),
    'trusted_proxies: "10.0.0.1/8" has bits set behind its first 8',
  );
});
