// Every key of config.toml: type, range, default and meaning (spec 2). This is the one list: validation, suggestions
// and docs/configuration.md come from it. Keys of parts that are not built yet are here as laterKey: known and refused.

import { NAME_TOLERANCES, PATH_TOLERANCES } from "../command/convert-listener.ts";
import { PER_IP_MAX } from "../command/convert-policies.ts";
import {
  DATAGRAM_BYTES_MAX,
  HEADER_NAME_BYTES_MAX,
  ID_BYTES_MAX,
  PATH_BYTES_MAX,
  TIMEOUT_SECONDS_MAX,
  UDP_PROBE_BYTES_MAX,
  WEIGHT_MAX,
} from "../command/limits.ts";
import type { SandboxMode } from "../command/objects.ts";
import { checkName, checkText, checkToken, utf8Length } from "../command/text.ts";
import { foldWord, HEADER_POSITIONS, METRIC_DETAILS, REDIRECT_SCHEMES, REDIRECTS } from "../command/words.ts";
import {
  address,
  bool,
  integer,
  integers,
  type KeyTable,
  key,
  laterKey,
  misplaced,
  requiredKey,
  strings,
  stringTable,
  table,
  tableOfTables,
  tables,
  text,
  word,
} from "./keys.ts";
import { parseTarget } from "./log-target.ts";
import { BACKEND_TLS_KEYS, CLIENT_AUTH_KEYS, HSTS_KEYS, TLS_FRONTEND_KEYS, TLS_LISTENER_KEYS } from "./tables-tls.ts";

/** Bytes of a cluster id in the file: short enough for the generated backend ids to stay within their own limit. */
export const CLUSTER_ID_BYTES_MAX = 200;

const seconds = (): ReturnType<typeof integer> => integer(0, TIMEOUT_SECONDS_MAX, "seconds");
const path = (): ReturnType<typeof text> => text((value) => checkName(value, PATH_BYTES_MAX), "path");

const PER_IP = "Connections of one source address to a cluster, per worker.";
const ANSWERS = "Answers by status: a template, or `file://path`.";

const ACCESS_FORMATS: readonly ("ascii" | "protobuf")[] = ["ascii", "protobuf"];
const SANDBOX_MODES: readonly SandboxMode[] = ["on", "off", "required", "log"];

