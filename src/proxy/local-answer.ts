// Answers that the proxy gives itself: rendered into the bytes for the client, after which the exchange is over.
//
// The template is the cluster's, else the listener's, else the built-in one (spec 5.9); a frontend's own one comes before
// them for redirects. A template that does not fit where answers are written makes room for the built-in answer.

import { builtInAnswer, isRedirect } from "../answers/pages.ts";
import type { AnswerTemplate, AnswerValues } from "../answers/template.ts";
import * as variable from "../answers/variables.ts";
import { METRIC_HTTP_ANSWERS_TOO_LARGE } from "../observe/metrics.ts";
import { ULID_LENGTH } from "../observe/ulid.ts";
import { WireError, wireErrors } from "../wire/http1/errors.ts";
import type { Exchange } from "./exchange.ts";

/** Mistakes in the framing of a chunked body. */
const CHUNK_ERRORS: ReadonlySet<number> = new Set([
  WireError.InvalidChunkSize,
  WireError.ChunkSizeTooLarge,
  WireError.InvalidChunkExtension,
  WireError.ChunkOverheadTooLarge,
  WireError.MissingChunkEnd,
]);
/** Longest path that an answer shows, in bytes. */
const PATH_MAX = 512;

/** Answers and ends the exchange. Whether the connection lives on is the front stream's and the template's decision. */
export function answerLocally(exchange: Exchange, status: number): void {
  const { context, front } = exchange;
  if (front === null) return;
  const template = templateOf(exchange, status);
  exchange.status = template.status;
  exchange.isLocal = true;
  const mayKeepAlive = front.mayKeepAlive(status);
  const { bytes, toFront } = context;
  toFront.reset();
  values.exchange = exchange;
  let close = template.closes || !mayKeepAlive;
  const hsts = exchange.hsts;
  const fields = hsts === null || template.hasHsts ? "" : hsts.text;
  let length = template.render(values, close, !exchange.isHead, bytes, toFront.at, toFront.areaEnd, fields);
  if (length === -1) {
    context.stats.values[METRIC_HTTP_ANSWERS_TOO_LARGE]++;
    exchange.status = status;
    close = !mayKeepAlive;
    const builtIn = builtInAnswer(status);
    length = builtIn.render(values, close, !exchange.isHead, bytes, toFront.at, toFront.areaEnd, fields);
  }
  values.exchange = null;
  if (length > 0) front.sendAnswer(toFront.at + length, close);
  exchange.finish();
}

function templateOf(exchange: Exchange, status: number): AnswerTemplate {
  const redirect = isRedirect(status) ? exchange.route?.policy?.redirectTemplate : null;
  if (redirect) return redirect;
  const own = exchange.cluster?.answers?.get(status) ?? exchange.front?.listener.answers.get(status);
  return own ?? builtInAnswer(status);
}

/** What an answer shows of its exchange, made when a template asks for it. */
class ExchangeValues implements AnswerValues {
  /** The one that is being answered. */
  exchange: Exchange | null;

  constructor() {
    this.exchange = null;
  }

  text(which: number): string {
    const exchange = this.exchange as Exchange;
    const { context, cluster } = exchange;
    switch (which) {
      case variable.ROUTE:
        return routeOf(exchange);
      case variable.REQUEST_ID:
        return exchange.slot.text(exchange.slot.at, ULID_LENGTH);
      case variable.REDIRECT_LOCATION:
        return exchange.location ?? "";
      case variable.WWW_AUTHENTICATE:
        return cluster?.config?.policy?.wwwAuthenticate ?? "";
      case variable.RETRY_AFTER:
        return exchange.retryAfter > 0 ? `${exchange.retryAfter}` : "";
      case variable.CLUSTER_ID:
        return cluster?.id ?? "-";
      case variable.BACKEND_ID:
        return exchange.backend?.id ?? "-";
      case variable.DURATION:
        return `${(durationMs(exchange) / 1000).toFixed(1)}s`;
      case variable.CAPACITY:
        return `${context.settings.bufferSize}`;
      case variable.PHASE:
        return phaseOf(exchange);
      case variable.SUCCESSFULLY_PARSED:
        return exchange.cause === 0 ? "" : context.fault.successfullyParsed;
      case variable.PARTIALLY_PARSED:
        return exchange.cause === 0 ? "" : context.fault.partiallyParsed;
      case variable.INVALID:
        return exchange.cause === 0 ? "" : context.fault.invalid;
      case variable.MESSAGE:
        return messageOf(exchange);
      case variable.TEMPLATE_NAME:
        return `${exchange.status}`;
      default:
        return "";
    }
  }
}

const values = new ExchangeValues();

/** `METHOD authority/path`, as pages and logs show a request; empty before it was understood. */
function routeOf(exchange: Exchange): string {
  const { slot } = exchange;
  if (slot.methodLength === 0) return "";
  const method = slot.text(slot.methodAt, slot.methodLength);
  const authority = slot.text(slot.authorityAt, slot.authorityLength);
  return `${method} ${authority}${slot.text(slot.pathAt, Math.min(slot.pathLength, PATH_MAX))}`;
}

/** How long it was waited: for the backend once it was asked, else for the request, which may never have come. */
function durationMs(exchange: Exchange): number {
  const nowUs = exchange.context.loop.nowUs;
  if (exchange.connectUs > 0) return (nowUs - exchange.connectUs) / 1000;
  if (exchange.slot.methodLength === 0) return exchange.front?.listener.requestTimeoutMs ?? 0;
  return (nowUs - exchange.startUs) / 1000;
}

/** How far a message came: StatusLine (a request's, too), Headers, Chunks, or Error when it is not known. */
function phaseOf(exchange: Exchange): string {
  const { cause } = exchange;
  if (cause === 0) return exchange.status === 502 ? "StatusLine" : "Error";
  const phase = exchange.context.fault.phase;
  if (phase !== "") return phase;
  return CHUNK_ERRORS.has(cause) ? "Chunks" : "Error";
}

/** What exactly was wrong. */
function messageOf(exchange: Exchange): string {
  if (exchange.cause !== 0) return wireErrors[exchange.cause].explanation;
  const { cluster, context, attempts } = exchange;
  switch (exchange.status) {
    case 502:
      return "the backend closed the connection before it answered";
    case 503:
      if (context.isOutOfBuffers) return "the proxy has no buffer left";
      if (cluster === null) return "the proxy has too much to do";
      if (cluster.backends.length === 0) return "the cluster has no backends";
      return attempts > 1 ? `${attempts} attempts to reach a backend failed` : "no backend can be reached";
    default:
      return "";
  }
}

/** Local answers after which the connection may live on (decisions 17). */
export function keepsConnection(status: number): boolean {
  return (
    (status >= 300 && status < 400) ||
    status === 401 ||
    status === 404 ||
    status === 421 ||
    status === 429 ||
    status === 503
  );
}
