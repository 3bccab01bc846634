// Makers of requests for the tests of the command room, and generators of random ones.

import fc from "fast-check";
import { addressToMessage, parseAddress } from "../../src/command/address.ts";
import type { Request, SocketAddress } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { type MadeCertificate, makeCertificate } from "./certs.ts";

export function address(text: string): SocketAddress {
  return addressToMessage(parseAddress(text)!);
}

export function addCluster(clusterId: string, more: object = {}): Request {
  const value = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0, ...more } as const;
  return request({ case: "addCluster", value });
}

export function removeCluster(clusterId: string): Request {
  return request({ case: "removeCluster", value: clusterId });
}

export function addBackend(clusterId: string, backendId: string, at = "127.0.0.1:1026", more: object = {}): Request {
  return request({ case: "addBackend", value: { clusterId, backendId, address: address(at), ...more } });
}

export function removeBackend(clusterId: string, backendId: string, at = "127.0.0.1:1026"): Request {
  return request({ case: "removeBackend", value: { clusterId, backendId, address: address(at) } });
}

export function frontend(hostname: string, path = "/", more: object = {}): object {
  const rule = { kind: 0, value: path } as const;
  return { clusterId: "app", address: address("0.0.0.0:8080"), hostname, path: rule, position: 2, tags: {}, ...more };
}

export function addFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({ case: "addHttpFrontend", value: frontend(hostname, path, more) });
}

export function removeFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({ case: "removeHttpFrontend", value: frontend(hostname, path, more) });
}

export function addListener(at: string, more: object = {}): Request {
  const value = {
    address: address(at),
    stickyName: "SOZUBALANCEID",
    expectProxy: false,
    frontTimeout: 60,
    backTimeout: 30,
    connectTimeout: 3,
    requestTimeout: 10,
    active: false,
    ...more,
  };
  return request({ case: "addHttpListener", value });
}

export function updateListener(at: string, more: object): Request {
  return request({ case: "updateHttpListener", value: { address: address(at), ...more } });
}

export function healthCheck(more: object = {}): object {
  return {
    uri: "/health",
    interval: 10,
    timeout: 5,
    healthyThreshold: 3,
    unhealthyThreshold: 3,
    expectedStatus: 0,
    ...more,
  };
}

export function setHealthCheck(clusterId: string, more: object = {}): Request {
  return request({ case: "setHealthCheck", value: { clusterId, config: healthCheck(more) as never } });
}

export function removeHealthCheck(clusterId: string): Request {
  return request({ case: "removeHealthCheck", value: clusterId });
}

/** A template that every status accepts. */
export function answer(status: string, body = "no"): string {
  return `HTTP/1.1 ${status} No\r\nX-Reason: a "b"\r\n\r\n${body}`;
}

export function onListener(verb: "removeListener" | "activateListener" | "deactivateListener", at: string): Request {
  if (verb === "removeListener") return request({ case: verb, value: { address: address(at), proxy: 0 } });
  if (verb === "activateListener") {
    return request({ case: verb, value: { address: address(at), proxy: 0, fromScm: false } });
  }
  return request({ case: verb, value: { address: address(at), proxy: 0, toScm: false } });
}

export function addHttpsListener(at: string, more: object = {}): Request {
  const value = {
    address: address(at),
    stickyName: "SOZUBALANCEID",
    expectProxy: false,
    frontTimeout: 60,
    backTimeout: 30,
    connectTimeout: 3,
    requestTimeout: 10,
    active: false,
    sendTls13Tickets: 4n,
    ...more,
  };
  return request({ case: "addHttpsListener", value });
}

export function updateHttpsListener(at: string, more: object): Request {
  return request({ case: "updateHttpsListener", value: { address: address(at), ...more } });
}

export function addHttpsFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({
    case: "addHttpsFrontend",
    value: frontend(hostname, path, { address: address("0.0.0.0:8443"), ...more }) as never,
  });
}

export function removeHttpsFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({
    case: "removeHttpsFrontend",
    value: frontend(hostname, path, { address: address("0.0.0.0:8443"), ...more }) as never,
  });
}

/** Certificates are dear to make: two for all properties. */
const CERTIFICATES = [makeCertificate({ names: ["a.test"] }), makeCertificate({ names: ["*.test"] })] as const;