/** Keys outside any table. */
export const GLOBAL_KEYS = {
  command_socket: key(path(), "`sozu.sock`", "Path of the unix socket for commands (at most 107 bytes)."),
  command_buffer_size: key(integer(64, 1_000_000_000, "bytes"), "`1000000`", "First size of command buffers."),
  max_command_buffer_size: key(
    integer(4096, 2_000_000_000, "bytes"),
    "`2000000`",
    "Largest message on the command socket.",
  ),
  max_connections: key(integer(1, 10_000_000), "`10000`", "Simultaneous client connections per worker."),
  min_buffers: key(integer(1, 10_000_000), "`1`", "Buffers kept ready; at most `max_buffers` are."),
  max_buffers: key(integer(1, 10_000_000), "`1000`", "Ceiling of the buffer pool of a worker."),
  buffer_size: key(integer(1024, 16_777_216, "bytes"), "`16393`", "Size of one buffer; the largest head that passes."),
  slab_entries_per_connection: key(
    integer(0, 0xffffffff),
    "`4`",
    "Sockets per client connection that a worker makes room for; from 2 to 32.",
  ),
  basic_auth_max_credential_bytes: key(
    integer(0, 16_777_216, "bytes"),
    "`4096`",
    "Largest decoded Basic credential; 0 is the default.",
  ),
  max_connections_per_ip: key(integer(0, PER_IP_MAX), "`0`", `${PER_IP} 0: any number.`),
  retry_after: key(seconds(), "`60`", "`Retry-After` of 429; 0 leaves it out."),
  splice_pipe_capacity_bytes: laterKey("Size of splice pipes."),
  command_allowed_uids: key(integers(0xffffffff), "any", "Users that may use the command socket."),
  saved_state: key(path(), "none", "State file that is loaded at start, after this file."),
  automatic_state_save: key(bool(), "`false`", "Write `saved_state` after changes over the socket."),
  log_level: key(
    text((value) => checkName(value, 1024)),
    "`info`",
    "Log filter: `level` or `module=level,...`.",
  ),
  log_target: key(
    text(checkLogTarget),
    "`stdout`",
    "`stdout`, `file:///path`, `udp://host:port`, `tcp://host:port` or `unix:///path`.",
  ),
  log_colored: key(bool(), "`false`", "Colours on stdout."),
  audit_logs_target: key(path(), "none", "File of the audit log, as text; it is also in the log."),
  audit_logs_json_target: key(path(), "none", "File of the audit log, as JSON lines."),
  access_logs_target: key(text(checkAccessTarget), "`log_target`", "Like `log_target`, or `off` to write none."),
  access_logs_format: key(word(ACCESS_FORMATS), "`ascii`", "Format of access lines."),
  access_logs_tls: key(bool(), "`false`", "Tags of access lines that tell of TLS (an addition)."),
  access_logs_colored: laterKey("Colours in access lines.", false),
  worker_count: key(integer(1, 1024), "`2`", "Worker processes."),
  worker_automatic_restart: key(bool(), "`true`", "Replace workers that died."),
  worker_timeout: key(integer(1, 86_400, "seconds"), "`10`", "How long main waits for workers to acknowledge."),
  worker_memory_limit: key(
    integer(33_554_432, 1_099_511_627_776, "bytes"),
    "none",
    "Resident memory of a worker above which it takes no new work (an addition).",
  ),
  sandbox: key(
    word(SANDBOX_MODES),
    "`on`",
    "What workers give up once they serve (an addition): `required` refuses to start without it, `log` only reports.",
  ),
  drain_timeout: key(
    seconds(),
    "`3600`",
    "How long a worker that was upgraded may finish its connections (an addition); 0 is for ever.",
  ),
  stop_timeout: key(
    seconds(),
    "`0`",
    "How long a soft stop of the proxy may take before what is left is cut (an addition); 0 is for ever.",
  ),
  orphan_timeout: key(
    seconds(),
    "`0`",
    "How long workers serve on without a main before they finish and end (an addition); 0 is for ever.",
  ),
  handle_process_affinity: laterKey("Bind workers to processors.", false),
  ctl_command_timeout: key(integer(0, 86_400_000, "milliseconds"), "`1000`", "How long the CLI waits; 0 is for ever."),
  pid_file_path: key(path(), "none", "Where main writes its process id."),
  activate_listeners: key(bool(), "`true`", "Open the listeners of this file at start."),
  front_timeout: key(seconds(), "`60`", "Default of listeners; 0 is off."),
  back_timeout: key(seconds(), "`30`", "Default of listeners; 0 is off."),
  connect_timeout: key(seconds(), "`3`", "Default of listeners; 0 is off."),
  request_timeout: key(seconds(), "`10`", "Default of listeners; 0 is off."),
  zombie_check_interval: key(seconds(), "`1800`", "How often workers look for sessions that hang; 0 is off."),
  accept_queue_timeout: key(seconds(), "`60`", "How long an accepted connection may wait for a slot; 0 is off."),
  evict_on_queue_full: key(bool(), "`false`", "At `max_connections`, the connections idle for longest make room."),
  disable_cluster_metrics: key(bool(), "`false`", "Record no metrics of clusters and backends, as `metrics disable`."),
  metrics: key(table(), "none", "See `[metrics]`."),
  listeners: key(tables(), "none", "See `[[listeners]]`."),
  clusters: key(tableOfTables(), "none", "See `[clusters.<id>]`."),
} as const satisfies KeyTable;

const answerKeys = sameKeys(
  [
    "answer_301",
    "answer_400",
    "answer_401",
    "answer_404",
    "answer_408",
    "answer_413",
    "answer_421",
    "answer_429",
    "answer_502",
    "answer_503",
    "answer_504",
    "answer_507",
  ],
  key(path(), "none", "File of that answer."),
);

