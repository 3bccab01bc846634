// Saved states: the bytes of a record, round trips, and files that are cut, flipped, foreign or huge (CP-17).

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { RECORD_BYTES_MAX } from "../../src/command/limits.ts";
import { decodeRecords, encodeRecord, encodeRecords, RECORD, RecordDecoder } from "../../src/command/records.ts";
import { ConfigState } from "../../src/command/state.ts";
import {
  addBackend,
  addCluster,
  addFrontend,
  addListener,
  answer,
  anyRequest,
  healthCheck,
  removeCluster,
} from "./requests.ts";

const OLD =
  '{"id":"P-1","content":{"request_type":{"ADD_CLUSTER":{"cluster_id":"app-1","sticky_session":false,"https_redirect":false,"proxy_protocol":null,"load_balancing":0,"answer_503":null,"load_metric":0}}}}\n\0' +
  '{"id":"P-2","content":{"request_type":{"ADD_HTTP_FRONTEND":{"cluster_id":"app-1","address":{"ip":{"inner":{"V4":2130706433}},"port":80},"hostname":"example.com","path":{"kind":0,"value":"/"},"method":null,"position":2,"tags":{}}}}}\n\0' +
  '{"id":"P-3","content":{"request_type":{"ADD_BACKEND":{"cluster_id":"app-1","backend_id":"b0","address":{"ip":{"inner":{"V4":2130706433}},"port":8080},"sticky_id":null,"load_balancing_parameters":null,"backup":null}}}}\n\0';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("decisions 4: a file of an older writer loads into the state", () => {
  const read = decodeRecords(bytes(OLD));
  assert.deepEqual(read.broken, []);
  const state = new ConfigState();
  for (const one of read.requests) assert.ok(state.apply(one, "saved_state").ok);
  assert.equal(state.clusters.get("app-1")?.object.loadBalancing, 0);
  assert.equal([...state.httpFrontends.entries.values()][0]?.object.hostname, "example.com");
  assert.equal([...state.backends.entries.values()][0]?.object.weight, 100);
});

test("encodeRecord writes one line and a NUL", () => {
  assert.equal(
    encodeRecord(removeCluster("a"), 7),
    '{"id":"SAVE-7","content":{"request_type":{"REMOVE_CLUSTER":"a"}}}\n\0',
  );
});

test("RecordDecoder finds the same records however the file is cut", () => {
  const file = bytes(OLD);
  for (const size of [1, 2, 7, 100, file.length]) {
    const decoder = new RecordDecoder();
    const ids: string[] = [];
    for (let at = 0; at <= file.length; at += size) {
      if (at < file.length) decoder.push(file.subarray(at, at + size));
      else decoder.end();
      while (decoder.next() === RECORD.REQUEST) ids.push(`${decoder.id}@${decoder.line}:${decoder.byte}`);
    }
    const starts = OLD.split("\0").map((_, i, parts) => parts.slice(0, i).join("\0").length + (i === 0 ? 0 : 1));
    assert.deepEqual(ids, [`P-1@1:${starts[0]}`, `P-2@2:${starts[1]}`, `P-3@3:${starts[2]}`]);
  }
});

test("CP-17: a broken record is told with number, line and reason, and the others are read", () => {
  const [first, second, third] = OLD.split("\0") as [string, string, string];
  const cases: [string, RegExp][] = [
    [second.slice(0, 60), /JSON/],
    [second.replace("ADD_HTTP_FRONTEND", "ADD_QUIC_FRONTEND"), /request_type: unknown variant "ADD_QUIC_FRONTEND"/],
    [second.replace('"port":80', '"port":"80"'), /address\.port: expected an integer/],
    [second.replace('"hostname":"example.com",', ""), /hostname: missing field/],
    ["not json", /JSON/],
  ];
  for (const [broken, reason] of cases) {
    const read = decodeRecords(bytes([first, broken, third, ""].join("\0")));
    assert.equal(read.requests.length, 2, broken);
    assert.equal(read.broken.length, 1);
    assert.deepEqual([read.broken[0]!.number, read.broken[0]!.line], [2, 2]);
    assert.match(read.broken[0]!.reason, reason);
  }
});

