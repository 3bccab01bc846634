// Writes docs/metrics.md from the tables of metrics. The names and kinds are those of the code, the meanings stand here; a
// metric without one fails test/additions.test.ts, and so does a page that is not current.
//
//   node scripts/metrics-page.ts

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configVerbs, MAIN_METRICS } from "../src/main/metrics/main-metrics.ts";
import { METRICS, type MetricInfo, ROW_METRICS } from "../src/observe/metrics.ts";
import { ROW_TIMES, TIMES } from "../src/observe/stats-layout.ts";

/** Meanings by name; a `*` stands for any part of a name. The first that fits counts. */
const MEANINGS: readonly (readonly [string, string])[] = [
  ["accept_queue.backpressure", "1 while no connection is accepted"],
  ["accept_queue.connections", "connections that wait in the kernel's queue meanwhile"],
  ["accept_queue.saturated_seconds", "seconds in which none was accepted"],
  ["accept_queue.timeout", "connections dropped because they had waited too long (`accept_queue_timeout`)"],
  ["accept_queue.wait_time", "how long connections waited"],
  ["listener.accepted.*", "accepted connections"],
  ["listener.connection_capped", "connections refused by a limit of a worker"],
  ["client.connect.per_source.bucket_*", "accepted connections by a hash of their /24 or /48"],
  ["client.connections", "client connections"],
  ["client.connections_max", "what `max_connections` allows"],
  ["client.connections_percent", "the share of it in use"],
  ["sessions.evicted", "idle connections closed to make room (`evict_on_queue_full`)"],
  ["zombies", "connections closed because they were silent for `zombie_check_interval`"],
  ["panic", "faults of the program that ended a worker"],
  ["slab.entries", "registered descriptors"],
  ["slab.capacity", "how many there may be"],
  ["slab.usage_percent", "the share in use"],
  ["slab.accept_threshold_percent", "the share above which no connection is accepted"],
  ["buffer.in_use", "buffers of the pool in use"],
  ["buffer.capacity", "how many there may be (`max_buffers`)"],
  ["buffer.usage_percent", "the share in use"],
  ["process.uptime_seconds", "since the process was started"],
  ["server.live", "1; 0 while it finishes what is in flight"],
  ["configuration.*", "how many of them are configured"],
  ["access_logs.count", "access lines"],
  ["unsent-access-logs", "lines that could not be written"],
  ["access_logs.dropped", "lines lost because the target did not take them"],
  ["logs.dropped", "log lines lost because the target did not take them"],
  ["stats.rows_overflowed", "clusters and backends that share a row because the page is full"],
  ["protocol.*", "connections that are in this phase"],
  ["websocket.active_requests", "upgraded connections"],
  ["http.requests", "requests with a complete head"],
  ["http.active_requests", "requests in flight"],
  ["http.e2e.*", "requests answered by a backend to the end, by the client's protocol"],
  ["http.errors", "requests whose access line is an error"],
  ["http.frontend_parse_errors", "requests refused as malformed; `.<cause>` says why ([errors.md](errors.md))"],
  ["http.backend_parse_errors", "responses refused as malformed; `.<cause>` says why"],
  ["http.failed_backend_matching", "requests for which no backend could be picked"],
  [
    "http.early_response_close",
    "answers that came before the end of the request's body, so that the connection closed",
  ],
  ["http.infinite_loop.error", "turns that were cut because they did not end; always 0 here"],
  ["http.status.other", "responses with a status outside 100 to 599"],
  ["http.status.none", "requests without a response"],
  ["http.status.*", "responses with this status or class"],
  ["http.*.redirection", "redirects of frontends with this status"],
  ["http.other.errors", "answers of our own with another status"],
  ["http.*.errors", "answers of our own with this status"],
  ["http.trusting.*.diff", "those in which it differed from the connection"],
  ["http.trusting.*", "requests whose `X-Forwarded-Port` or `-Proto` was believed"],
  ["http.x_request_id.propagated", "requests that came with an `X-Request-Id`"],
  ["http.x_request_id.generated", "requests that were given one"],
  ["http.requests_shed", "requests answered 503 because the loop was too late"],
  ["http.answers.too_large", "templates too large for a client, replaced by the built-in answer"],
  ["http.sni_authority_mismatch", "requests answered 421 because their host is none of the certificate"],
  ["http.hsts.*", "`Strict-Transport-Security`: what was configured, and what could not be sent"],
  ["http.alpn.*", "handshakes that chose this protocol"],
  ["https.alpn.rejected.*", "handshakes refused because of the protocols they offered"],
  ["connections.rejected_per_cluster_ip", "requests answered 429 (`max_connections_per_ip`)"],
  ["bytes_in", "bytes read from clients; in the row of a backend, from it"],
  ["bytes_out", "bytes written to clients; in the row of a backend, to it"],
  ["back_bytes_in", "bytes read from backends"],
  ["back_bytes_out", "bytes written to backends"],
  ["requests", "requests that are over"],
  ["connections_per_backend", "connections to the backend, or to all of the cluster"],
  ["backend.connections", "connections to backends"],
  ["backend.connections.opened", "connections that were begun"],
  ["backend.connections.error", "connections that failed"],
  ["backend.connect.retries_exhausted", "requests given up after the last attempt to connect"],
  ["backend.pool.hit", "requests that took an idle connection"],
  ["backend.pool.miss", "requests that needed a new one"],
  ["backend.pool.size", "idle connections"],
  ["backend.flow_control.paused", "times a side was not read because the other was slow"],
  ["backend.up", "times it answered again"],
  ["backend.down", "times it counted as down after failed connections"],
  ["backend.available", "1 while requests may go there"],
  ["backend.ejected", "times it was left out because requests failed (`eject_after`)"],
  ["backends.fail_open", "requests sent to unhealthy backends because no healthy one was left"],
  ["cluster.available_backends", "backends that may be used"],
  ["cluster.total_backends", "backends"],
  ["cluster.no_available_backends", "times the last one was lost"],
  ["cluster.available_recovered", "times there was one again"],
  ["health_check.success", "probes that passed"],
  ["health_check.failure", "probes that failed"],
  ["health_check.up", "verdicts that became healthy"],
  ["health_check.down", "verdicts that became unhealthy"],
  ["health_check.healthy_backends", "backends whose verdict is healthy"],
  ["h1.backend_eof_before_message_complete", "responses cut by the backend"],
  ["event_loop.lag_ms", "how late the loop was at its last tick"],
  ["event_loop.overload", "0 in time, 1 accepting pauses, 2 new requests get 503"],
  ["process.resident_bytes", "memory of the worker in RAM"],
  ["memory.overload", "1 while new work is refused because memory runs short"],
  ["pipe.errors", "upgraded connections that failed"],
  ["proxy_protocol.errors", "PROXY headers that were refused"],
  ["rustls.*", "connections that failed below TLS; the name is Sōzu's"],
  ["tls.version.*", "handshakes by version"],
  ["tls.cipher.*", "handshakes by cipher suite"],
  ["tls.group.*", "handshakes by key exchange group"],
  ["tls.resumed", "handshakes that resumed a session"],
  ["tls.default_cert_used", "handshakes without a certificate for their name"],
  ["tls.cert.min_expires_at_seconds", "when the first certificate expires, seconds since 1970"],
  ["tls.handshake.failed.*", "handshakes that failed, by cause"],
  ["tls.handshakes_evicted", "handshakes given up to make room for others"],
  ["tls.handshake_ms", "how long handshakes take"],
  ["tls.contexts", "certificates that are ready to be used"],
  ["request_time", "from the first byte of a request to the last of its response"],
  ["service_time", "the part of it that was spent in the proxy"],
  ["backend_response_time", "from connecting to the last byte of the response"],
  ["backend_connection_time", "how long connecting takes"],
  ["frontend_matching_time", "not recorded: looking up a route takes less than reading the clock"],
  ["regex_matching_time", "not recorded, for the same reason"],
  ["epoll_time", "not recorded: a worker waits in the loop of Node"],
  ["event_loop_time", "how long turns of the loop take"],
];