const http2Keys = sameKeys(
  [
    "h2_max_rst_stream_per_window",
    "h2_max_ping_per_window",
    "h2_max_settings_per_window",
    "h2_max_empty_data_per_window",
    "h2_max_window_update_stream0_per_window",
    "h2_max_continuation_frames",
    "h2_max_glitch_count",
    "h2_initial_connection_window",
    "h2_max_concurrent_streams",
    "h2_stream_shrink_ratio",
    "h2_max_rst_stream_lifetime",
    "h2_max_rst_stream_abusive_lifetime",
    "h2_max_rst_stream_emitted_lifetime",
    "h2_max_header_list_size",
    "h2_max_header_table_size",
    "h2_max_header_fields",
    "h2_stream_idle_timeout_seconds",
    "h2_graceful_shutdown_deadline_seconds",
  ],
  key(integer(0, 0xffffffff), "none", "HTTP/2, kept as given."),
);

const PROTOCOLS = ["http", "https", "tcp", "udp"] as const;

/** Keys of `[[listeners]]`. */
export const LISTENER_KEYS = {
  address: requiredKey(address(), "Where to listen; unique in the file."),
  protocol: requiredKey(word(PROTOCOLS), "What is spoken there; see above."),
  public_address: key(address(), "`address`", "What forwarding headers and logs call this listener."),
  expect_proxy: key(bool(), "`false`", "Clients send a PROXY protocol header first; not with `public_address`."),
  front_timeout: key(seconds(), "global", "A client that sends and takes nothing for so long is dropped."),
  back_timeout: key(seconds(), "global", "The same for backends."),
  connect_timeout: key(seconds(), "global", "For connecting to a backend."),
  request_timeout: key(seconds(), "global", "For the whole head of a request to arrive."),
  sticky_name: key(text(token), "`SOZUBALANCEID`", "Name of the cookie of sticky sessions."),
  sozu_id_header: key(text(token), "`Sozu-Id`", "Name of the correlation header."),
  elide_x_real_ip: key(bool(), "`false`", "Remove `X-Real-IP` of clients."),
  send_x_real_ip: key(bool(), "`false`", "Send `X-Real-IP` to backends."),
  answers: key(stringTable(), "built in", `${ANSWERS} Wins over \`answer_<status>\`.`),
  ...answerKeys,
  trusted_proxies: key(strings(), "any client", "Networks whose `X-Forwarded-*` is trusted (an addition)."),
  underscore_names: key(word(NAME_TOLERANCES), "`pass`", "Header names with `_` (an addition)."),
  dot_segments: key(word(PATH_TOLERANCES), "`refuse`", "Paths with `.` and `..` segments (an addition)."),
  encoded_slashes: key(word(PATH_TOLERANCES), "`pass`", "Paths with `%2f` or `%5c` (an addition)."),
  ...TLS_LISTENER_KEYS,
  max_rx_datagram_size: key(
    integer(1, DATAGRAM_BYTES_MAX, "bytes"),
    "`1500`",
    "UDP: longer datagrams are dropped; at most `buffer_size`.",
  ),
  max_flows: key(integer(0, 0xffffffff), "`0`", "UDP: clients at a time; 0: as many as descriptors allow."),
  ...http2Keys,
} as const satisfies KeyTable;

/** LoadBalancingAlgorithms of the schema, by number. */
export const LOAD_BALANCING = ["ROUND_ROBIN", "RANDOM", "LEAST_LOADED", "POWER_OF_TWO", "HRW", "MAGLEV"] as const;
/** LoadMetric of the schema, by number. */
export const LOAD_METRICS = ["CONNECTIONS", "REQUESTS", "CONNECTION_TIME"] as const;
/** PathRuleKind of the schema, by number. */
export const PATH_TYPES = ["PREFIX", "REGEX", "EQUALS"] as const;
/** RulePosition of the schema, by number. */
export const POSITIONS = ["PRE", "POST", "TREE"] as const;

