// What a log target may say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTarget } from "../../src/config/log-target.ts";

test("targets are read", () => {
  assert.deepEqual(parseTarget("stdout"), { kind: "stdout" });
  assert.deepEqual(parseTarget("file:///var/log/a.log"), { kind: "file", path: "/var/log/a.log" });
  assert.deepEqual(parseTarget("file://a.log"), { kind: "file", path: "a.log" });
  assert.deepEqual(parseTarget("unix:///run/log"), { kind: "unix", path: "/run/log" });
  assert.deepEqual(parseTarget("udp://127.0.0.1:514"), { kind: "udp", host: "127.0.0.1", port: 514 });
  assert.deepEqual(parseTarget("tcp://[::1]:65535"), { kind: "tcp", host: "::1", port: 65_535 });
  assert.deepEqual(parseTarget("tcp://logs.example:1"), { kind: "tcp", host: "logs.example", port: 1 });
});

test("anything else is refused, with what to write instead", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["", /expected "stdout"/],
    ["syslog", /expected "stdout"/],
    ["/var/log/a.log", /expected "stdout"/],
    ["http://h:1", /expected "stdout"/],
    ["file://", /nothing usable/],
    ["unix://a\0b", /nothing usable/],
    [`unix:///${"x".repeat(107)}`, /at most 107 bytes/],
    ["udp://127.0.0.1", /host:port/],
    ["udp://127.0.0.1:0", /1 to 65535/],
    ["tcp://h:65536", /1 to 65535/],
    ["tcp://::1:80", /host:port/],
    ["tcp://[h]:80", /neither an IP address nor a host name/],
    ["tcp://300.1.1.1:80", /neither/],
    ["tcp://a b:80", /neither/],
    ["tcp://h:80/path", /host:port/],
  ];
  for (const [text, reason] of wrong) {
    const parsed = parseTarget(text);
    assert.equal(parsed.kind, "error", text);
    assert.match((parsed as { reason: string }).reason, reason, text);
  }
});