/** Requests about HTTPS, over the same names as those of anyRequest. */
function anyHttpsRequest(): fc.Arbitrary<Request> {
  const at = fc.constantFrom("127.0.0.1:80", "127.0.0.1:81");
  const hsts = fc.option(fc.constantFrom({ enabled: true }, { enabled: false }, { enabled: true, maxAge: 0 }), {
    nil: undefined,
  });
  const tls = fc.record({
    hsts,
    disableHttp11: fc.option(fc.boolean(), { nil: undefined }),
    h2MaxConcurrentStreams: fc.option(fc.constantFrom(1, 100), { nil: undefined }),
    backTimeout: fc.constantFrom(1, 60),
    answers: anyAnswers(),
  });
  const alpn = fc.subarray(["h2", "http/1.1"]);
  const front = fc.record({ hsts, clusterId: fc.constantFrom("a", "b", undefined), address: at.map(address) });
  const host = fc.constantFrom("a.test", "*.test");
  const made = fc.constantFrom(...CERTIFICATES);
  const pair = ({ pem, key }: MadeCertificate) => ({
    certificate: pem,
    certificateChain: [],
    key,
    versions: [],
    names: [],
  });
  return fc.oneof(
    fc.tuple(at, tls, alpn).map(([where, more, alpnProtocols]) => addHttpsListener(where, { ...more, alpnProtocols })),
    fc
      .tuple(at, tls, fc.option(alpn, { nil: undefined }))
      .map(([where, more, values]) =>
        updateHttpsListener(where, { ...more, alpnProtocols: values === undefined ? undefined : { values } }),
      ),
    fc
      .tuple(fc.constantFrom("removeListener", "activateListener", "deactivateListener"), at)
      .map(([name, where]) => onOther(name as "removeListener", 1, where)),
    fc.tuple(host, front).map(([name, more]) => addHttpsFrontend(name, "/", more)),
    fc.tuple(host, front).map(([name, more]) => removeHttpsFrontend(name, "/", more)),
    fc
      .tuple(at, made)
      .map(([where, one]) =>
        request({ case: "addCertificate", value: { address: address(where), certificate: pair(one) } }),
      ),
    fc.tuple(at, made, made).map(([where, one, old]) => {
      const value = { address: address(where), newCertificate: pair(one), oldFingerprint: old.fingerprint };
      return request({ case: "replaceCertificate", value });
    }),
    fc
      .tuple(at, made)
      .map(([where, { fingerprint }]) =>
        request({ case: "removeCertificate", value: { address: address(where), fingerprint } }),
      ),
  );
}

/** `type`: HTTPS 1, TCP 2, UDP 3. */
export function onOther(
  verb: "removeListener" | "activateListener" | "deactivateListener",
  type: 1 | 2 | 3,
  at: string,
): Request {
  if (verb === "removeListener") return request({ case: verb, value: { address: address(at), proxy: type } });
  if (verb === "activateListener") {
    return request({ case: verb, value: { address: address(at), proxy: type, fromScm: false } });
  }
  return request({ case: verb, value: { address: address(at), proxy: type, toScm: false } });
}

export function addTcpListener(at: string, more: object = {}): Request {
  const timeouts = { frontTimeout: 60, backTimeout: 30, connectTimeout: 3 };
  const value = { address: address(at), expectProxy: false, ...timeouts, active: false, ...more };
  return request({ case: "addTcpListener", value });
}

export function addUdpListener(at: string, more: object = {}): Request {
  const limits = { frontTimeout: 30, backTimeout: 30, maxRxDatagramSize: 1500, maxFlows: 0 };
  return request({ case: "addUdpListener", value: { address: address(at), ...limits, active: false, ...more } });
}

export function updateTcpListener(at: string, more: object): Request {
  return request({ case: "updateTcpListener", value: { address: address(at), ...more } });
}

export function updateUdpListener(at: string, more: object): Request {
  return request({ case: "updateUdpListener", value: { address: address(at), ...more } });
}

export function streamFrontend(
  verb: "addTcpFrontend" | "removeTcpFrontend" | "addUdpFrontend" | "removeUdpFrontend",
  clusterId: string,
  at: string,
  tags: Record<string, string> = {},
): Request {
  return request({ case: verb, value: { clusterId, address: address(at), tags } });
}