/** The meaning of a metric; undefined: nobody has written it down. */
export function meaningOf(name: string): string | undefined {
  return MEANINGS.find(([pattern]) => patternOf(pattern).test(name))?.[1];
}

function patternOf(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replace(/[.\\+?^$(){}|[\]]/g, "\\$&"));
  return new RegExp(`^${parts.join(".+")}$`);
}

/** The page. */
export function metricsPage(): string {
  const rows = new Set(ROW_METRICS.map(({ name }) => name));
  const times = [
    ...TIMES.map(({ name }) => ({ name, scope: ROW_TIMES.some((time) => time.name === name) ? "P, C, B" : "P" })),
    ...ROW_TIMES.filter(({ name }) => !TIMES.some((time) => time.name === name)).map(({ name }) => ({
      name,
      scope: "C, B",
    })),
  ];
  const proxy = METRICS.map((info) => ({ ...info, scope: rows.has(info.name) ? "P, C, B" : "P" }));
  const own = ROW_METRICS.filter(({ name }) => !METRICS.some((info) => info.name === name));
  const all = [...proxy, ...own.map((info) => ({ ...info, scope: "C, B" }))];
  return [
    INTRODUCTION,
    section("Counters and gauges", ["Metric", "Kind", "Of", "Meaning"], grouped(all)),
    section(
      "Times",
      ["Metric", "Of", "Meaning"],
      times.map(({ name, scope }) => [`\`${name}\``, scope, meaningOf(name) ?? ""]),
    ),
    section(
      "Main",
      ["Metric", "Kind", "Meaning"],
      Object.entries(MAIN_METRICS).map(([name, { kind, text }]) => [`\`${name}\``, kindOf(kind), text]),
    ),
    `Requests that changed something count as \`config.<verb>\`: ${configVerbs()
      .map((name) => `\`${name.slice("config.".length)}\``)
      .join(", ")}.\n`,
    DELIVERY,
  ].join("\n");
}

/** Metrics of one meaning share a row. */
function grouped(all: readonly (MetricInfo & { readonly scope: string })[]): string[][] {
  const groups = new Map<string, { names: string[]; cells: string[] }>();
  for (const { name, kind, scope } of all) {
    const cells = [kindOf(kind), scope, meaningOf(name) ?? ""];
    const key = cells.join("|");
    const group = groups.get(key) ?? { names: [], cells };
    groups.set(key, group);
    group.names.push(`\`${name}\``);
  }
  return [...groups.values()].map(({ names, cells }) => [names.join(" "), ...cells]);
}

