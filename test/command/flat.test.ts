// The flat encoding: every kind of change survives, equal objects have equal bytes, and no bytes make the reader throw
// or read outside of what it was given.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ChangeWriter, FLAT, FLAT_HEADER_BYTES } from "../../src/command/flat.ts";
import { ChangeReader } from "../../src/command/flat-reader.ts";
import { StateMirror } from "../../src/command/mirror.ts";
import type { Change } from "../../src/command/objects.ts";
import type {
  BackendTlsObject,
  CertificateObject,
  HstsObject,
  HttpsListenerObject,
} from "../../src/command/objects-tls.ts";
import { followChanges } from "../../src/command/snapshot.ts";

const address = { ip: "127.0.0.1", port: 80 };
const frontend = {
  clusterId: "app",
  address,
  hostname: "a.test",
  pathKind: 0,
  path: "/ü",
  method: "GET",
  position: 2,
  tags: [
    ["__proto__", "x"],
    ["k", ""],
  ] as const,
  policy: null,
};
const listener = {
  address,
  publicAddress: { ip: "2001:db8::1", port: 443 },
  expectProxy: true,
  stickyName: "S",
  frontTimeout: 60,
  backTimeout: 4_000_000_000,
  connectTimeout: 0,
  requestTimeout: 10,
  active: false,
  sozuIdHeader: "Sozu-Id",
  elideXRealIp: true,
  sendXRealIp: true,
  answers: [],
  trustedProxies: [],
  underscoreNames: 0,
  dotSegments: 0,
  encodedSlashes: 0,
};
const cluster = {
  clusterId: "🦀",
  stickySession: true,
  httpsRedirect: true,
  httpsRedirectPort: 8443,
  loadBalancing: 3,
  loadMetric: 2,
  sharedBackendConnections: false,
  policy: null,
  healthCheck: null,
  tuning: null,
  transport: null,
  tls: null,
};
const backend = { clusterId: "app", backendId: "b", address, weight: 255, stickyId: null, backup: true };

const richListener = {
  ...listener,
  answers: [
    ["404", `${"ü".repeat(30_000)}\0`],
    ["503", "x".repeat(65_536)],
  ] as const,
  trustedProxies: ["10.0.0.0/8", "::1/128"],
  underscoreNames: 1,
  dotSegments: 2,
  encodedSlashes: 2,
};
const richCluster = {
  ...cluster,
  policy: {
    answers: [["503", ""]] as const,
    authorizedHashes: ["__proto__:00", "b:11"],
    wwwAuthenticate: 'Basic realm="ü"',
    maxConnectionsPerIp: 0,
    retryAfter: null,
  },
  healthCheck: {
    uri: "/h",
    interval: 1,
    timeout: 2,
    healthyThreshold: 3,
    unhealthyThreshold: 4,
    expectedStatus: 204,
    tcp: true,
    acceptedStatuses: [
      [200, 399],
      [599, 599],
    ] as const,
  },
  tuning: { affinity: 2, affinityName: "sid", slowStart: 60, ejectAfter: 3, ejectionTime: 4_000_000_000 },
};
const poorPolicy = {
  answers: [],
  authorizedHashes: [],
  wwwAuthenticate: null,
  maxConnectionsPerIp: 4_294_967_295,
  retryAfter: 0,
};
const frontendPolicy = {
  redirect: 4,
  redirectScheme: 2,
  redirectTemplate: "HTTP/1.1 308 ü\r\n\r\n",
  rewriteHost: "$HOST[1].test",
  rewritePath: null,
  rewritePort: 65_535,
  requiredAuth: true,
  headers: [
    { position: 3, name: "X-A", value: "", append: false },
    { position: 1, name: "X-B", value: "ü", append: true },
  ],
};

const hsts: HstsObject = {
  enabled: true,
  maxAge: 0xffffffff,
  includeSubdomains: true,
  preload: false,
  forceReplaceBackend: true,
};

const httpsListener: HttpsListenerObject = {
  ...listener,
  tls: {
    versions: [4, 5],
    cipherList: ["TLS13_AES_128_GCM_SHA256"],
    cipherSuites: [],
    signatureAlgorithms: ["ECDSA+SHA256"],
    groupsList: ["x25519", "P-256"],
    alpnProtocols: ["http/1.1"],
    sendTls13Tickets: 65_535,
    strictSniBinding: true,
    disableHttp11: false,
  },
  http2: {
    maxRstStreamPerWindow: 1,
    maxPingPerWindow: 2,
    maxSettingsPerWindow: 3,
    maxEmptyDataPerWindow: 4,
    maxWindowUpdateStream0PerWindow: 5,
    maxContinuationFrames: 6,
    maxGlitchCount: 7,
    initialConnectionWindow: 65_535,
    maxConcurrentStreams: 8,
    streamShrinkRatio: 9,
    maxRstStreamLifetime: Number.MAX_SAFE_INTEGER,
    maxRstStreamAbusiveLifetime: 10,
    maxRstStreamEmittedLifetime: 11,
    maxHeaderListSize: 12,
    maxHeaderTableSize: 13,
    maxHeaderFields: 14,
    streamIdleTimeoutSeconds: 15,
    gracefulShutdownDeadlineSeconds: 0,
  },
  hsts,
  clientAuth: {
    required: true,
    ca: "-----BEGIN CERTIFICATE-----",
    subjectHeader: "X-Subject",
    fingerprintHeader: null,
  },
};