/** Requests about TCP and UDP, over the same names as those of anyRequest. */
function anyStreamRequest(): fc.Arbitrary<Request> {
  const at = fc.constantFrom("127.0.0.1:80", "127.0.0.1:81", "[::1]:80");
  const tcp = fc.record(
    { expectProxy: fc.boolean(), frontTimeout: fc.constantFrom(0, 1), connectTimeout: fc.constantFrom(1, 2) },
    { requiredKeys: [] },
  );
  const udp = fc.record({ maxFlows: fc.nat(3), backTimeout: fc.constantFrom(1, 2) }, { requiredKeys: [] });
  const verb = fc.constantFrom("addTcpFrontend", "removeTcpFrontend", "addUdpFrontend", "removeUdpFrontend");
  const tags = fc.constantFrom({}, { a: "b" });
  return fc.oneof(
    fc.tuple(at, tcp).map(([where, more]) => addTcpListener(where, more)),
    fc.tuple(at, tcp).map(([where, more]) => updateTcpListener(where, more)),
    fc.tuple(at, udp).map(([where, more]) => addUdpListener(where, more)),
    fc.tuple(at, udp).map(([where, more]) => updateUdpListener(where, more)),
    fc
      .tuple(fc.constantFrom("removeListener", "activateListener", "deactivateListener"), fc.constantFrom(2, 3), at)
      .map(([name, type, where]) => onOther(name as "removeListener", type as 2, where)),
    fc
      .tuple(verb, fc.constantFrom("a", "b"), at, tags)
      .map(([name, id, where, some]) => streamFrontend(name as "addTcpFrontend", id, where, some)),
  );
}

/** Requests over a small set of names, so that additions meet, repeat and undo each other. */
export function anyRequest(): fc.Arbitrary<Request> {
  const id = fc.constantFrom("a", "b", "__proto__", "ü", "c;d");
  const at = fc.constantFrom("127.0.0.1:80", "127.0.0.1:81", "[::1]:80");
  const host = fc.constantFrom("a.test", "*.test", "B.test.", "[::1]", "*");
  const path = fc.constantFrom("", "/", "/a;GET", "/ü");
  const rule = fc.record({ kind: fc.constantFrom(0, 2), value: path });
  const front = fc.record({
    clusterId: fc.option(id, { nil: undefined }),
    address: at.map(address),
    hostname: host,
    path: rule,
    method: fc.option(fc.constantFrom("GET", "POST"), { nil: undefined }),
    position: fc.constantFrom(0, 1, 2),
    tags: fc.dictionary(id, id, { noNullPrototype: true, maxKeys: 2 }),
    redirect: fc.option(fc.constantFrom(0, 1, 2, 3, 4), { nil: undefined }),
    redirectScheme: fc.option(fc.constantFrom(0, 1, 2), { nil: undefined }),
    redirectTemplate: fc.option(fc.constantFrom("", answer("301", "ü")), { nil: undefined }),
    rewriteHost: fc.option(fc.constantFrom("", "b.test", "$HOST[0]"), { nil: undefined }),
    rewritePath: fc.option(fc.constantFrom("/", "/x$PATH[0]"), { nil: undefined }),
    rewritePort: fc.option(fc.constantFrom(1, 65_535), { nil: undefined }),
    requiredAuth: fc.option(fc.boolean(), { nil: undefined }),
    headers: fc.array(anyHeader(), { maxLength: 3 }),
  });
  const weight = fc.option(fc.record({ weight: fc.integer({ min: 0, max: 255 }) }), { nil: undefined });
  return fc.oneof(
    anyStreamRequest(),
    anyHttpsRequest(),
    fc.tuple(id, anyClusterPart()).map(([name, more]) => addCluster(name, more)),
    fc.tuple(id, anyHealthCheck()).map(([name, more]) => setHealthCheck(name, more)),
    id.map(removeHealthCheck),
    id.map(removeCluster),
    fc
      .tuple(id, id, at, weight)
      .map(([cluster, name, where, w]) => addBackend(cluster, name, where, { loadBalancingParameters: w })),
    fc.tuple(id, id, at).map(([cluster, name, where]) => removeBackend(cluster, name, where)),
    front.map((value) => request({ case: "addHttpFrontend", value: value as never })),
    front.map((value) => request({ case: "removeHttpFrontend", value: value as never })),
    fc.tuple(at, anyListenerPart()).map(([where, more]) => addListener(where, more)),
    fc
      .tuple(at, anyListenerPart(), fc.option(anyNetworks(), { nil: undefined }))
      .map(([where, more, values]) =>
        updateListener(where, { ...more, trustedProxies: values === undefined ? undefined : { values } }),
      ),
    fc
      .tuple(fc.constantFrom("removeListener", "activateListener", "deactivateListener"), at)
      .map(([verb, where]) => onListener(verb as "removeListener", where)),
  );
}

