// The catalogue of metrics (spec 12.5, the part that concerns HTTP/1) and their places in the shared stats page.
// A constant is named after its metric: `http.requests` is METRIC_HTTP_REQUESTS proxy-wide and, in the row of a cluster
// or backend, `http.errors` is ROW_HTTP_ERRORS. METRIC_ constants are absolute indices into `stats.values`; ROW_
// constants are added to a row's base. Constants instead of a table: the compiler folds them into the instruction.
// Invariant: places are only ever appended, because a page may be read by a newer main than the worker that writes it.

import { TLS_METRICS } from "./metrics-tls.ts";

/** Kinds of metrics. A gauge is a level, a counter only grows. */
export const KIND_COUNTER = 0;
export const KIND_GAUGE = 1;

/** Name and kind of one place. */
export interface MetricInfo {
  readonly name: string;
  readonly kind: number;
  /** Index into `stats.values` (METRIC_), or offset in a row (ROW_). */
  readonly at: number;
}

/** First place of the proxy-wide metrics. */
export const METRICS_START = 64;
export const METRIC_ACCEPT_QUEUE_BACKPRESSURE = 64;
export const METRIC_ACCEPT_QUEUE_CONNECTIONS = 65;
export const METRIC_ACCEPT_QUEUE_SATURATED_SECONDS = 66;
export const METRIC_ACCEPT_QUEUE_TIMEOUT = 67;
export const METRIC_LISTENER_ACCEPTED_TOTAL = 68;
export const METRIC_LISTENER_ACCEPTED_HTTP = 69;
export const METRIC_LISTENER_CONNECTION_CAPPED = 70;
export const METRIC_CLIENT_CONNECTIONS = 71;
export const METRIC_CLIENT_CONNECTIONS_MAX = 72;
export const METRIC_CLIENT_CONNECTIONS_PERCENT = 73;
export const METRIC_SESSIONS_EVICTED = 74;
export const METRIC_ZOMBIES = 75;
export const METRIC_PANIC = 76;
export const METRIC_SLAB_ENTRIES = 77;
export const METRIC_SLAB_CAPACITY = 78;
export const METRIC_SLAB_USAGE_PERCENT = 79;
export const METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT = 80;
export const METRIC_BUFFER_IN_USE = 81;
export const METRIC_BUFFER_CAPACITY = 82;
export const METRIC_BUFFER_USAGE_PERCENT = 83;
export const METRIC_PROCESS_UPTIME_SECONDS = 84;
export const METRIC_SERVER_LIVE = 85;
export const METRIC_CONFIGURATION_CLUSTERS = 86;
export const METRIC_CONFIGURATION_BACKENDS = 87;
export const METRIC_CONFIGURATION_FRONTENDS = 88;
export const METRIC_ACCESS_LOGS_COUNT = 89;
export const METRIC_UNSENT_ACCESS_LOGS = 90;
export const METRIC_PROTOCOL_HTTP = 91;
export const METRIC_HTTP_REQUESTS = 92;
export const METRIC_HTTP_ACTIVE_REQUESTS = 93;
export const METRIC_HTTP_E2E_HTTP11 = 94;
export const METRIC_HTTP_ERRORS = 95;
export const METRIC_HTTP_FRONTEND_PARSE_ERRORS = 96;
export const METRIC_HTTP_BACKEND_PARSE_ERRORS = 97;
export const METRIC_HTTP_FAILED_BACKEND_MATCHING = 98;
export const METRIC_HTTP_EARLY_RESPONSE_CLOSE = 99;
export const METRIC_HTTP_INFINITE_LOOP_ERROR = 100;
export const METRIC_HTTP_STATUS_1XX = 101;
export const METRIC_HTTP_STATUS_2XX = 102;
export const METRIC_HTTP_STATUS_3XX = 103;
export const METRIC_HTTP_STATUS_4XX = 104;
export const METRIC_HTTP_STATUS_5XX = 105;
export const METRIC_HTTP_STATUS_OTHER = 106;
export const METRIC_HTTP_STATUS_NONE = 107;
export const METRIC_HTTP_STATUS_200 = 108;
export const METRIC_HTTP_STATUS_201 = 109;
export const METRIC_HTTP_STATUS_204 = 110;
export const METRIC_HTTP_STATUS_301 = 111;
export const METRIC_HTTP_STATUS_302 = 112;
export const METRIC_HTTP_STATUS_304 = 113;
export const METRIC_HTTP_STATUS_400 = 114;
export const METRIC_HTTP_STATUS_401 = 115;
export const METRIC_HTTP_STATUS_403 = 116;
export const METRIC_HTTP_STATUS_404 = 117;
export const METRIC_HTTP_STATUS_408 = 118;
export const METRIC_HTTP_STATUS_413 = 119;
export const METRIC_HTTP_STATUS_429 = 120;
export const METRIC_HTTP_STATUS_500 = 121;
export const METRIC_HTTP_STATUS_502 = 122;
export const METRIC_HTTP_STATUS_503 = 123;
export const METRIC_HTTP_STATUS_504 = 124;
export const METRIC_HTTP_STATUS_507 = 125;
export const METRIC_HTTP_301_REDIRECTION = 126;
export const METRIC_HTTP_400_ERRORS = 127;
export const METRIC_HTTP_401_ERRORS = 128;
export const METRIC_HTTP_404_ERRORS = 129;
export const METRIC_HTTP_408_ERRORS = 130;
export const METRIC_HTTP_413_ERRORS = 131;
export const METRIC_HTTP_421_ERRORS = 132;
export const METRIC_HTTP_502_ERRORS = 133;
export const METRIC_HTTP_503_ERRORS = 134;
export const METRIC_HTTP_504_ERRORS = 135;
export const METRIC_HTTP_507_ERRORS = 136;
export const METRIC_HTTP_OTHER_ERRORS = 137;
export const METRIC_HTTP_TRUSTING_X_PORT = 138;
export const METRIC_HTTP_TRUSTING_X_PORT_DIFF = 139;
export const METRIC_HTTP_TRUSTING_X_PROTO = 140;
export const METRIC_HTTP_TRUSTING_X_PROTO_DIFF = 141;
export const METRIC_HTTP_X_REQUEST_ID_PROPAGATED = 142;
export const METRIC_HTTP_X_REQUEST_ID_GENERATED = 143;
export const METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP = 144;
export const METRIC_BYTES_IN = 145;
export const METRIC_BYTES_OUT = 146;
export const METRIC_BACK_BYTES_IN = 147;
export const METRIC_BACK_BYTES_OUT = 148;
export const METRIC_BACKEND_CONNECTIONS = 149;
export const METRIC_BACKEND_POOL_HIT = 150;
export const METRIC_BACKEND_POOL_MISS = 151;
export const METRIC_BACKEND_POOL_SIZE = 152;
export const METRIC_BACKEND_FLOW_CONTROL_PAUSED = 153;
export const METRIC_BACKEND_CONNECTIONS_ERROR = 154;
export const METRIC_BACKEND_CONNECT_RETRIES_EXHAUSTED = 155;
export const METRIC_H1_BACKEND_EOF_BEFORE_MESSAGE_COMPLETE = 156;
export const METRIC_ACCESS_LOGS_DROPPED = 157;
export const METRIC_LOGS_DROPPED = 158;
export const METRIC_STATS_ROWS_OVERFLOWED = 159;
export const METRIC_EVENT_LOOP_LAG_MS = 160;
export const METRIC_EVENT_LOOP_OVERLOAD = 161;
export const METRIC_HTTP_REQUESTS_SHED = 162;
export const METRIC_PROCESS_RESIDENT_BYTES = 163;
export const METRIC_MEMORY_OVERLOAD = 164;
export const METRIC_HTTP_302_REDIRECTION = 190;
export const METRIC_HTTP_308_REDIRECTION = 191;
export const METRIC_HTTP_ANSWERS_TOO_LARGE = 192;
export const METRIC_PROTOCOL_WS = 170;
export const METRIC_PROTOCOL_PROXY_EXPECT = 171;
export const METRIC_WEBSOCKET_ACTIVE_REQUESTS = 172;
export const METRIC_PIPE_ERRORS = 173;
export const METRIC_PROXY_PROTOCOL_ERRORS = 174;