const certificate: CertificateObject = {
  address,
  fingerprint: "ab".repeat(32),
  names: ["a.test", "*.a.test"],
  expiresAt: -1,
  notBefore: -2_000_000_000,
  notAfter: 253_402_300_799,
  versions: [5],
  keyKind: 5,
  certificate: "leaf ü",
  chain: ["middle", "root"],
  key: "a private key",
  isDefault: true,
  ocspResponse: "AAEC",
};

const backendTls = { verify: true, ca: null, serverName: "b.test", certificate: "mine", key: "a private key" };

const EVERY_KIND: readonly Change[] = [
  { kind: "add_http_listener", listener },
  { kind: "add_http_listener", listener: { ...listener, publicAddress: null, expectProxy: false } },
  { kind: "remove_http_listener", address },
  { kind: "activate_http_listener", address },
  { kind: "deactivate_http_listener", address },
  { kind: "add_cluster", cluster },
  { kind: "add_cluster", cluster: { ...cluster, httpsRedirectPort: null, clusterId: "a" } },
  { kind: "remove_cluster", clusterId: "a" },
  { kind: "add_backend", backend },
  { kind: "add_backend", backend: { ...backend, stickyId: "", backup: false } },
  { kind: "remove_backend", clusterId: "app", backendId: "b", address },
  { kind: "add_http_frontend", frontend },
  { kind: "add_http_frontend", frontend: { ...frontend, clusterId: null, method: null, tags: [], path: "" } },
  { kind: "remove_http_frontend", frontend },
  { kind: "add_http_listener", listener: richListener },
  { kind: "add_cluster", cluster: richCluster },
  { kind: "add_cluster", cluster: { ...cluster, policy: poorPolicy } },
  { kind: "add_cluster", cluster: { ...cluster, healthCheck: { ...richCluster.healthCheck, acceptedStatuses: [] } } },
  { kind: "add_http_frontend", frontend: { ...frontend, policy: frontendPolicy } },
  {
    kind: "add_http_frontend",
    frontend: {
      ...frontend,
      tags: [],
      policy: { ...frontendPolicy, requiredAuth: false, redirectTemplate: null, rewritePort: null, headers: [] },
    },
  },
  { kind: "add_https_listener", listener: httpsListener },
  { kind: "add_https_listener", listener: { ...httpsListener, hsts: null, clientAuth: null } },
  { kind: "remove_https_listener", address },
  { kind: "activate_https_listener", address },
  { kind: "deactivate_https_listener", address },
  { kind: "add_https_frontend", frontend: { ...frontend, hsts } },
  { kind: "add_https_frontend", frontend: { ...frontend, policy: frontendPolicy, hsts: null } },
  { kind: "remove_https_frontend", frontend: { ...frontend, hsts: null } },
  { kind: "add_certificate", certificate },
  { kind: "add_certificate", certificate: { ...certificate, chain: [], isDefault: false, ocspResponse: null } },
  { kind: "remove_certificate", fingerprint: certificate.fingerprint, address },
  { kind: "add_cluster", cluster: { ...cluster, tls: backendTls } },
  { kind: "add_cluster", cluster: { ...cluster, tls: { ...backendTls, certificate: null, key: null, ca: "x" } } },
];

function encode(changes: readonly Change[], revision = 1): Uint8Array {
  const writer = new ChangeWriter(1);
  for (const change of changes) writer.change(change);
  return writer.finish(revision, 0xfffffffe, 7).slice();
}

function readAll(bytes: Uint8Array): { changes: Change[]; result: number } {
  const reader = new ChangeReader(bytes);
  const changes: Change[] = [];
  for (let result = reader.next(); ; result = reader.next()) {
    if (result !== FLAT.CHANGE) return { changes, result };
    changes.push(reader.change!);
  }
}

test("every kind of change survives, in order", () => {
  assert.deepEqual(readAll(encode(EVERY_KIND)), { changes: EVERY_KIND, result: FLAT.END });
});

