// The JSON form of protocol messages (decisions 3 and 4): the three records that older writers left, round trips of
// every message kind, numbers beyond 2^53, keys named __proto__, and refusals that name the member.

import assert from "node:assert/strict";
import test from "node:test";
import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  AggregatedMetricsSchema,
  ClusterSchema,
  RequestHttpFrontendSchema,
  RequestSchema,
  ResponseContentSchema,
  UdpHealthConfigSchema,
  WorkerRequestSchema,
} from "../../src/command/gen/sozu_pb.ts";
import { compareUtf8, fromJson, oneofToPrettyJson, toJson, toPrettyJson } from "../../src/command/json.ts";
import { request } from "../../src/command/messages.ts";

/** decisions 4, as Sozu 1.1.1 leaves them. */
const OLD_RECORDS = [
  '{"id":"P-1","content":{"request_type":{"ADD_CLUSTER":{"cluster_id":"app-1","sticky_session":false,"https_redirect":false,"proxy_protocol":null,"load_balancing":0,"answer_503":null,"load_metric":0}}}}',
  '{"id":"P-2","content":{"request_type":{"ADD_HTTP_FRONTEND":{"cluster_id":"app-1","address":{"ip":{"inner":{"V4":2130706433}},"port":80},"hostname":"example.com","path":{"kind":0,"value":"/"},"method":null,"position":2,"tags":{}}}}}',
  '{"id":"P-3","content":{"request_type":{"ADD_BACKEND":{"cluster_id":"app-1","backend_id":"b0","address":{"ip":{"inner":{"V4":2130706433}},"port":8080},"sticky_id":null,"load_balancing_parameters":null,"backup":null}}}}',
];

test("fromJson reads the records of older writers", () => {
  for (const record of OLD_RECORDS) {
    const read = fromJson(WorkerRequestSchema, record);
    assert.ok(read.ok, record);
    // Everything the record holds comes back; members that the schema gained since are added.
    const again = JSON.parse(toJson(WorkerRequestSchema, read.message));
    assertContains(again, JSON.parse(record));
    assert.deepEqual(fromJson(WorkerRequestSchema, toJson(WorkerRequestSchema, read.message)), read);
  }
});

test("toJson writes the third record byte for byte", () => {
  const read = fromJson(WorkerRequestSchema, OLD_RECORDS[2]!);
  assert.ok(read.ok);
  assert.equal(toJson(WorkerRequestSchema, read.message), OLD_RECORDS[2]);
});

test("toJson writes oneofs, scalars in oneofs and empty messages", () => {
  const text = (init: Parameters<typeof request>[0]) => toJson(RequestSchema, request(init));
  assert.equal(text({ case: "removeCluster", value: "app" }), '{"request_type":{"REMOVE_CLUSTER":"app"}}');
  assert.equal(text({ case: "status", value: {} }), '{"request_type":{"STATUS":{}}}');
  assert.equal(text({ case: "Logging", value: "info" }), '{"request_type":{"LOGGING":"info"}}');
  assert.equal(
    text({ case: "setMaxConnectionsPerIp", value: 7n }),
    '{"request_type":{"SET_MAX_CONNECTIONS_PER_IP":7}}',
  );
  assert.equal(toJson(RequestSchema, create(RequestSchema)), '{"request_type":null}');
});

test("toJson sorts map keys by bytes, writes bytes as integers, and leaves absent additions out", () => {
  const cluster = create(ClusterSchema, { clusterId: "a", answers: { "503": "x", "404": "y", é: "z", Z: "" } });
  const text = toJson(ClusterSchema, cluster);
  assert.match(text, /"answers":\{"404":"y","503":"x","Z":"","é":"z"\}/);
  assert.doesNotMatch(text, /shared_backend_connections/);
  cluster.sharedBackendConnections = false;
  assert.match(toJson(ClusterSchema, cluster), /"shared_backend_connections":false\}$/);
  const health = create(UdpHealthConfigSchema, { udpProbePayload: Uint8Array.of(0, 128, 255) });
  assert.match(toJson(UdpHealthConfigSchema, health), /"udp_probe_payload":\[0,128,255\]/);
});

test("64-bit integers keep all digits both ways", () => {
  const text =
    '{"request_type":{"REMOVE_LISTENER":{"address":{"ip":{"inner":{"V6":{"low":18446744073709551615,"high":2306139568115548160}}},"port":443},"proxy":0}}}';
  const read = fromJson(RequestSchema, text);
  assert.ok(read.ok);
  assert.equal(toJson(RequestSchema, read.message), text);
  const huge = fromJson(RequestSchema, '{"request_type":{"SET_MAX_CONNECTIONS_PER_IP":18446744073709551616}}');
  assert.deepEqual(huge, {
    ok: false,
    reason:
      "request_type.SET_MAX_CONNECTIONS_PER_IP: expected an integer from 0 to 18446744073709551615, got 18446744073709551616",
  });
});