/** Keys of `[clusters.<id>]`. */
export const CLUSTER_KEYS = {
  protocol: requiredKey(word(["http", "tcp"]), "What its backends speak; UDP clusters are `tcp`, too."),
  frontends: requiredKey(tables(), "Which requests it serves; see below."),
  backends: requiredKey(tables(), "Who answers them; see below."),
  sticky_session: key(bool(), "`false`", "Keep a client on one backend, by cookie."),
  https_redirect: key(bool(), "`false`", "Answer 301 to https on plain HTTP listeners."),
  https_redirect_port: key(integer(1, 65_535), "none", "Port in that `Location`."),
  load_balancing: key(word(LOAD_BALANCING), "`ROUND_ROBIN`", "How a backend is chosen; see above."),
  load_metric: key(word(LOAD_METRICS), "`CONNECTIONS`", "What LEAST_LOADED and POWER_OF_TWO compare."),
  shared_backend_connections: key(bool(), "`true`", "Share backend connections between clients (an addition)."),
  send_proxy: key(bool(), "`false`", "TCP: send a PROXY protocol header."),
  answers: key(stringTable(), "the listener's", `${ANSWERS} Wins over \`answer_503\`.`),
  answer_503: key(path(), "none", "File of the answer 503."),
  http2: key(bool(), "`false`", "Backends speak HTTP/2 without TLS; stored only."),
  authorized_hashes: key(
    strings(),
    "none",
    "Who may use frontends with `required_auth`: `user:<sha256 of the password>`.",
  ),
  www_authenticate: key(text(), "none", 'Whole value of `WWW-Authenticate` on 401, e.g. `Basic realm="shop"`.'),
  max_connections_per_ip: key(integer(0, PER_IP_MAX), "global", `${PER_IP} 0: any number.`),
  retry_after: key(seconds(), "global", "`Retry-After` of 429; 0 leaves it out."),
  health_check: key(table(), "none", "Active health checks; see below."),
  affinity: key(text(), "`source-ip`", "Key of HRW and MAGLEV: or `header:NAME`, `cookie:NAME` (an addition)."),
  slow_start: key(seconds(), "`0`", "How long a backend that came back takes to its full weight (an addition)."),
  eject_after: key(
    integer(0, 0xffffffff),
    "`0`",
    "5xx or timeouts in a row that eject a backend; 0: none (an addition).",
  ),
  ejection_time: key(integer(1, TIMEOUT_SECONDS_MAX, "seconds"), "`30`", "Its first ejection (an addition)."),
  tls: key(table(), "none", "Backends are spoken to by TLS; see below (an addition)."),
  udp: key(table(), "none", "UDP flows; see below."),
} as const satisfies KeyTable;

/** Keys of a frontend. */
export const FRONTEND_KEYS = {
  address: requiredKey(address(), "Listener it belongs to; a missing listener is created with defaults."),
  hostname: requiredKey(text(), "Host: `example.com`, `*.example.com`, `*` or one with `/regex/` in it."),
  path: key(
    text((value) => checkText(value, PATH_BYTES_MAX)),
    "all",
    "Path to match, without the query.",
  ),
  path_type: key(word(PATH_TYPES), "`PREFIX`", "How `path` is compared; see above."),
  method: key(
    text((value) => checkToken(value, HEADER_NAME_BYTES_MAX)),
    "any",
    "Method, in capitals.",
  ),
  position: key(word(POSITIONS), "`TREE`", "Before, after or in the tree of hosts."),
  tags: key(stringTable(), "none", "Copied to access lines."),
  ...TLS_FRONTEND_KEYS,
  redirect: key(
    word(REDIRECTS, [], (given) => foldWord(given, "_")),
    "`forward`",
    "What is done instead of forwarding.",
  ),
  redirect_scheme: key(
    word(REDIRECT_SCHEMES, [], (given) => foldWord(given, "-")),
    "`use-same`",
    "Scheme of `Location`.",
  ),
  redirect_template: key(text(), "built in", "Template of the redirect's answer, or `file://path`."),
  rewrite_host: key(text(), "none", "Host for the backend or in `Location`, with `$HOST[n]` and `$PATH[n]`."),
  rewrite_path: key(text(), "none", "The same for the path."),
  rewrite_port: key(integer(1, 65_535), "none", "Port in `Location`."),
  required_auth: key(bool(), "`false`", "Ask for one of the cluster's `authorized_hashes`."),
  headers: key(tables(), "none", "Edits of header fields; see below."),
} as const satisfies KeyTable;

