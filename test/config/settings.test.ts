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

test("answers in files: missing, too large, not UTF-8 and not a file are problems with a place", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-answers-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "config.toml");
  const bodies: Readonly<Record<string, string | Uint8Array>> = {
    "good.http": "HTTP/1.1 404 Not Found\n\nno\n",
    "large.http": "x".repeat(65_537),
    "binary.http": Uint8Array.of(0xff, 0xfe),
  };
  for (const name of Object.keys(bodies)) writeFileSync(join(folder, name), bodies[name]!);
  const load = (name: string) => {
    writeFileSync(file, `[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:80"\nanswer_404 = "${name}"\n`);
    return loadConfig(file);
  };
  const good = await load("good.http");
  assert.ok(good.ok);
  assert.deepEqual(good.state.httpListeners.get("127.0.0.1:80")?.object.answers, [["404", bodies["good.http"]]]);
  const broken = [
    ["none.http", /:4:14: answer_404: there is no file .*none\.http/],
    ["large.http", /answer_404: .*large\.http is larger than 65536 bytes/],
    ["binary.http", /answer_404: .*binary\.http is not UTF-8/],
    [".", /answer_404: .* is not a file/],
  ] as const;
  for (const [name, expected] of broken) {
    const result = await load(name);
    assert.ok(!result.ok);
    assert.match(result.text, expected);
  }
});

test("workers are told the global limits of the file", async () => {
  const text =
    "max_connections_per_ip = 5\nretry_after = 0\nevict_on_queue_full = true\nslab_entries_per_connection = 8";
  const parsed = await parseConfig(text, { file: "f", folder: "/" });
  assert.ok(parsed.ok);
  const { maxConnectionsPerIp, retryAfter, evictOnQueueFull, ...rest } = workerSettings(parsed.settings, 0);
  assert.deepEqual([maxConnectionsPerIp, retryAfter, evictOnQueueFull], [5, 0, true]);
  assert.deepEqual([rest.slabEntriesPerConnection, rest.basicAuthMaxCredentialBytes], [8, 4096]);
});