/** `client.connect.per_source.bucket_000` to `_255`: accepted connections by a hash of their /24 or /48. */
export const METRIC_CLIENT_CONNECT_PER_SOURCE = 320;
export const PER_SOURCE_BUCKETS = 256;
/** Refused requests by cause: add the code of the wire error (0 to 127). */
export const METRIC_FRONTEND_PARSE_CAUSE = 576;
/** Refused responses by cause: add the code of the wire error (0 to 127). */
export const METRIC_BACKEND_PARSE_CAUSE = 704;
export const PARSE_CAUSES = 128;

/** One past the last proxy-wide place. */
export const METRICS_END = 1024;

// Places in a row.
export const ROW_REQUESTS = 0;
export const ROW_HTTP_ERRORS = 1;
export const ROW_BYTES_IN = 2;
export const ROW_BYTES_OUT = 3;
export const ROW_HTTP_STATUS_1XX = 4;
export const ROW_HTTP_STATUS_2XX = 5;
export const ROW_HTTP_STATUS_3XX = 6;
export const ROW_HTTP_STATUS_4XX = 7;
export const ROW_HTTP_STATUS_5XX = 8;
export const ROW_HTTP_STATUS_OTHER = 9;
export const ROW_HTTP_STATUS_NONE = 10;
export const ROW_HTTP_STATUS_200 = 11;
export const ROW_HTTP_STATUS_201 = 12;
export const ROW_HTTP_STATUS_204 = 13;
export const ROW_HTTP_STATUS_301 = 14;
export const ROW_HTTP_STATUS_302 = 15;
export const ROW_HTTP_STATUS_304 = 16;
export const ROW_HTTP_STATUS_400 = 17;
export const ROW_HTTP_STATUS_401 = 18;
export const ROW_HTTP_STATUS_403 = 19;
export const ROW_HTTP_STATUS_404 = 20;
export const ROW_HTTP_STATUS_408 = 21;
export const ROW_HTTP_STATUS_413 = 22;
export const ROW_HTTP_STATUS_429 = 23;
export const ROW_HTTP_STATUS_500 = 24;
export const ROW_HTTP_STATUS_502 = 25;
export const ROW_HTTP_STATUS_503 = 26;
export const ROW_HTTP_STATUS_504 = 27;
export const ROW_HTTP_STATUS_507 = 28;
export const ROW_HTTP_301_REDIRECTION = 29;
export const ROW_HTTP_400_ERRORS = 30;
export const ROW_HTTP_401_ERRORS = 31;
export const ROW_HTTP_404_ERRORS = 32;
export const ROW_HTTP_408_ERRORS = 33;
export const ROW_HTTP_413_ERRORS = 34;
export const ROW_HTTP_421_ERRORS = 35;
export const ROW_HTTP_502_ERRORS = 36;
export const ROW_HTTP_503_ERRORS = 37;
export const ROW_HTTP_504_ERRORS = 38;
export const ROW_HTTP_507_ERRORS = 39;
export const ROW_HTTP_OTHER_ERRORS = 40;
export const ROW_CONNECTIONS_PER_BACKEND = 41;
export const ROW_BACKEND_CONNECTIONS_OPENED = 42;
export const ROW_BACKEND_CONNECTIONS_ERROR = 43;
export const ROW_BACKEND_CONNECT_RETRIES_EXHAUSTED = 44;
export const ROW_BACKEND_UP = 45;
export const ROW_BACKEND_DOWN = 46;
export const ROW_BACKEND_AVAILABLE = 47;
export const ROW_BACKENDS_FAIL_OPEN = 48;
export const ROW_CLUSTER_AVAILABLE_BACKENDS = 49;
export const ROW_CLUSTER_TOTAL_BACKENDS = 50;
export const ROW_CLUSTER_NO_AVAILABLE_BACKENDS = 51;
export const ROW_CLUSTER_AVAILABLE_RECOVERED = 52;
export const ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP = 53;
export const ROW_HEALTH_CHECK_SUCCESS = 54;
export const ROW_HEALTH_CHECK_FAILURE = 55;
export const ROW_HEALTH_CHECK_UP = 56;
export const ROW_HEALTH_CHECK_DOWN = 57;
export const ROW_HEALTH_CHECK_HEALTHY_BACKENDS = 58;
export const ROW_BACKEND_EJECTED = 59;
export const ROW_HTTP_302_REDIRECTION = 70;
export const ROW_HTTP_308_REDIRECTION = 71;
/** Room for counters in a row. */
export const ROW_COUNTERS = 252;

