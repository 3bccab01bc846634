// Access lines are compared with whole golden lines: decisions 5 fixes every byte of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AccessLog } from "../../src/observe/access-log.ts";
import { AccessRecord } from "../../src/observe/access-writer.ts";
import { BatchSink } from "../../src/observe/sink.ts";
import { MemoryTarget } from "./memory-target.ts";

const AT_US = Date.UTC(2026, 10, 20, 17, 56, 51) * 1000 + 123_456;
const PREFIX = "2026-11-20T17:56:51.123456Z 1795197411123456000 4242 INFO-ACCESS  WRK-00\t";
const SESSION = "01KAGX5D2Q7N8P9R0S1T2V3W4X";
const REQUEST = "01KAGX5D2R7N8P9R0S1T2V3W4Y";

/** An arena that strings are put into one after the other, and a log over it. */
class Bench {
  readonly memory: Uint8Array;
  readonly target: MemoryTarget;
  readonly sink: BatchSink;
  readonly log: AccessLog;
  readonly record: AccessRecord;
  #used = 64;

  constructor(memoryBytes = 4096, sinkBytes = 65_536) {
    this.memory = new Uint8Array(memoryBytes).fill(0xee);
    this.target = new MemoryTarget();
    this.sink = new BatchSink(this.target, sinkBytes);
    this.log = new AccessLog({ sink: this.sink, memoryBytes: this.memory, tag: "WRK-00", pid: 4242 });
    this.record = new AccessRecord();
  }

  put(text: string): number {
    const at = this.#used;
    const bytes = Buffer.from(text, "latin1");
    this.memory.set(bytes, at);
    this.#used += bytes.length;
    return at;
  }

  /** Fills the record with the golden request of decisions 5. */
  golden(): AccessRecord {
    const record = this.record;
    record.sessionUlid = this.put(SESSION);
    record.requestUlid = this.put(REQUEST);
    record.clusterId = bytes("app");
    record.backendId = bytes("b0");
    record.clientOffset = this.put("127.0.0.1:50312");
    record.clientLength = 15;
    record.backendAddress = bytes("127.0.0.1:1026");
    record.requestUs = 1234;
    record.serviceUs = 56;
    record.responseUs = 1178;
    record.clientRttUs = 40;
    record.serverRttUs = 35;
    record.bytesIn = 80;
    record.bytesOut = 312;
    record.tags = bytes("env=prod");
    record.userAgentOffset = this.put("curl/8.5.0");
    record.userAgentLength = 10;
    record.authorityOffset = this.put("localhost:8080");
    record.authorityLength = 14;
    record.methodOffset = this.put("GET");
    record.methodLength = 3;
    record.pathOffset = this.put("/api");
    record.pathLength = 4;
    record.status = 200;
    record.protocol = bytes("http");
    record.message = bytes("H1::Complete");
    return record;
  }