test("private keys come last and are not hashed, everything else is", () => {
  const hashOf = (change: Change): number => {
    const mirror = new StateMirror();
    assert.equal(followChanges(encode([change]), mirror, () => null).result, FLAT.END);
    return mirror.hashLow;
  };
  const certificateHash = hashOf({ kind: "add_certificate", certificate });
  assert.equal(hashOf({ kind: "add_certificate", certificate: { ...certificate, key: "another" } }), certificateHash);
  const newer = { ...certificate, ocspResponse: null };
  assert.notEqual(hashOf({ kind: "add_certificate", certificate: newer }), certificateHash);
  const withTls = (tls: BackendTlsObject): number => hashOf({ kind: "add_cluster", cluster: { ...cluster, tls } });
  assert.equal(withTls({ ...backendTls, key: "another" }), withTls(backendTls));
  assert.notEqual(withTls({ ...backendTls, verify: false }), withTls(backendTls));
});

test("the header carries revision, count and hash", () => {
  const reader = new ChangeReader(encode(EVERY_KIND, 2 ** 40 + 5));
  assert.deepEqual(
    [reader.revision, reader.count, reader.hashLow, reader.hashHigh, reader.error],
    [2 ** 40 + 5, EVERY_KIND.length, 0xfffffffe, 7, FLAT.END],
  );
  assert.deepEqual(readAll(encode([])), { changes: [], result: FLAT.END });
});

test("a small writer grows, and reset() starts over", () => {
  const writer = new ChangeWriter(1);
  writer.change(EVERY_KIND[0]!);
  writer.reset();
  writer.change(EVERY_KIND[7]!);
  assert.deepEqual(readAll(writer.finish(1, 0, 0)).changes, [EVERY_KIND[7]]);
});

test("wrong headers have their own codes", () => {
  const good = encode(EVERY_KIND);
  const change = (at: number, value: number): Uint8Array => {
    const bytes = good.slice();
    bytes[at] = value;
    return bytes;
  };
  assert.equal(readAll(change(0, 0)).result, FLAT.BAD_MAGIC);
  assert.equal(readAll(change(4, 9)).result, FLAT.BAD_VERSION);
  assert.equal(readAll(change(16, 200)).result, FLAT.BAD_COUNT);
  assert.equal(readAll(good.subarray(0, good.length - 1)).result, FLAT.TRUNCATED);
  assert.equal(readAll(good.subarray(0, 10)).result, FLAT.TRUNCATED);
  assert.equal(readAll(Buffer.concat([good, Uint8Array.of(0)])).result, FLAT.TRUNCATED);
  assert.equal(readAll(change(FLAT_HEADER_BYTES + 4, 99)).result, FLAT.UNKNOWN_KIND);
  assert.equal(readAll(change(FLAT_HEADER_BYTES, 20)).result, FLAT.BAD_CHANGE);
});

test("property: flipped and cut bytes never throw and never grow the number of changes", () => {
  const good = encode(EVERY_KIND);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 }),
      fc.nat({ max: good.length }),
      (flips, cut) => {
        const bytes = good.slice();
        for (const [at, value] of flips) bytes[at] = value;
        assert.ok(readAll(bytes).changes.length <= EVERY_KIND.length);
        assert.ok(readAll(bytes.subarray(0, cut)).result < 0 || cut === good.length);
      },
    ),
    { numRuns: 500 },
  );
});

test("property: random bytes behind a good header never throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      const bytes = new Uint8Array(FLAT_HEADER_BYTES + random.length);
      bytes.set(encode([]).subarray(0, FLAT_HEADER_BYTES));
      bytes.set(random, FLAT_HEADER_BYTES);
      new DataView(bytes.buffer).setUint32(20, bytes.length, true);
      readAll(bytes);
    }),
  );
});

test("followChanges stops at the first refusal and keeps the mirror at what was taken", () => {
  const mirror = new StateMirror();
  const bytes = encode([EVERY_KIND[5]!, EVERY_KIND[8]!, EVERY_KIND[11]!]);
  const followed = followChanges(bytes, mirror, (change) => (change.kind === "add_backend" ? "no room" : null));
  assert.deepEqual(followed, { result: FLAT.CHANGE, refusal: "no room", revision: 1, inStep: false });
  assert.equal(mirror.size, 1);
});

test("the state hash does not depend on the order of changes and returns to zero", () => {
  const adds = [EVERY_KIND[0]!, EVERY_KIND[3]!, EVERY_KIND[6]!, EVERY_KIND[8]!, EVERY_KIND[11]!];
  const removes = [EVERY_KIND[2]!, EVERY_KIND[7]!, EVERY_KIND[10]!, EVERY_KIND[13]!];
  const hash = (changes: readonly Change[]): string => {
    const mirror = new StateMirror();
    followChanges(encode(changes), mirror, () => null);
    return `${mirror.hashLow}:${mirror.hashHigh}:${mirror.size}`;
  };
  assert.equal(hash(adds), hash(adds.toReversed()));
  assert.notEqual(hash(adds), hash(adds.slice(1)));
  assert.equal(hash([...adds, ...removes]), "0:0:0");
});
