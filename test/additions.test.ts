// docs/additions.md is the registry of what is ours (decisions 7): every field from tag 1000 up, every configuration key
// that calls itself an addition and every metric that Sōzu does not have stands there, and nothing that does not exist.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { meaningOf, metricsPage } from "../scripts/metrics-page.ts";
import { buildProgram } from "../src/cli/program.ts";
import { file_sozu } from "../src/command/gen/sozu_pb.ts";
import type { KeyTable } from "../src/config/keys.ts";
import {
  CLUSTER_KEYS,
  FRONTEND_KEYS,
  GLOBAL_KEYS,
  HEADER_KEYS,
  HEALTH_CHECK_KEYS,
  LISTENER_KEYS,
} from "../src/config/tables.ts";
import { MAIN_METRICS } from "../src/main/metrics/main-metrics.ts";
import { METRICS, ROW_METRICS } from "../src/observe/metrics.ts";
import { ROW_TIMES, TIMES } from "../src/observe/stats-layout.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/additions.md"), "utf8");

/** Rows of the table under a heading, as cells; an empty first cell is the one above. */
function rows(heading: string): string[][] {
  const section = page.split("\n## ").find((text) => text.startsWith(heading)) ?? "";
  let first = "";
  return [...section.matchAll(/^\| (.*) \|$/gm)].slice(1).map(([, row]) => {
    const cells = (row as string).split("|").map((cell) => cell.trim());
    first = cells[0] === "" ? first : (cells[0] as string);
    return [first, ...cells.slice(1)];
  });
}

/** What stands between backticks. */
const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);

test("decisions 7: every field from tag 1000 up is in the registry, with its tag", () => {
  const ours = file_sozu.messages.flatMap(({ name, fields }) =>
    fields.filter(({ number }) => number >= 1000).map((field) => `${name}.${field.name} ${field.number}`),
  );
  const named = rows("Command protocol").flatMap(([messages, fields, tags]) => {
    const start = Number(/^1\d\d\d/.exec(tags as string)?.[0] ?? 0);
    if (start === 0) return [];
    return quoted(messages as string).flatMap((message) =>
      quoted(fields as string).map((field, i) => `${message}.${field} ${start + i}`),
    );
  });
  assert.deepEqual(named.sort(), ours.sort());
});

test("every configuration key that calls itself an addition is in the registry, and its keys exist", () => {
  const tables: Readonly<Record<string, KeyTable>> = {
    top: GLOBAL_KEYS,
    "`[[listeners]]`": LISTENER_KEYS,
    "`[clusters.<id>]`": CLUSTER_KEYS,
    frontends: FRONTEND_KEYS,
    "`headers` of a frontend": HEADER_KEYS,
    "`health_check`": HEALTH_CHECK_KEYS,
  };
  const named = new Map<string, string[]>(Object.keys(tables).map((where) => [where, []]));
  for (const [where, keys] of rows("Configuration")) {
    if (where?.startsWith("templates of")) continue;
    const table = tables[where as string];
    assert.ok(table !== undefined, where);
    for (const text of quoted(keys as string)) {
      const name = text.split(" =")[0] as string;
      assert.ok(name in table, `${where}: ${name}`);
      named.get(where as string)?.push(name);
    }
  }
  for (const [where, table] of Object.entries(tables)) {
    for (const [name, key] of Object.entries(table)) {
      if (!key.doc.includes("(an addition)")) continue;
      assert.ok(named.get(where)?.includes(name), `${name} of ${where} is not in docs/additions.md`);
    }
  }
});