/** Every proxy-wide counter and gauge, in the order of the page. */
export const METRICS: readonly MetricInfo[] = [
  { name: "accept_queue.backpressure", kind: KIND_GAUGE, at: METRIC_ACCEPT_QUEUE_BACKPRESSURE },
  { name: "accept_queue.connections", kind: KIND_GAUGE, at: METRIC_ACCEPT_QUEUE_CONNECTIONS },
  { name: "accept_queue.saturated_seconds", kind: KIND_COUNTER, at: METRIC_ACCEPT_QUEUE_SATURATED_SECONDS },
  { name: "accept_queue.timeout", kind: KIND_COUNTER, at: METRIC_ACCEPT_QUEUE_TIMEOUT },
  { name: "listener.accepted.total", kind: KIND_COUNTER, at: METRIC_LISTENER_ACCEPTED_TOTAL },
  { name: "listener.accepted.http", kind: KIND_COUNTER, at: METRIC_LISTENER_ACCEPTED_HTTP },
  { name: "listener.connection_capped", kind: KIND_COUNTER, at: METRIC_LISTENER_CONNECTION_CAPPED },
  { name: "client.connections", kind: KIND_GAUGE, at: METRIC_CLIENT_CONNECTIONS },
  { name: "client.connections_max", kind: KIND_GAUGE, at: METRIC_CLIENT_CONNECTIONS_MAX },
  { name: "client.connections_percent", kind: KIND_GAUGE, at: METRIC_CLIENT_CONNECTIONS_PERCENT },
  { name: "sessions.evicted", kind: KIND_COUNTER, at: METRIC_SESSIONS_EVICTED },
  { name: "zombies", kind: KIND_COUNTER, at: METRIC_ZOMBIES },
  { name: "panic", kind: KIND_COUNTER, at: METRIC_PANIC },
  { name: "slab.entries", kind: KIND_GAUGE, at: METRIC_SLAB_ENTRIES },
  { name: "slab.capacity", kind: KIND_GAUGE, at: METRIC_SLAB_CAPACITY },
  { name: "slab.usage_percent", kind: KIND_GAUGE, at: METRIC_SLAB_USAGE_PERCENT },
  { name: "slab.accept_threshold_percent", kind: KIND_GAUGE, at: METRIC_SLAB_ACCEPT_THRESHOLD_PERCENT },
  { name: "buffer.in_use", kind: KIND_GAUGE, at: METRIC_BUFFER_IN_USE },
  { name: "buffer.capacity", kind: KIND_GAUGE, at: METRIC_BUFFER_CAPACITY },
  { name: "buffer.usage_percent", kind: KIND_GAUGE, at: METRIC_BUFFER_USAGE_PERCENT },
  { name: "process.uptime_seconds", kind: KIND_GAUGE, at: METRIC_PROCESS_UPTIME_SECONDS },
  { name: "server.live", kind: KIND_GAUGE, at: METRIC_SERVER_LIVE },
  { name: "configuration.clusters", kind: KIND_GAUGE, at: METRIC_CONFIGURATION_CLUSTERS },
  { name: "configuration.backends", kind: KIND_GAUGE, at: METRIC_CONFIGURATION_BACKENDS },
  { name: "configuration.frontends", kind: KIND_GAUGE, at: METRIC_CONFIGURATION_FRONTENDS },
  { name: "access_logs.count", kind: KIND_COUNTER, at: METRIC_ACCESS_LOGS_COUNT },
  { name: "unsent-access-logs", kind: KIND_COUNTER, at: METRIC_UNSENT_ACCESS_LOGS },
  { name: "protocol.http", kind: KIND_GAUGE, at: METRIC_PROTOCOL_HTTP },
  { name: "http.requests", kind: KIND_COUNTER, at: METRIC_HTTP_REQUESTS },
  { name: "http.active_requests", kind: KIND_GAUGE, at: METRIC_HTTP_ACTIVE_REQUESTS },
  { name: "http.e2e.http11", kind: KIND_COUNTER, at: METRIC_HTTP_E2E_HTTP11 },
  { name: "http.errors", kind: KIND_COUNTER, at: METRIC_HTTP_ERRORS },
  { name: "http.frontend_parse_errors", kind: KIND_COUNTER, at: METRIC_HTTP_FRONTEND_PARSE_ERRORS },
  { name: "http.backend_parse_errors", kind: KIND_COUNTER, at: METRIC_HTTP_BACKEND_PARSE_ERRORS },
  { name: "http.failed_backend_matching", kind: KIND_COUNTER, at: METRIC_HTTP_FAILED_BACKEND_MATCHING },
  { name: "http.early_response_close", kind: KIND_COUNTER, at: METRIC_HTTP_EARLY_RESPONSE_CLOSE },
  { name: "http.infinite_loop.error", kind: KIND_COUNTER, at: METRIC_HTTP_INFINITE_LOOP_ERROR },
  { name: "http.status.1xx", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_1XX },
  { name: "http.status.2xx", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_2XX },
  { name: "http.status.3xx", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_3XX },
  { name: "http.status.4xx", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_4XX },
  { name: "http.status.5xx", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_5XX },
  { name: "http.status.other", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_OTHER },
  { name: "http.status.none", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_NONE },
  { name: "http.status.200", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_200 },
  { name: "http.status.201", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_201 },
  { name: "http.status.204", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_204 },
  { name: "http.status.301", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_301 },
  { name: "http.status.302", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_302 },
  { name: "http.status.304", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_304 },
  { name: "http.status.400", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_400 },
  { name: "http.status.401", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_401 },
  { name: "http.status.403", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_403 },
  { name: "http.status.404", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_404 },
  { name: "http.status.408", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_408 },
  { name: "http.status.413", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_413 },
  { name: "http.status.429", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_429 },
  { name: "http.status.500", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_500 },
  { name: "http.status.502", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_502 },
  { name: "http.status.503", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_503 },
  { name: "http.status.504", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_504 },
  { name: "http.status.507", kind: KIND_COUNTER, at: METRIC_HTTP_STATUS_507 },
  { name: "http.301.redirection", kind: KIND_COUNTER, at: METRIC_HTTP_301_REDIRECTION },
  { name: "http.400.errors", kind: KIND_COUNTER, at: METRIC_HTTP_400_ERRORS },
  { name: "http.401.errors", kind: KIND_COUNTER, at: METRIC_HTTP_401_ERRORS },
  { name: "http.404.errors", kind: KIND_COUNTER, at: METRIC_HTTP_404_ERRORS },
  { name: "http.408.errors", kind: KIND_COUNTER, at: METRIC_HTTP_408_ERRORS },
  { name: "http.413.errors", kind: KIND_COUNTER, at: METRIC_HTTP_413_ERRORS },
  { name: "http.421.errors", kind: KIND_COUNTER, at: METRIC_HTTP_421_ERRORS },
  { name: "http.502.errors", kind: KIND_COUNTER, at: METRIC_HTTP_502_ERRORS },
  { name: "http.503.errors", kind: KIND_COUNTER, at: METRIC_HTTP_503_ERRORS },
  { name: "http.504.errors", kind: KIND_COUNTER, at: METRIC_HTTP_504_ERRORS },
  { name: "http.507.errors", kind: KIND_COUNTER, at: METRIC_HTTP_507_ERRORS },
  { name: "http.other.errors", kind: KIND_COUNTER, at: METRIC_HTTP_OTHER_ERRORS },
  { name: "http.trusting.x_port", kind: KIND_COUNTER, at: METRIC_HTTP_TRUSTING_X_PORT },
  { name: "http.trusting.x_port.diff", kind: KIND_COUNTER, at: METRIC_HTTP_TRUSTING_X_PORT_DIFF },
  { name: "http.trusting.x_proto", kind: KIND_COUNTER, at: METRIC_HTTP_TRUSTING_X_PROTO },
  { name: "http.trusting.x_proto.diff", kind: KIND_COUNTER, at: METRIC_HTTP_TRUSTING_X_PROTO_DIFF },
  { name: "http.x_request_id.propagated", kind: KIND_COUNTER, at: METRIC_HTTP_X_REQUEST_ID_PROPAGATED },
  { name: "http.x_request_id.generated", kind: KIND_COUNTER, at: METRIC_HTTP_X_REQUEST_ID_GENERATED },
  { name: "connections.rejected_per_cluster_ip", kind: KIND_COUNTER, at: METRIC_CONNECTIONS_REJECTED_PER_CLUSTER_IP },
  { name: "bytes_in", kind: KIND_COUNTER, at: METRIC_BYTES_IN },
  { name: "bytes_out", kind: KIND_COUNTER, at: METRIC_BYTES_OUT },
  { name: "back_bytes_in", kind: KIND_COUNTER, at: METRIC_BACK_BYTES_IN },
  { name: "back_bytes_out", kind: KIND_COUNTER, at: METRIC_BACK_BYTES_OUT },
  { name: "backend.connections", kind: KIND_GAUGE, at: METRIC_BACKEND_CONNECTIONS },
  { name: "backend.pool.hit", kind: KIND_COUNTER, at: METRIC_BACKEND_POOL_HIT },
  { name: "backend.pool.miss", kind: KIND_COUNTER, at: METRIC_BACKEND_POOL_MISS },
  { name: "backend.pool.size", kind: KIND_GAUGE, at: METRIC_BACKEND_POOL_SIZE },
  { name: "backend.flow_control.paused", kind: KIND_COUNTER, at: METRIC_BACKEND_FLOW_CONTROL_PAUSED },
  { name: "backend.connections.error", kind: KIND_COUNTER, at: METRIC_BACKEND_CONNECTIONS_ERROR },
  { name: "backend.connect.retries_exhausted", kind: KIND_COUNTER, at: METRIC_BACKEND_CONNECT_RETRIES_EXHAUSTED },
  {
    name: "h1.backend_eof_before_message_complete",
    kind: KIND_COUNTER,
    at: METRIC_H1_BACKEND_EOF_BEFORE_MESSAGE_COMPLETE,
  },
  { name: "access_logs.dropped", kind: KIND_COUNTER, at: METRIC_ACCESS_LOGS_DROPPED },
  { name: "logs.dropped", kind: KIND_COUNTER, at: METRIC_LOGS_DROPPED },
  { name: "stats.rows_overflowed", kind: KIND_COUNTER, at: METRIC_STATS_ROWS_OVERFLOWED },
  { name: "event_loop.lag_ms", kind: KIND_GAUGE, at: METRIC_EVENT_LOOP_LAG_MS },
  { name: "event_loop.overload", kind: KIND_GAUGE, at: METRIC_EVENT_LOOP_OVERLOAD },
  { name: "process.resident_bytes", kind: KIND_GAUGE, at: METRIC_PROCESS_RESIDENT_BYTES },
  { name: "memory.overload", kind: KIND_GAUGE, at: METRIC_MEMORY_OVERLOAD },
  { name: "http.requests_shed", kind: KIND_COUNTER, at: METRIC_HTTP_REQUESTS_SHED },
  { name: "http.302.redirection", kind: KIND_COUNTER, at: METRIC_HTTP_302_REDIRECTION },
  { name: "http.308.redirection", kind: KIND_COUNTER, at: METRIC_HTTP_308_REDIRECTION },
  { name: "http.answers.too_large", kind: KIND_COUNTER, at: METRIC_HTTP_ANSWERS_TOO_LARGE },
  { name: "protocol.ws", kind: KIND_GAUGE, at: METRIC_PROTOCOL_WS },
  { name: "protocol.proxy.expect", kind: KIND_GAUGE, at: METRIC_PROTOCOL_PROXY_EXPECT },
  { name: "websocket.active_requests", kind: KIND_GAUGE, at: METRIC_WEBSOCKET_ACTIVE_REQUESTS },
  { name: "pipe.errors", kind: KIND_COUNTER, at: METRIC_PIPE_ERRORS },
  { name: "proxy_protocol.errors", kind: KIND_COUNTER, at: METRIC_PROXY_PROTOCOL_ERRORS },
  ...TLS_METRICS,
];