function kindOf(kind: number): string {
  return kind === 0 ? "counter" : "gauge";
}

function section(title: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const text = [line(header), `|${"---|".repeat(header.length)}`, ...rows.map(line)].join("\n");
  return `## ${title}\n\n${text}\n`;
}

const INTRODUCTION = `# Metrics

<!-- Generated by \`node scripts/metrics-page.ts\`. -->

What the proxy counts. \`sozu metrics get\` shows it ([cli.md](cli.md#metrics)), \`sozu top\` watches it, and \`[metrics]\` in the
configuration sends it to a statsd server. Each worker counts in memory that it shares with main: counting is an addition,
reading disturbs nobody, and what a worker counted survives its death. Names are those of Sōzu; which ones are ours is in
[additions.md](additions.md#metrics).

A metric is of the proxy as a whole (P), of a cluster (C), of a backend (B). Metrics of clusters are recorded unless
\`detail = "process"\` or \`disable_cluster_metrics\` says otherwise, those of backends with \`detail = "backend"\`, or while
somebody asks for it (\`sozu metrics detail\`). A removed cluster or backend has no metrics; added again, it starts at 0. There
is room for 8,192 clusters and backends in each worker; what is beyond shares one row, which nobody shows
(\`stats.rows_overflowed\`).

Counters that never counted are left out of answers, unless they are asked for by name. Workers are summed; with
\`--workers\` each is shown for itself. Gauges that say the same in every worker, such as \`configuration.clusters\`, are
sums, too, as in Sōzu.
`;

const DELIVERY = `## How times are shown

A time such as \`request_time\` is recorded in microseconds in 448 buckets (at most 6 % wide) and shown in milliseconds:
as percentiles (\`samples\`, \`p50\` to \`p99.999\`, \`p100\`, \`sum\`), and as \`request_time_histogram\` with cumulative counts
below 0, 1, 3, 7, 15, ... milliseconds.

## statsd

\`\`\`toml
[metrics]
address = "127.0.0.1:8125"
tagged_metrics = false
prefix = "sozu"
detail = "cluster"
\`\`\`

Once a second, main sends what has changed over UDP: counters as what was added, gauges as they are, times as samples. Many
samples of one value are one line with a sample rate. Lines are packed into datagrams of at most 1,432 bytes. What does not
fit into a second (more than 4,000 datagrams, a socket that does not take them) is sent with the next: counters lose nothing.
A server that is not there costs nothing but \`metrics.send_errors\`.

| | \`tagged_metrics = false\` | \`tagged_metrics = true\` |
|---|---|---|
| proxy | \`sozu.WRK-00.http.requests:5\\|c\` | \`sozu.http.requests,origin=WRK-00,version=1.0.0:5\\|c\` |
| cluster | \`sozu.WRK-00.cluster.shop.requests:5\\|c\` | \`sozu.cluster.requests,origin=...,version=...,cluster_id=shop:5\\|c\` |
| backend | \`sozu.WRK-00.cluster.shop.backend.b0.requests:5\\|c\` | \`sozu.backend.requests,origin=...,...,cluster_id=shop,backend_id=b0:5\\|c\` |

Main's own metrics have the origin \`MAIN\`. In ids, what the protocol uses for itself (\`: | @ # , =\` and spaces) becomes \`_\`.
`;

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(import.meta.dirname, "../docs/metrics.md"), metricsPage());
}