test("the verbs and flags of the registry exist", () => {
  const program = buildProgram();
  const find = (words: readonly string[]): Command | undefined =>
    words.reduce<Command | undefined>((verb, word) => verb?.commands.find((own) => own.name() === word), program);
  for (const [verbs, flags] of rows("Command line")) {
    if (verbs === "all") continue;
    let before: string[] = [];
    for (const text of quoted(verbs as string)) {
      const words = text.replace(/ <.*$/, "").split(" ");
      const verb = find(words) ?? find([...before.slice(0, -1), ...words]);
      assert.ok(verb !== undefined, text);
      before = words;
      const known = verb.options.map(({ long }) => long);
      for (const flag of quoted((flags as string).replace(/ in `.*$/, ""))) {
        const name = flag.split("=")[0] as string;
        const global = program.options.some(({ long }) => long === name);
        // A flag may belong to one of the verbs of its row only.
        const elsewhere = quoted(verbs as string).length > 1;
        if (name.startsWith("--")) assert.ok(known.includes(name) || global || elsewhere, `${text} ${name}`);
      }
    }
  }
});

test("every metric that Sōzu does not have is in the registry", () => {
  const main = Object.entries(MAIN_METRICS).map(([name, { kind }]) => ({ name, kind }));
  const built = [...METRICS, ...ROW_METRICS, ...main];
  const all = new Map(built.map(({ name, kind }) => [name, kind === 0 ? "counter" : "gauge"]));
  const ours = [...all]
    .filter(([name]) => !STOCK.has(name) && !/^http\.(status\.\d{3}|\d{3}\.(errors|redirection))$/.test(name))
    .map((entry) => entry.join(" "));
  const named = rows("Metrics").flatMap(([names, kind]) => quoted(names as string).map((name) => `${name} ${kind}`));
  assert.deepEqual(named.sort(), ours.sort());
});

test("docs/metrics.md is current, and every metric has a meaning in it", () => {
  const names = [...METRICS, ...ROW_METRICS, ...TIMES, ...ROW_TIMES].map(({ name }) => name);
  const without = names.filter((name) => meaningOf(name) === undefined);
  assert.deepEqual(without, [], "write their meanings into scripts/metrics-page.ts");
  const text = readFileSync(join(import.meta.dirname, "../docs/metrics.md"), "utf8");
  assert.equal(text, metricsPage(), "run: node scripts/metrics-page.ts");
});

/** Counters and gauges of Sōzu 2.1 that are built here, without those of single statuses. */
const STOCK = new Set(
  `accept_queue.backpressure accept_queue.connections accept_queue.saturated_seconds accept_queue.timeout
  listener.accepted.total listener.accepted.http listener.connection_capped client.connections
  client.connections_max client.connections_percent sessions.evicted zombies panic slab.entries slab.capacity
  slab.usage_percent slab.accept_threshold_percent buffer.in_use buffer.capacity buffer.usage_percent
  process.uptime_seconds server.live configuration.clusters configuration.backends configuration.frontends
  access_logs.count unsent-access-logs protocol.http http.requests http.active_requests http.e2e.http11
  http.errors http.frontend_parse_errors http.backend_parse_errors http.failed_backend_matching
  http.early_response_close http.infinite_loop.error http.status.1xx http.status.2xx http.status.3xx
  http.status.4xx http.status.5xx http.status.other http.status.none http.other.errors http.trusting.x_port
  http.trusting.x_port.diff http.trusting.x_proto http.trusting.x_proto.diff http.x_request_id.propagated
  http.x_request_id.generated connections.rejected_per_cluster_ip bytes_in bytes_out back_bytes_in back_bytes_out
  backend.connections backend.pool.hit backend.pool.miss backend.pool.size backend.flow_control.paused
  backend.connections.error backend.connect.retries_exhausted h1.backend_eof_before_message_complete protocol.ws
  protocol.proxy.expect websocket.active_requests pipe.errors proxy_protocol.errors requests
  connections_per_backend backend.up backend.down backend.available backends.fail_open cluster.available_backends
  cluster.total_backends cluster.no_available_backends cluster.available_recovered health_check.success
  health_check.failure health_check.up health_check.down health_check.healthy_backends
  listener.accepted.https protocol.https protocol.tls.handshake protocol.wss http.sni_authority_mismatch
  http.hsts.frontend_added http.hsts.frontend_refreshed http.hsts.listener_default_patched
  http.hsts.suppressed_plaintext http.hsts.unrendered http.alpn.h2 http.alpn.http11
  https.alpn.rejected.http11_disabled https.alpn.rejected.unsupported rustls.read.error rustls.write.error
  tls.version.TLSv1_2 tls.version.TLSv1_3 tls.version.Unknown tls.cipher.TLS13_AES_256_GCM_SHA384
  tls.cipher.TLS13_AES_128_GCM_SHA256 tls.cipher.TLS13_CHACHA20_POLY1305_SHA256
  tls.cipher.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 tls.cipher.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  tls.cipher.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 tls.cipher.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
  tls.cipher.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 tls.cipher.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
  tls.cipher.Unsupported tls.default_cert_used tls.cert.min_expires_at_seconds
  tls.handshake.failed.alert_received tls.handshake.failed.peer_incompatible
  tls.handshake.failed.peer_misbehaved tls.handshake.failed.invalid_message
  tls.handshake.failed.inappropriate_message tls.handshake.failed.inappropriate_handshake_message
  tls.handshake.failed.oversized_record tls.handshake.failed.no_alpn tls.handshake.failed.invalid_certificate
  tls.handshake.failed.decrypt_error tls.handshake.failed.no_certificates_present tls.handshake.failed.other`.split(
    /\s+/,
  ),
);