/** Texts for a few statuses, now and then an empty one; as a map of a message. */
function anyAnswers(): fc.Arbitrary<Record<string, string>> {
  const status = fc.constantFrom("404", "503");
  return fc
    .array(fc.tuple(status, fc.constantFrom("", "a", "ü", '"\n')), { maxLength: 2 })
    .map((pairs) => Object.fromEntries(pairs.map(([name, body]) => [name, body === "" ? "" : answer(name, body)])));
}

function anyHeader(): fc.Arbitrary<object> {
  return fc.record({
    position: fc.constantFrom(1, 2, 3),
    key: fc.constantFrom("X-A", "x-b"),
    val: fc.constantFrom("a\tb", "1"),
    append: fc.option(fc.boolean(), { nil: undefined }),
  });
}

function anyHealthCheck(): fc.Arbitrary<object> {
  return fc.record({
    uri: fc.constantFrom("/", "/health?x=%20"),
    interval: fc.constantFrom(1, 10),
    expectedStatus: fc.constantFrom(0, 204),
    tcp: fc.option(fc.boolean(), { nil: undefined }),
    acceptedStatuses: fc.subarray(["200", "200-399", "500-503"]),
  });
}

function anyClusterPart(): fc.Arbitrary<object> {
  const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
  const hash = `user:${"0123456789abcdef".repeat(4)}`;
  return fc.record({
    loadBalancing: fc.constantFrom(4, 5),
    answers: anyAnswers(),
    answer503: optional(fc.constantFrom("", answer("503", "old"))),
    authorizedHashes: fc.subarray([hash, `other-${hash}`]),
    wwwAuthenticate: optional(fc.constantFrom("", 'Basic realm="ü"')),
    maxConnectionsPerIp: optional(fc.constantFrom(0n, 5n, 4_294_967_295n)),
    retryAfter: optional(fc.constantFrom(0, 30)),
    healthCheck: optional(anyHealthCheck().map((more) => healthCheck(more))),
    affinity: optional(fc.constantFrom("source-ip", "header:X-User", "cookie:Sid")),
    slowStart: optional(fc.constantFrom(0, 60)),
    ejectAfter: optional(fc.constantFrom(0, 3)),
    ejectionTime: optional(fc.constantFrom(30, 1)),
    proxyProtocol: optional(fc.constantFrom(0, 1, 2)),
    http2: optional(fc.boolean()),
    udp: optional(
      fc.record({
        affinityKey: fc.constantFrom(0, 1),
        responses: fc.nat(2),
        health: optional(
          fc.record({ mode: fc.constantFrom(0, 2), rise: fc.constantFrom(1, 2), udpProbePayload: fc.uint8Array() }),
        ),
      }),
    ),
  });
}

function anyNetworks(): fc.Arbitrary<string[]> {
  return fc.subarray(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"]);
}

/** Fields that a listener and a patch of one have in common. */
function anyListenerPart(): fc.Arbitrary<object> {
  const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
  return fc.record(
    {
      answers: anyAnswers(),
      httpAnswers: fc.record({ answer503: optional(fc.constantFrom("", answer("503", "old"))) }),
      frontTimeout: fc.constantFrom(1, 60),
      sozuIdHeader: fc.constantFrom("Sozu-Id", "X-Id"),
      elideXRealIp: fc.boolean(),
      h2MaxPingPerWindow: fc.constantFrom(1, 50),
      h2MaxRstStreamLifetime: fc.constantFrom(1n, 50n),
      underscoreNames: fc.constantFrom("pass", "drop", "refuse"),
      dotSegments: fc.constantFrom("pass", "refuse"),
      encodedSlashes: fc.constantFrom("pass", "refuse"),
    },
    { requiredKeys: [] },
  );
}
