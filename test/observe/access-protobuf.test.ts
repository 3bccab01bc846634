// Records are decoded with the schema of the command socket (spec 12.3): what goes in comes out, whatever it is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { addressFromMessage } from "../../src/command/address.ts";
import { formatAddress } from "../../src/command/address-text.ts";
import { type ProtobufAccessLog as Message, ProtobufAccessLogSchema } from "../../src/command/gen/sozu_pb.ts";
import { ProtobufAccessLog } from "../../src/observe/access-protobuf.ts";
import { AccessRecord } from "../../src/observe/access-writer.ts";
import { BatchSink } from "../../src/observe/sink.ts";
import { MemoryTarget } from "./memory-target.ts";

const AT_US = Date.UTC(2026, 10, 20, 17, 56, 51) * 1000 + 123_456;
const ULID = "01KAGX5D2Q7N8P9R0S1T2V3W4X";

/** An arena that strings are put into one after the other, and a log over it. */
class Bench {
  readonly memory = new Uint8Array(200_000).fill(0xee);
  readonly target = new MemoryTarget();
  readonly sink = new BatchSink(this.target, 1_048_576);
  readonly log = new ProtobufAccessLog({ sink: this.sink, memoryBytes: this.memory, tag: "WRK-03", pid: 1 });
  readonly record = new AccessRecord();
  #used = 64;

  put(text: string): number {
    const at = this.#used;
    const bytes = Buffer.from(text, "latin1");
    this.memory.set(bytes, at);
    this.#used += bytes.length;
    return at;
  }

  /** Takes what was written apart: `varint length, message, two zero bytes`, nothing else. */
  take(): Message[] {
    this.sink.tick();
    const bytes = this.target.takeBytes();
    const messages: Message[] = [];
    for (let at = 0; at < bytes.length; ) {
      let length = 0;
      let shift = 0;
      for (;;) {
        const byte = bytes[at++] as number;
        length |= (byte & 127) << shift;
        shift += 7;
        if (byte < 128) break;
      }
      messages.push(fromBinary(ProtobufAccessLogSchema, bytes.subarray(at, at + length)));
      assert.deepEqual([...bytes.subarray(at + length, at + length + 2)], [0, 0]);
      at += length + 2;
    }
    return messages;
  }