  lines(atUs = AT_US): string {
    this.log.write(this.record, atUs);
    this.sink.tick();
    return this.target.takeText();
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

test("a proxied request gives the golden line", () => {
  const bench = new Bench();
  bench.golden();
  assert.equal(
    bench.lines(),
    `${PREFIX}[${SESSION} ${REQUEST} app b0] 127.0.0.1:50312 127.0.0.1:1026 1234μs/56μs/1178μs/40μs/35μs 80 312 ` +
      "[env=prod, user-agent=curl/8.5.0] None http localhost:8080 GET /api 200 | H1::Complete\n",
  );
});

test("a local 503 names neither backend nor its times", () => {
  const bench = new Bench();
  const record = bench.golden();
  record.backendId = null;
  record.backendAddress = null;
  record.responseUs = -1;
  record.serverRttUs = -1;
  record.status = 503;
  assert.equal(
    bench.lines(),
    `${PREFIX}[${SESSION} ${REQUEST} app -] 127.0.0.1:50312 - 1234μs/56μs/-/40μs/- 80 312 ` +
      "[env=prod, user-agent=curl/8.5.0] None http localhost:8080 GET /api 503 | H1::Complete\n",
  );
});

test("what is unknown prints a dash, and no tags are empty brackets", () => {
  const bench = new Bench();
  assert.equal(bench.lines(), `${PREFIX}[- - - -] - - -/-/-/-/- 0 0 [] None - - - - -\n`);
});

test("an error line keeps the columns", () => {
  const bench = new Bench();
  bench.record.error = true;
  assert.match(bench.lines(), /^2026-11-20T17:56:51\.123456Z 1795197411123456000 4242 ERROR-ACCESS WRK-00\t\[/);
  bench.record.error = false;
  assert.match(bench.lines(), / 4242 INFO-ACCESS {2}WRK-00\t\[/);
});

test("tags alone and a user agent alone have no comma", () => {
  const bench = new Bench();
  bench.record.tags = bytes("a=1, b=2");
  assert.match(bench.lines(), / \[a=1, b=2\] None /);
  bench.record.tags = new Uint8Array(0);
  bench.record.userAgentOffset = bench.put("x");
  bench.record.userAgentLength = 1;
  assert.match(bench.lines(), / \[user-agent=x\] None /);
});

test("a user agent cannot break the line or its columns", () => {
  const bench = new Bench();
  const agent = "a b[c]\t\r\n\0\x7f\x80\xffz";
  bench.record.userAgentOffset = bench.put(agent);
  bench.record.userAgentLength = agent.length;
  assert.match(bench.lines(), / \[user-agent=a_b\{c\}\?{7}z\] None /);
});

test("durations switch units at 10 of the next and are cut, not rounded", () => {
  const cases: [number, string][] = [
    [-1, "-"],
    [0, "0ns"],
    [9, "9000ns"],
    [10, "10μs"],
    [9999, "9999μs"],
    [10_000, "10ms"],
    [10_999, "10ms"],
    [9_999_999, "9999ms"],
    [10_000_000, "10s"],
    [10_999_999, "10s"],
    [3_600_000_000_000, "3600000s"],
  ];
  for (const [microseconds, text] of cases) {
    const bench = new Bench();
    bench.record.requestUs = microseconds;
    assert.ok(bench.lines().includes(` ${text}/-/-/-/- `), text);
  }
});

test("byte counts keep all digits up to 2^53", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat({ max: 3_000_000 }), (large, small) => {
      const bench = new Bench();
      bench.record.bytesIn = large;
      bench.record.bytesOut = small;
      assert.ok(bench.lines().includes(` ${large} ${small} [] `));
    }),
  );
});

test("the time follows the clock within a second, over seconds and backwards", () => {
  const bench = new Bench();
  const start = Date.UTC(2026, 11, 31, 23, 59, 59) * 1000;
  for (const us of [0, 1, 999_999, 1_000_000, 1_000_001, 5_000_000, 3, 86_400_000_000]) {
    const at = start + us;
    const iso = new Date(Math.floor(at / 1000)).toISOString().slice(0, -1);
    const expected = `${iso}${String(at % 1000).padStart(3, "0")}Z ${BigInt(at) * 1000n} 4242 `;
    assert.equal(bench.lines(at).slice(0, expected.length), expected);
  }
});

test("texts of every length arrive whole, also at the very end of memory", () => {
  for (let length = 0; length < 40; length++) {
    const bench = new Bench(512);
    const path = `/${"p".repeat(length)}`;
    bench.memory.set(bytes(path), 512 - path.length);
    bench.record.pathOffset = 512 - path.length;
    bench.record.pathLength = path.length;
    bench.record.clusterId = bytes("c".repeat(length));
    const line = bench.lines();
    assert.ok(line.endsWith(` - - ${path} -\n`), line);
    assert.ok(line.includes(`[- - ${"c".repeat(length)} -]`), line);
  }
});

test("a line that does not fit is dropped and counted, and the next one is whole", () => {
  const bench = new Bench(4096, 2048);
  bench.record.pathOffset = 0;
  bench.record.pathLength = 3000;
  bench.log.write(bench.record, AT_US);
  assert.equal(bench.sink.dropped, 1);
  bench.record.reset();
  assert.equal(bench.lines(), `${PREFIX}[- - - -] - - -/-/-/-/- 0 0 [] None - - - - -\n`);
});

test("reset forgets everything", () => {
  const bench = new Bench();
  const record = bench.golden();
  record.error = true;
  record.reset();
  assert.deepEqual(record, new AccessRecord());
});

test("TLS is further tags, if it is asked for", () => {
  const facts = { version: "TLSv1.3", cipher: "C", group: "x25519", serverName: "a.test", alpn: null, resumed: true };
  const tags = "tls-version=TLSv1.3, tls-cipher=C, tls-group=x25519, tls-sni=a.test, tls-resumed=true";
  const bench = new Bench();
  assert.equal(bench.log.tlsBytes(facts), null);
  const { sink, memory } = bench;
  const log = new AccessLog({ sink, memoryBytes: memory, tag: "WRK-00", pid: 4242, showsTls: true });
  bench.record.tls = log.tlsBytes(facts);
  assert.ok(bench.lines().includes(` [${tags}] None `));
  bench.golden();
  assert.ok(bench.lines().includes(` [env=prod, user-agent=curl/8.5.0, ${tags}] None `));
});
