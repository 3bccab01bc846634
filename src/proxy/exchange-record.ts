// What is remembered of an exchange: its access line, its counters, its times.

import type { Backend } from "../balancing/backend.ts";
import { record } from "../observe/histogram.ts";
import { DETAIL_BACKEND, DETAIL_CLUSTER } from "../observe/metric-detail.ts";
import * as metric from "../observe/metrics.ts";
import type { Stats } from "../observe/stats.ts";
import {
  ROW_TIME_BACKEND_CONNECTION,
  ROW_TIME_BACKEND_RESPONSE,
  ROW_TIME_REQUEST,
  ROW_TIME_SERVICE,
  TIME_REQUEST,
  TIME_SERVICE,
} from "../observe/stats-layout.ts";
import { countLocalAnswer, countStatus } from "../observe/status-counters.ts";
import { ascii } from "../wire/http1/bytes.ts";
import type { Exchange } from "./exchange.ts";
import { noteOutcome } from "./health/ejections.ts";
import { NOTE_COMPLETE, NOTE_IS_ERROR, NOTE_TEXTS, NOTE_UPGRADE } from "./notes.ts";
import type { FrontStream } from "./streams.ts";

const PROTOCOL_WS = ascii("WS");

/** Counts the exchange, writes its access line. Called once, when nothing more will happen to it. */
export function recordExchange(exchange: Exchange, front: FrontStream): void {
  const { context } = exchange;
  const nowUs = context.loop.nowUs;
  const isComplete = exchange.note === NOTE_COMPLETE || exchange.note === NOTE_UPGRADE;
  const endUs = exchange.responseEndUs > 0 && isComplete ? exchange.responseEndUs : nowUs;
  const requestUs = Math.round(nowUs - exchange.startUs);
  const responseUs = exchange.backend !== null && !exchange.isLocal ? Math.round(endUs - exchange.connectUs) : -1;
  const serviceUs = responseUs === -1 ? requestUs : requestUs - responseUs;
  const isError = NOTE_IS_ERROR[exchange.note] === 1;
  count(exchange, requestUs, serviceUs, responseUs, isError);
  const { cluster } = exchange;
  if (cluster !== null && cluster.ejectAfter !== 0) noteOutcome(exchange, cluster);
  if (context.accessLog !== null) {
    writeLine(exchange, front, requestUs, serviceUs, responseUs, front.listener.texts.label);
  }
}

/** A second line for an exchange that became a tunnel, at the tunnel's end; its bytes are those of the tunnel. */
export function recordTunnel(exchange: Exchange, front: FrontStream): void {
  const { context, cluster, backend } = exchange;
  const { values, detail } = context.stats;
  values[metric.METRIC_ACCESS_LOGS_COUNT]++;
  if (detail >= DETAIL_CLUSTER && cluster !== null && cluster.row !== -1) {
    values[cluster.row + metric.ROW_BYTES_IN] += exchange.bytesIn;
    values[cluster.row + metric.ROW_BYTES_OUT] += exchange.bytesOut;
  }
  if (detail >= DETAIL_BACKEND && backend !== null && backend.row !== -1) {
    values[backend.row + metric.ROW_BYTES_IN] += exchange.backBytesIn;
    values[backend.row + metric.ROW_BYTES_OUT] += exchange.backBytesOut;
  }
  const requestUs = Math.round(context.loop.nowUs - exchange.startUs);
  if (context.accessLog === null) return;
  const protocol = front.secured === null ? PROTOCOL_WS : front.secured.tunnelLabel;
  writeLine(exchange, front, requestUs, 0, requestUs, protocol);
}

function writeLine(
  exchange: Exchange,
  front: FrontStream,
  requestUs: number,
  serviceUs: number,
  responseUs: number,
  protocol: Uint8Array,
): void {
  const { context } = exchange;
  const { accessLog } = context;
  if (accessLog === null) return;
  const { records } = context;
  const line = context.accessRecord;
  const { slot } = exchange;
  line.sessionUlid = records.ulidAt(front.record);
  line.requestUlid = slot.at;
  line.clusterId = exchange.cluster === null ? null : exchange.cluster.idBytes;
  const backend = exchange.isLocal ? null : exchange.backend;
  line.backendId = backend === null ? null : backend.idBytes;
  line.backendAddress = backend === null ? null : backend.addressBytes;
  line.clientOffset = records.addressAt(front.record);
  line.clientLength = records.addressLength(front.record);
  line.requestUs = requestUs;
  line.serviceUs = serviceUs;
  line.responseUs = responseUs;
  line.clientRttUs = front.rtt();
  line.serverRttUs = backend === null ? -1 : exchange.backRttUs;
  line.bytesIn = exchange.bytesIn;
  line.bytesOut = exchange.bytesOut;
  line.tags = exchange.route === null ? null : exchange.route.tags;
  line.tls = front.secured === null ? null : front.secured.logged(accessLog);
  line.headOffset = slot.headAt;
  line.headLength = slot.at === -1 ? 0 : slot.headLength;
  line.userAgentOffset = slot.userAgentAt;
  line.userAgentLength = slot.userAgentLength;
  line.authorityOffset = slot.authorityAt;
  line.authorityLength = slot.authorityLength;
  line.methodOffset = slot.methodAt;
  line.methodLength = slot.methodLength;
  line.pathOffset = slot.pathAt;
  line.pathLength = slot.pathLength;
  line.status = exchange.status;
  line.protocol = protocol;
  line.message = NOTE_TEXTS[exchange.note];
  line.error = NOTE_IS_ERROR[exchange.note] === 1;
  accessLog.write(line, context.realtimeUs);
}