  one(): Message {
    this.log.write(this.record, AT_US);
    const [message, ...more] = this.take();
    assert.ok(message);
    assert.equal(more.length, 0);
    return message;
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function ulidValue(text: string): bigint {
  return [...text].reduce(
    (value, digit) => value * 32n + BigInt("0123456789ABCDEFGHJKMNPQRSTVWXYZ".indexOf(digit)),
    0n,
  );
}

function addressOf(address: Message["sessionAddress"]): string {
  const found = addressFromMessage(address);
  assert.ok(typeof found !== "string", String(found));
  return canonical(formatAddress(found));
}

/** As URLs write it. */
function canonical(address: string): string {
  const colon = address.lastIndexOf(":");
  return new URL(`http://${address.slice(0, colon)}`).hostname + address.slice(colon);
}

function wide(value: { low: bigint; high: bigint } | undefined): bigint {
  assert.ok(value);
  return (value.high << 64n) | value.low;
}

test("12.3: a proxied request over TLS gives a record with everything", () => {
  const bench = new Bench();
  const { record, log } = bench;
  const head =
    "GET /api HTTP/1.1\r\nHost: a\r\nX-Request-Id: 01ABC\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Port: 1\r\n\r\n";
  record.sessionUlid = bench.put(ULID);
  record.requestUlid = bench.put("7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  record.clusterId = bytes("app");
  record.backendId = bytes("b\u00e4ck");
  record.clientOffset = bench.put("127.0.0.1:50312");
  record.clientLength = 15;
  record.backendAddress = bytes("[2001:db8::7]:1026");
  Object.assign(record, { requestUs: 1234, serviceUs: 56, responseUs: 1178, clientRttUs: 40, serverRttUs: 35 });
  Object.assign(record, { bytesIn: 80, bytesOut: 2 ** 40, status: 200 });
  record.tags = log.tagBytes([
    ["env", "prod"],
    ["n\u00f6", "a, b=c"],
  ]);
  record.tls = log.tlsBytes({
    version: "TLSv1.3",
    cipher: "C",
    group: "x25519",
    serverName: "a.test",
    alpn: "http/1.1",
    resumed: true,
  });
  record.userAgentOffset = bench.put("curl \xff1");
  record.userAgentLength = 7;
  record.authorityOffset = bench.put("localhost:8080");
  record.authorityLength = 14;
  record.methodOffset = bench.put("GET");
  record.methodLength = 3;
  record.pathOffset = bench.put("/api");
  record.pathLength = 4;
  record.headOffset = bench.put(head);
  record.headLength = head.length;
  record.protocol = bytes("https");
  record.message = bytes("H1::Complete");
  const message = bench.one();
  assert.equal(message.message, "H1::Complete");
  assert.equal(wide(message.requestId), 2n ** 128n - 1n);
  assert.equal(wide(message.sessionId), ulidValue(ULID));
  assert.deepEqual(
    [message.clusterId, message.backendId, message.protocol, message.tag],
    ["app", "b\u00e4ck", "https", "WRK-03"],
  );
  assert.equal(addressOf(message.sessionAddress), "127.0.0.1:50312");
  assert.equal(addressOf(message.backendAddress), "[2001:db8::7]:1026");
  const { inner } = message.endpoint!;
  assert.ok(inner.case === "http");
  const { method, authority, path, status } = inner.value;
  assert.deepEqual([method, authority, path, status], ["GET", "localhost:8080", "/api", 200]);
  assert.deepEqual([message.clientRtt, message.serverRtt, message.serviceTime], [40n, 35n, 56n]);
  assert.deepEqual([message.requestTime, message.responseTime], [1234n, 1178n]);
  assert.deepEqual([message.bytesIn, message.bytesOut], [80n, 2n ** 40n]);
  assert.equal(message.userAgent, "curl ?1");
  assert.deepEqual({ ...message.tags }, { env: "prod", "n\u00f6": "a, b=c" });
  assert.equal(wide(message.time), BigInt(AT_US) * 1000n);
  assert.equal(wide(message.startTime), BigInt(AT_US - 1234) * 1000n);
  assert.deepEqual(
    [message.tlsVersion, message.tlsCipher, message.tlsSni, message.tlsAlpn],
    ["TLSv1.3", "C", "a.test", "http/1.1"],
  );
  assert.deepEqual([message.tlsGroup, message.tlsResumed], ["x25519", true]);
  assert.deepEqual([message.xRequestId, message.xffChain], ["01ABC", "10.0.0.1, 10.0.0.2"]);
});

test("12.3: what is not known is left out", () => {
  const bench = new Bench();
  const message = bench.one();
  assert.equal(message.sessionAddress, undefined);
  assert.equal(message.userAgent, "");
  assert.equal(message.endpoint?.inner.case, "http");
  assert.equal(message.sessionId, undefined);
  assert.equal(message.startTime, undefined);
});

test("records of any length follow each other", () => {
  const bench = new Bench();
  const { record } = bench;
  const at = bench.put("x".repeat(60_000));
  record.pathOffset = at;
  const lengths = [0, 1, 5, 40, 60, 100, 127, 128, 300, 16_200, 16_300, 16_383, 16_384, 60_000];
  for (const length of lengths) {
    record.pathLength = length;
    bench.log.write(record, AT_US);
  }
  const paths = bench
    .take()
    .map(({ endpoint }) => (endpoint?.inner.case === "http" ? endpoint.inner.value.path.length : -1));
  assert.deepEqual(paths, lengths);
});

test("every address comes out as it went in", () => {
  const bench = new Bench();
  const { record } = bench;
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  const v6 = fc
    .array(group, { minLength: 8, maxLength: 8 })
    .map((groups) => new URL(`http://[${groups.map((one) => one.toString(16)).join(":")}]`).hostname);
  const v4 = fc.ipV4();
  const mapped = v4.map((ip) => `[::ffff:${ip}]`);
  fc.assert(
    fc.property(fc.oneof(v4, v6, mapped), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
      record.backendAddress = bytes(`${host}:${port}`);
      assert.equal(addressOf(bench.one().backendAddress), canonical(`${host}:${port}`));
    }),
  );
});

test("numbers of any size", () => {
  const bench = new Bench();
  const { record } = bench;
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: 2 ** 52 }), (count, us) => {
      record.bytesIn = count;
      bench.log.write(record, us);
      const [message] = bench.take();
      assert.equal(message?.bytesIn, BigInt(count));
      assert.equal(wide(message?.time), BigInt(us) * 1000n);
    }),
  );
});