test("a file that was cut ends in a broken record, a file without the last NUL does not", () => {
  assert.equal(decodeRecords(bytes(OLD.slice(0, -1))).requests.length, 3);
  assert.equal(decodeRecords(bytes(OLD.slice(0, -2))).requests.length, 3);
  const cut = decodeRecords(bytes(OLD.slice(0, -10)));
  assert.deepEqual([cut.requests.length, cut.broken.length], [2, 1]);
});

test("empty files, CRLF and bytes that are not UTF-8", () => {
  assert.deepEqual(decodeRecords(new Uint8Array(0)), { requests: [], broken: [] });
  assert.deepEqual(decodeRecords(bytes("\n\0\r\n\0 ")), { requests: [], broken: [] });
  assert.equal(decodeRecords(bytes(OLD.replaceAll("\n", "\r\n"))).requests.length, 3);
  assert.equal(decodeRecords(Uint8Array.of(0xff, 0xfe, 10, 0)).broken[0]!.reason, "the record is not UTF-8");
});

test("a record above the limit is told once and skipped in bounded memory", () => {
  const decoder = new RecordDecoder(1000);
  const found: string[] = [];
  const drain = (): void => {
    for (let result = decoder.next(); result !== RECORD.NEED_MORE; result = decoder.next()) {
      found.push(result === RECORD.REQUEST ? decoder.id : decoder.reason);
    }
  };
  for (let i = 0; i < 100; i++) {
    decoder.push(bytes("x".repeat(400)));
    drain();
  }
  decoder.push(bytes(`\0${encodeRecord(removeCluster("a"), 1)}`));
  decoder.end();
  drain();
  assert.deepEqual(found, ["the record is larger than 1000 bytes", "SAVE-1"]);
});

test("encodeRecords cuts a large state into chunks", () => {
  const requests = Array.from({ length: 100 }, (_, i) => addBackend("app", `b${i}`));
  const chunks = [...encodeRecords(requests, 1000)];
  assert.ok(chunks.length > 10);
  assert.equal(decodeRecords(Buffer.concat(chunks)).requests.length, 100);
});

test("property: apply, save, load, apply gives the same hash", () => {
  fc.assert(
    fc.property(fc.array(anyRequest(), { maxLength: 40 }), (requests) => {
      const state = new ConfigState();
      for (const one of requests) state.apply(one, "socket");
      const read = decodeRecords(Buffer.concat([...encodeRecords(state.toRequests())]));
      assert.deepEqual(read.broken, []);
      const again = new ConfigState();
      for (const one of read.requests) assert.ok(again.apply(one, "saved_state").ok);
      assert.deepEqual(
        [again.mirror.hashLow, again.mirror.hashHigh, again.mirror.size],
        [state.mirror.hashLow, state.mirror.hashHigh, state.mirror.size],
      );
    }),
  );
});

test("property: random and flipped bytes never throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (random) => void decodeRecords(random)));
  const file = bytes(OLD);
  fc.assert(
    fc.property(fc.nat({ max: file.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
      const flipped = file.slice();
      flipped[at] = value;
      const read = decodeRecords(flipped);
      assert.ok(read.requests.length + read.broken.length <= 4);
    }),
  );
});

test("the largest objects that the state accepts fit into a record", () => {
  const quotes = (bytes: number): string => '"'.repeat(bytes);
  const state = new ConfigState();
  const texts = ["502", "503", "504", "507"].map((status) => [status, answer(status, quotes(65_000))]);
  const users = Array.from({ length: 1024 }, (_, at) => `${at}${quotes(180)}:${"0".repeat(64)}`);
  const largest = [
    addCluster("a", {
      answers: Object.fromEntries(texts),
      authorizedHashes: users,
      wwwAuthenticate: quotes(4096),
      healthCheck: healthCheck({ uri: `/${quotes(2000)}` }),
    }),
    addListener("0.0.0.0:80", { answers: Object.fromEntries(texts), trustedProxies: new Array(256).fill("::1/128") }),
    addFrontend("a.test", "/", {
      headers: [1, 2].map((at) => ({ position: 3, key: `X-${at}`, val: quotes(4000) })),
      redirect: 1,
      redirectTemplate: answer("301", quotes(65_000)),
      tags: Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`${at}${quotes(120)}`, quotes(1024)])),
    }),
  ];
  for (const one of largest) {
    assert.equal(state.check(one)?.message ?? null, null);
    assert.ok(encodeRecord(one, 0).length < RECORD_BYTES_MAX);
  }
});