test("a tag named __proto__ is data", () => {
  const text =
    '{"cluster_id":null,"address":{"ip":{"inner":{"V4":1}},"port":80},"hostname":"a","path":{"kind":0,"value":""},"method":null,"position":2,"tags":{"__proto__":"x","constructor":"y"}}';
  const read = fromJson(RequestHttpFrontendSchema, text);
  assert.ok(read.ok);
  assert.deepEqual(Object.keys(read.message.tags).sort(), ["__proto__", "constructor"]);
  assert.match(toJson(RequestHttpFrontendSchema, read.message), /"tags":\{"__proto__":"x","constructor":"y"\}/);
  assert.equal(({} as Record<string, unknown>)["x"], undefined);
});

test("toPrettyJson indents by two, oneofToPrettyJson drops the object around the case", () => {
  const content = create(ResponseContentSchema, {
    contentType: { case: "workers", value: { vec: [{ id: 0, pid: 42, runState: 0 }] } },
  });
  assert.equal(
    oneofToPrettyJson(ResponseContentSchema, content),
    JSON.stringify({ WORKERS: { vec: [{ id: 0, pid: 42, run_state: 0 }] } }, null, 2),
  );
  assert.equal(oneofToPrettyJson(ResponseContentSchema, create(ResponseContentSchema)), "{}");
  const metrics = create(AggregatedMetricsSchema, { main: { a: { inner: { case: "gauge", value: 1n } } } });
  const expected = { main: { a: { inner: { GAUGE: 1 } } }, workers: {}, clusters: {}, proxying: {} };
  assert.equal(toPrettyJson(AggregatedMetricsSchema, metrics), JSON.stringify(expected, null, 2));
});

test("fromJson names what is wrong", () => {
  const reason = (text: string): string => {
    const read = fromJson(RequestSchema, text);
    return read.ok ? "read" : read.reason;
  };
  assert.equal(reason('{"request_type":{"ADD_CLUSTER":{}}}'), "request_type.ADD_CLUSTER.cluster_id: missing field");
  assert.equal(reason('{"request_type":{"NO_SUCH":1}}'), 'request_type: unknown variant "NO_SUCH"');
  assert.equal(
    reason('{"request_type":{"STATUS":{},"SOFT_STOP":{}}}'),
    "request_type: expected exactly one member, got 2",
  );
  assert.equal(
    reason('{"request_type":{"REMOVE_CLUSTER":7}}'),
    "request_type.REMOVE_CLUSTER: expected a string, got a number",
  );
  assert.equal(reason("[]"), "expected an object, got an array");
  assert.equal(
    reason('{"request_type":{"CONFIGURE_METRICS":9}}'),
    "request_type.CONFIGURE_METRICS: expected a number of MetricsConfiguration, got 9",
  );
  assert.match(reason('{"request_type"'), /JSON/);
  assert.equal(reason('{"unknown":1}'), "read");
  assert.match(reason(`{"request_type":${"[".repeat(200_000)}`), /./);
});

test("compareUtf8 orders as the UTF-8 bytes do", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
      assert.equal(Math.sign(compareUtf8(a, b)), Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});

test("property: frontends survive the JSON form", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 });
  const frontend = fc.record(
    {
      clusterId: text,
      hostname: text,
      method: text,
      position: fc.constantFrom(0, 1, 2),
      tags: fc.dictionary(text, text, { noNullPrototype: true }),
      rewritePort: fc.nat(),
    },
    { requiredKeys: ["hostname", "position", "tags"] },
  );
  fc.assert(
    fc.property(frontend, (init) => {
      const message = create(RequestHttpFrontendSchema, {
        ...init,
        address: { ip: { inner: { case: "v4", value: 1 } }, port: 80 },
        path: { kind: 0, value: "/" },
      } as never);
      const read = fromJson(RequestHttpFrontendSchema, toJson(RequestHttpFrontendSchema, message));
      assert.ok(read.ok && equals(RequestHttpFrontendSchema, read.message, message));
    }),
  );
});

function assertContains(actual: unknown, expected: unknown): void {
  if (typeof expected !== "object" || expected === null) {
    assert.deepEqual(actual, expected);
    return;
  }
  for (const [key, value] of Object.entries(expected)) {
    assertContains((actual as Record<string, unknown>)[key], value);
  }
}