/** Every counter and gauge of a row. */
export const ROW_METRICS: readonly MetricInfo[] = [
  { name: "requests", kind: KIND_COUNTER, at: ROW_REQUESTS },
  { name: "http.errors", kind: KIND_COUNTER, at: ROW_HTTP_ERRORS },
  { name: "bytes_in", kind: KIND_COUNTER, at: ROW_BYTES_IN },
  { name: "bytes_out", kind: KIND_COUNTER, at: ROW_BYTES_OUT },
  { name: "http.status.1xx", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_1XX },
  { name: "http.status.2xx", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_2XX },
  { name: "http.status.3xx", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_3XX },
  { name: "http.status.4xx", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_4XX },
  { name: "http.status.5xx", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_5XX },
  { name: "http.status.other", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_OTHER },
  { name: "http.status.none", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_NONE },
  { name: "http.status.200", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_200 },
  { name: "http.status.201", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_201 },
  { name: "http.status.204", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_204 },
  { name: "http.status.301", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_301 },
  { name: "http.status.302", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_302 },
  { name: "http.status.304", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_304 },
  { name: "http.status.400", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_400 },
  { name: "http.status.401", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_401 },
  { name: "http.status.403", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_403 },
  { name: "http.status.404", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_404 },
  { name: "http.status.408", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_408 },
  { name: "http.status.413", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_413 },
  { name: "http.status.429", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_429 },
  { name: "http.status.500", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_500 },
  { name: "http.status.502", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_502 },
  { name: "http.status.503", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_503 },
  { name: "http.status.504", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_504 },
  { name: "http.status.507", kind: KIND_COUNTER, at: ROW_HTTP_STATUS_507 },
  { name: "http.301.redirection", kind: KIND_COUNTER, at: ROW_HTTP_301_REDIRECTION },
  { name: "http.400.errors", kind: KIND_COUNTER, at: ROW_HTTP_400_ERRORS },
  { name: "http.401.errors", kind: KIND_COUNTER, at: ROW_HTTP_401_ERRORS },
  { name: "http.404.errors", kind: KIND_COUNTER, at: ROW_HTTP_404_ERRORS },
  { name: "http.408.errors", kind: KIND_COUNTER, at: ROW_HTTP_408_ERRORS },
  { name: "http.413.errors", kind: KIND_COUNTER, at: ROW_HTTP_413_ERRORS },
  { name: "http.421.errors", kind: KIND_COUNTER, at: ROW_HTTP_421_ERRORS },
  { name: "http.502.errors", kind: KIND_COUNTER, at: ROW_HTTP_502_ERRORS },
  { name: "http.503.errors", kind: KIND_COUNTER, at: ROW_HTTP_503_ERRORS },
  { name: "http.504.errors", kind: KIND_COUNTER, at: ROW_HTTP_504_ERRORS },
  { name: "http.507.errors", kind: KIND_COUNTER, at: ROW_HTTP_507_ERRORS },
  { name: "http.other.errors", kind: KIND_COUNTER, at: ROW_HTTP_OTHER_ERRORS },
  { name: "connections_per_backend", kind: KIND_GAUGE, at: ROW_CONNECTIONS_PER_BACKEND },
  { name: "backend.connections.opened", kind: KIND_COUNTER, at: ROW_BACKEND_CONNECTIONS_OPENED },
  { name: "backend.connections.error", kind: KIND_COUNTER, at: ROW_BACKEND_CONNECTIONS_ERROR },
  { name: "backend.connect.retries_exhausted", kind: KIND_COUNTER, at: ROW_BACKEND_CONNECT_RETRIES_EXHAUSTED },
  { name: "backend.up", kind: KIND_COUNTER, at: ROW_BACKEND_UP },
  { name: "backend.down", kind: KIND_COUNTER, at: ROW_BACKEND_DOWN },
  { name: "backend.available", kind: KIND_GAUGE, at: ROW_BACKEND_AVAILABLE },
  { name: "backends.fail_open", kind: KIND_COUNTER, at: ROW_BACKENDS_FAIL_OPEN },
  { name: "cluster.available_backends", kind: KIND_GAUGE, at: ROW_CLUSTER_AVAILABLE_BACKENDS },
  { name: "cluster.total_backends", kind: KIND_GAUGE, at: ROW_CLUSTER_TOTAL_BACKENDS },
  { name: "cluster.no_available_backends", kind: KIND_COUNTER, at: ROW_CLUSTER_NO_AVAILABLE_BACKENDS },
  { name: "cluster.available_recovered", kind: KIND_COUNTER, at: ROW_CLUSTER_AVAILABLE_RECOVERED },
  { name: "connections.rejected_per_cluster_ip", kind: KIND_COUNTER, at: ROW_CONNECTIONS_REJECTED_PER_CLUSTER_IP },
  { name: "health_check.success", kind: KIND_COUNTER, at: ROW_HEALTH_CHECK_SUCCESS },
  { name: "health_check.failure", kind: KIND_COUNTER, at: ROW_HEALTH_CHECK_FAILURE },
  { name: "health_check.up", kind: KIND_COUNTER, at: ROW_HEALTH_CHECK_UP },
  { name: "health_check.down", kind: KIND_COUNTER, at: ROW_HEALTH_CHECK_DOWN },
  { name: "health_check.healthy_backends", kind: KIND_GAUGE, at: ROW_HEALTH_CHECK_HEALTHY_BACKENDS },
  { name: "backend.ejected", kind: KIND_COUNTER, at: ROW_BACKEND_EJECTED },
  { name: "http.302.redirection", kind: KIND_COUNTER, at: ROW_HTTP_302_REDIRECTION },
  { name: "http.308.redirection", kind: KIND_COUNTER, at: ROW_HTTP_308_REDIRECTION },
];
