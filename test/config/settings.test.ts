// The socket keys of broken files (decisions 7), paths relative to the folder of the file (decisions 8), and what is
// said when a file cannot be read.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import fc from "fast-check";
import { loadConfig, loadSocketSettings, workerSettings } from "../../src/config/index.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { absolutePath, scanSocketSettings } from "../../src/config/socket.ts";
import { nearest } from "../../src/config/suggest.ts";

test("decisions 7: scanSocketSettings reads the socket keys of a file that is broken elsewhere", () => {
  const text = `command_socket = "run/s\\u006fzu.sock" # comment
    command_buffer_size = 4_096
ctl_command_timeout = 250
worker_count = = nonsense
[[listeners
command_socket = "other.sock"`;
  assert.deepEqual(scanSocketSettings(text, "/etc/sozu"), {
    commandSocket: "/etc/sozu/run/sozu.sock",
    commandBufferSizeBytes: 4096,
    maxCommandBufferSizeBytes: 2_000_000,
    ctlCommandTimeoutMs: 250,
  });
});

test("scanSocketSettings agrees with the parser on good files", async () => {
  const files = [
    "",
    "command_socket = '/run/x.sock'\r\nctl_command_timeout = 0\r\n",
    'max_command_buffer_size = 3000000 # bytes\ncommand_socket="./a b.sock"',
    '# command_socket = "no"\nlog_level = "command_socket = 1"',
  ];
  for (const text of files) {
    const parsed = await parseConfig(text, { file: "f", folder: "/etc/sozu" });
    assert.ok(parsed.ok);
    for (const [name, value] of Object.entries(scanSocketSettings(text, "/etc/sozu"))) {
      assert.equal((parsed.settings as unknown as Record<string, unknown>)[name], value, name);
    }
  }
});

test("property: neither the scan nor the parser throws on any text", async () => {
  const line = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.constantFrom(
      "[clusters.a]",
      "[[listeners]]",
      'protocol = "http"',
      "command_socket = 'x'",
      "backends = [",
      "{",
      "}",
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const text = lines.join("\n");
      scanSocketSettings(text, "/");
      const result = await parseConfig(text, { file: "f", folder: "/" });
      assert.ok(result.ok || result.problems.length > 0);
    }),
    { numRuns: 300 },
  );
});

test("absolutePath joins without touching the file system", () => {
  assert.equal(absolutePath("/a//b/./c/../d", "/x"), "/a/b/d");
  assert.equal(absolutePath("../../../d", "/x/y"), "/d");
  assert.equal(absolutePath("s.sock", "/"), "/s.sock");
});

test("workerSettings passes on what concerns traffic", async () => {
  const parsed = await parseConfig("max_connections = 7\nlog_level = 'debug'", { file: "f", folder: "/" });
  assert.ok(parsed.ok);
  const settings = workerSettings(parsed.settings, 3);
  assert.deepEqual([settings.workerId, settings.maxConnections, settings.logLevel], [3, 7, "debug"]);
  assert.equal(settings.bufferSize, 16_393);
});

test("load says why a file cannot be read, and verbs still get their defaults", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const missing = await loadConfig(join(folder, "no.toml"));
  assert.ok(!missing.ok);
  assert.match(missing.text, /no\.toml: there is no such file\. Name the configuration with -c/);
  const sockets = await loadSocketSettings(join(folder, "no.toml"));
  assert.equal(sockets.settings.commandSocket, join(folder, "sozu.sock"));
  assert.match(sockets.problem ?? "", /there is no such file/);
  writeFileSync(join(folder, "latin1.toml"), Uint8Array.of(0x23, 0xe9));
  const latin1 = await loadConfig(join(folder, "latin1.toml"));
  assert.match(latin1.ok ? "" : latin1.text, /the file is not UTF-8/);
  assert.ok(!(await loadConfig(folder)).ok);
});

test("nearest finds what was meant and nothing far", () => {
  const names = ["worker_count", "worker_timeout", "front_timeout"];
  assert.equal(nearest("worker_cuont", names), "worker_count");
  assert.equal(nearest("Worker-Count", names), "worker_count");
  assert.equal(nearest("frnt_timeout", names), "front_timeout");
  assert.equal(nearest("color", names), null);
});

test("the state of a parsed file is what its requests make", async () => {
  const text = `[clusters.a]
protocol = "http"
frontends = [{ address = "127.0.0.1:80", hostname = "a.test" }]
backends = [{ address = "127.0.0.1:81" }]`;
  const parsed = await parseConfig(text, { file: "f", folder: "/" });
  assert.ok(parsed.ok);
  assert.equal(parsed.requests.length, 5);
  assert.equal(parsed.state.httpListeners.get("127.0.0.1:80")?.object.active, true);
  assert.equal(parsed.state.clusters.get("a")?.origin, "file");
});