function count(exchange: Exchange, requestUs: number, serviceUs: number, responseUs: number, isError: boolean): void {
  const { stats } = exchange.context;
  const { values } = stats;
  const { status, cluster } = exchange;
  values[metric.METRIC_ACCESS_LOGS_COUNT]++;
  values[metric.METRIC_BYTES_OUT] += exchange.bytesOut;
  countStatus(values, metric.METRIC_HTTP_STATUS_1XX, status);
  if (isError) values[metric.METRIC_HTTP_ERRORS]++;
  if (exchange.isLocal) {
    if (status >= 400) countLocalAnswer(values, metric.METRIC_HTTP_400_ERRORS, status);
    else if (status === 301) values[metric.METRIC_HTTP_301_REDIRECTION]++;
    else if (status === 302) values[metric.METRIC_HTTP_302_REDIRECTION]++;
    else if (status === 308) values[metric.METRIC_HTTP_308_REDIRECTION]++;
  } else if (exchange.responseDone) values[metric.METRIC_HTTP_E2E_HTTP11]++;
  record(values, TIME_REQUEST, requestUs);
  record(values, TIME_SERVICE, serviceUs);
  const { detail } = stats;
  if (detail < DETAIL_CLUSTER || cluster === null || cluster.row === -1) return;
  countRow(values, cluster.row, exchange, isError);
  record(values, cluster.row + ROW_TIME_REQUEST, requestUs);
  record(values, cluster.row + ROW_TIME_SERVICE, serviceUs);
  values[cluster.row + metric.ROW_BYTES_IN] += exchange.bytesIn;
  values[cluster.row + metric.ROW_BYTES_OUT] += exchange.bytesOut;
  const { backend } = exchange;
  if (backend === null || exchange.isLocal) return;
  record(values, cluster.row + ROW_TIME_BACKEND_RESPONSE, responseUs);
  if (detail < DETAIL_BACKEND || backend.row === -1) return;
  countRow(values, backend.row, exchange, isError);
  record(values, backend.row + ROW_TIME_REQUEST, requestUs);
  record(values, backend.row + ROW_TIME_SERVICE, serviceUs);
  record(values, backend.row + ROW_TIME_BACKEND_RESPONSE, responseUs);
  values[backend.row + metric.ROW_BYTES_IN] += exchange.backBytesIn;
  values[backend.row + metric.ROW_BYTES_OUT] += exchange.backBytesOut;
}

function countRow(values: Float64Array, row: number, exchange: Exchange, isError: boolean): void {
  values[row + metric.ROW_REQUESTS]++;
  countStatus(values, row + metric.ROW_HTTP_STATUS_1XX, exchange.status);
  if (isError) values[row + metric.ROW_HTTP_ERRORS]++;
  if (!exchange.isLocal) return;
  const { status } = exchange;
  if (status >= 400) countLocalAnswer(values, row + metric.ROW_HTTP_400_ERRORS, status);
  else if (status === 301) values[row + metric.ROW_HTTP_301_REDIRECTION]++;
  else if (status === 302) values[row + metric.ROW_HTTP_302_REDIRECTION]++;
  else if (status === 308) values[row + metric.ROW_HTTP_308_REDIRECTION]++;
}

/** A connection to this backend took so long to come up. */
export function recordConnectionTime(stats: Stats, backend: Backend, microseconds: number): void {
  const { row } = backend;
  if (row === -1 || stats.detail < DETAIL_CLUSTER) return;
  const us = Math.round(microseconds);
  record(stats.values, stats.parentRow(row) + ROW_TIME_BACKEND_CONNECTION, us);
  record(stats.values, row + ROW_TIME_BACKEND_CONNECTION, us);
}

/** No backend could be reached for this request. */
export function countUnlinked(exchange: Exchange): void {
  const { values } = exchange.context.stats;
  const row = exchange.cluster === null ? -1 : exchange.cluster.row;
  if (exchange.attempts < 3) {
    values[metric.METRIC_HTTP_FAILED_BACKEND_MATCHING]++;
    return;
  }
  values[metric.METRIC_BACKEND_CONNECT_RETRIES_EXHAUSTED]++;
  if (row !== -1) values[row + metric.ROW_BACKEND_CONNECT_RETRIES_EXHAUSTED]++;
}