/** Keys of a frontend of a `tcp` cluster. */
export const STREAM_FRONTEND_KEYS = {
  address: requiredKey(address(), "TCP or UDP listener that serves the cluster."),
  tags: key(stringTable(), "none", "Copied to access lines."),
  ...sameKeys(
    ["hostname", "path", "certificate", "certificate_chain"],
    key(misplaced("a TCP or UDP listener serves one cluster, whatever clients ask for"), "-", "HTTP frontends only."),
  ),
} as const satisfies KeyTable;

/** UdpAffinityKey of the schema, by number. */
export const UDP_AFFINITIES = ["SOURCE_IP", "SOURCE_IP_PORT"] as const;
/** UdpHealthMode of the schema, by number. */
export const UDP_HEALTH_MODES = ["HEALTH_OFF", "TCP_PROBE", "UDP_PROBE"] as const;

/** Keys of `udp` of a cluster. */
export const UDP_KEYS = {
  affinity_key: key(word(UDP_AFFINITIES), "`SOURCE_IP`", "What tells one client from another."),
  responses: key(integer(0, 0xffffffff), "`0`", "Answers after which a flow ends; 0: any number."),
  requests: key(integer(0, 0xffffffff), "`0`", "Datagrams of the client after which it ends; 0: any number."),
  send_proxy_protocol: key(bool(), "`false`", "A PROXY protocol header before the first datagram of a flow."),
  proxy_protocol_every_datagram: key(bool(), "`false`", "Before every one."),
  health: key(table(), "none", "Probes of the backends; see below."),
} as const satisfies KeyTable;

/** Keys of `udp.health` of a cluster. */
export const UDP_HEALTH_KEYS = {
  mode: key(word(UDP_HEALTH_MODES), "`TCP_PROBE`", "How backends are probed."),
  tcp_port: key(integer(1, 65_535), "the backend's", "Port that TCP probes connect to."),
  rise: key(integer(1, 0xffffffff), "`2`", "Successes in a row that bring a backend back."),
  fall: key(integer(1, 0xffffffff), "`3`", "Failures in a row that take it out."),
  fail_open: key(bool(), "`true`", "When all backends are unhealthy, all of them are used."),
  udp_probe_payload: key(
    text((value) =>
      utf8Length(value) > UDP_PROBE_BYTES_MAX ? `it is longer than ${UDP_PROBE_BYTES_MAX} bytes` : null,
    ),
    "none",
    "Datagram that UDP probes send.",
  ),
  probe_interval_seconds: key(integer(1, TIMEOUT_SECONDS_MAX, "seconds"), "`5`", "Time between probes."),
  probe_timeout_seconds: key(integer(1, TIMEOUT_SECONDS_MAX, "seconds"), "`2`", "How long a probe may take."),
} as const satisfies KeyTable;

/** Keys of one of the `headers` of a frontend. */
export const HEADER_KEYS = {
  position: requiredKey(
    word(HEADER_POSITIONS, [], (given) => foldWord(given, "-")),
    "Which of the two is edited.",
  ),
  key: requiredKey(text(), "Name of the field."),
  value: requiredKey(text(), "Replaces all fields of the name; an empty one removes them."),
  append: key(bool(), "`false`", "Add the value instead (an addition)."),
} as const satisfies KeyTable;

