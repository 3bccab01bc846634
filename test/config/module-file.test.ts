// A configuration as TypeScript means what the same keys mean as TOML, and says what is wrong with it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RequestSchema } from "../../src/command/gen/sozu_pb.ts";
import { toJson } from "../../src/command/json.ts";
import { defineConfig } from "../../src/config/define.ts";
import { loadConfig, loadSocketSettings } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-config-"));
test.after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const TOML = `
command_socket = "x.sock"
max_connections = 10
[[listeners]]
protocol = "http"
address = "127.0.0.1:8080"
answers = { "503" = "HTTP/1.1 503 Gone\\r\\n\\r\\nno" }
[clusters.app]
protocol = "http"
load_balancing = "HRW"
frontends = [{ address = "127.0.0.1:8080", hostname = "a.test", tags = { env = "prod" } }]
backends = [{ address = "127.0.0.1:1", weight = 5 }]
health_check = { uri = "/health" }
`;

const MODULE = `
import { defineConfig } from "sozu/config";
const hosts: readonly string[] = ["a.test"];
const spare = undefined;
export default defineConfig({
  command_socket: "x.sock",
  max_connections: 10,
  saved_state: spare,
  listeners: [
    { protocol: "http", address: "127.0.0.1:8080", answers: { 503: "HTTP/1.1 503 Gone\\r\\n\\r\\nno" } },
  ],
  clusters: {
    app: {
      protocol: "http",
      load_balancing: "HRW",
      frontends: hosts.map((hostname) => ({ address: "127.0.0.1:8080", hostname, tags: { env: "prod" } })),
      backends: [{ address: "127.0.0.1:1", weight: 5 }],
      health_check: { uri: "/health" },
    },
  },
});
`;

test("a module and a TOML file with the same keys give the same settings and requests", async () => {
  const toml = await loadConfig(write("same.toml", TOML));
  const module = await loadConfig(write("sozu.config.ts", MODULE));
  assert.ok(toml.ok && module.ok, `${"text" in module ? module.text : ""}${"text" in toml ? toml.text : ""}`);
  assert.deepEqual(module.settings, toml.settings);
  const requests = (one: typeof toml): string[] => one.requests.map((request) => toJson(RequestSchema, request));
  assert.deepEqual(requests(module), requests(toml));
  const { settings } = await loadSocketSettings(join(folder, "sozu.config.ts"));
  assert.equal(settings.commandSocket, join(folder, "x.sock"));
});

test("a module that changed runs again", async () => {
  const path = write("changes.ts", "export default { max_connections: 1 };");
  const first = await loadConfig(path);
  assert.ok(first.ok && first.settings.maxConnections === 1);
  write("changes.ts", "export default { max_connections: 2 };");
  utimesSync(path, new Date(), new Date(Date.now() + 5000));
  const second = await loadConfig(path);
  assert.ok(second.ok && second.settings.maxConnections === 2);
});

test("what is wrong is said: values, modules that do not run or export nothing, functions", async () => {
  for (const [text, reason] of [
    [
      "export default { max_conections: 1 };",
      /unknown key "max_conections"; did you mean "max_connections"\?|max_connections/,
    ],
    ["export default { max_connections: 0 };", /max_connections: it must be from 1/],
    ["throw new Error('oops');", /does not run: oops/],
    ["export const config = {};", /exports no configuration/],
    ["export default { log_level: () => 1 };", /no functions/],
    ["export default {", /does not run/],
  ] as const) {
    const result = await loadConfig(write(`wrong-${Math.abs(reason.source.length)}.mts`, text));
    assert.ok(!result.ok, text);
    assert.match(result.text, reason);
  }
  const absent = await loadConfig(join(folder, "absent.ts"));
  assert.ok(!absent.ok && /no such file/.test(absent.text));
});

test("defineConfig knows keys, words and nesting", () => {
  const config = { max_connections: 5, clusters: {} } as const;
  assert.equal(defineConfig(config), config);
  // @ts-expect-error: a typo
  defineConfig({ max_conections: 5 });
  // @ts-expect-error: a word that is none
  defineConfig({ clusters: { a: { protocol: "http", load_balancing: "NONE", frontends: [], backends: [] } } });
  // @ts-expect-error: a number is wanted
  defineConfig({ listeners: [{ protocol: "http", address: "127.0.0.1:80", front_timeout: "60" }] });
});