/** Keys of `[metrics]`. */
export const METRICS_KEYS = {
  address: requiredKey(address(), "Where a statsd server takes datagrams."),
  tagged_metrics: key(bool(), "`false`", "Tags as InfluxDB writes them, instead of names with dots."),
  prefix: key(text(checkPrefix), "`sozu`", "What all names begin with."),
  detail: key(
    word(METRIC_DETAILS),
    "`cluster`",
    "Which objects have metrics of their own, here and in `sozu metrics`.",
  ),
} as const satisfies KeyTable;

/** Keys of `health_check` of a cluster. */
export const HEALTH_CHECK_KEYS = {
  uri: key(text(), "required", "Path of the probe; may be missing with `tcp = true`."),
  interval: key(integer(1, TIMEOUT_SECONDS_MAX, "seconds"), "`10`", "Time between probes of a backend."),
  timeout: key(integer(1, TIMEOUT_SECONDS_MAX, "seconds"), "`5`", "How long a probe may take."),
  healthy_threshold: key(integer(1, 0xffffffff), "`3`", "Successes in a row that bring a backend back."),
  unhealthy_threshold: key(integer(1, 0xffffffff), "`3`", "Failures in a row that take it out."),
  expected_status: key(integer(0, 599), "`0`", "The status that means healthy; 0: any 2xx."),
  tcp: key(bool(), "`false`", "Only connect (an addition)."),
  accepted_statuses: key(strings(), "none", 'Instead of one status: `["200-299", "404"]` (an addition).'),
} as const satisfies KeyTable;

/** Keys of a backend. */
export const BACKEND_KEYS = {
  address: requiredKey(address(), "Where it listens."),
  weight: key(integer(1, WEIGHT_MAX), "`100`", "Its share of the requests."),
  sticky_id: key(
    text((value) => checkName(value, ID_BYTES_MAX)),
    "none",
    "Its value in the sticky cookie.",
  ),
  backup: key(bool(), "`false`", "Used only while no other backend is available."),
  backend_id: key(
    text((value) => checkName(value, ID_BYTES_MAX)),
    "`<cluster>-<index>-<address>`",
    "Its name in logs, metrics and commands.",
  ),
} as const satisfies KeyTable;

/** Every table of the file, in the order of the reference page. */
export const KEY_TABLES: readonly { readonly title: string; readonly keys: KeyTable }[] = [
  { title: "the top of the file", keys: GLOBAL_KEYS },
  { title: "[metrics]", keys: METRICS_KEYS },
  { title: "[[listeners]]", keys: LISTENER_KEYS },
  { title: "[clusters.<id>]", keys: CLUSTER_KEYS },
  { title: "udp of a cluster", keys: UDP_KEYS },
  { title: "health of udp of a cluster", keys: UDP_HEALTH_KEYS },
  { title: "a frontend of a cluster", keys: FRONTEND_KEYS },
  { title: "a frontend of a tcp cluster", keys: STREAM_FRONTEND_KEYS },
  { title: "headers of a frontend", keys: HEADER_KEYS },
  { title: "hsts of a listener or frontend", keys: HSTS_KEYS },
  { title: "client_auth of a listener", keys: CLIENT_AUTH_KEYS },
  { title: "tls of a cluster", keys: BACKEND_TLS_KEYS },
  { title: "health_check of a cluster", keys: HEALTH_CHECK_KEYS },
  { title: "a backend of a cluster", keys: BACKEND_KEYS },
];

function sameKeys<N extends string, K>(names: readonly N[], one: K): Record<N, K> {
  return Object.fromEntries(names.map((name) => [name, one])) as Record<N, K>;
}

function token(value: string): string | null {
  return checkToken(value, HEADER_NAME_BYTES_MAX);
}

function checkPrefix(value: string): string | null {
  return /^[A-Za-z0-9_./-]{1,100}$/.test(value) ? null : "expected up to 100 letters, digits and any of _ . / -";
}

function checkLogTarget(value: string): string | null {
  const parsed = parseTarget(value);
  return parsed.kind === "error" ? parsed.reason : checkText(value, PATH_BYTES_MAX);
}

function checkAccessTarget(value: string): string | null {
  return value === "off" ? null : checkLogTarget(value);
}
