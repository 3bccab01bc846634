// Answers that the proxy gives itself: rendered into the bytes for the client, after which the exchange is over.

import { renderAnswer } from "../answers/answer.ts";
import { ULID_LENGTH } from "../observe/ulid.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import { wireErrors } from "../wire/http1/errors.ts";
import type { Exchange } from "./exchange.ts";

/** Longest route that a page shows. */
const ROUTE_MAX = 512;

/** Answers with a built-in page and ends the exchange. Whether the connection lives on is the front stream's decision. */
export function answerLocally(exchange: Exchange, status: number): void {
  const { context, front } = exchange;
  if (front === null) return;
  exchange.status = status;
  exchange.isLocal = true;
  const close = !front.mayKeepAlive(status);
  const { bytes, toFront } = context;
  const answer = {
    status,
    close,
    head: exchange.isHead,
    requestId: exchange.slot === -1 ? "" : text(exchange, exchange.slot, ULID_LENGTH),
    route: routeOf(exchange),
    clusterId: exchange.cluster === null ? null : exchange.cluster.id,
    backendId: exchange.backend === null ? null : exchange.backend.id,
    location: status === 301 ? httpsLocation(exchange) : null,
    retryAfter: exchange.retryAfter < 0 ? null : exchange.retryAfter,
    wwwAuthenticate: null,
    allow: status === 405 ? "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE" : null,
    message: exchange.cause === 0 ? null : wireErrors[exchange.cause].explanation,
  };
  toFront.reset();
  const length = renderAnswer(answer, bytes, toFront.at);
  if (length > 0) front.sendAnswer(toFront.at + length, close);
  exchange.finish();
}

/** `METHOD authority/path`, as pages and logs show a request. */
function routeOf(exchange: Exchange): string | null {
  if (exchange.methodLength === 0) return null;
  const method = text(exchange, exchange.methodAt, exchange.methodLength);
  const authority = text(exchange, exchange.authorityAt, exchange.authorityLength);
  return `${method} ${authority}${text(exchange, exchange.pathAt, Math.min(exchange.pathLength, ROUTE_MAX))}`;
}

/** Where a plain request finds its cluster over TLS (spec 5.8; oddity 29: without a port the default one counts). */
function httpsLocation(exchange: Exchange): string {
  const authority = text(exchange, exchange.authorityAt, exchange.authorityLength);
  const host = authority.replace(/:\d*$/, "");
  const port = exchange.cluster?.config?.httpsRedirectPort ?? 443;
  const suffix = port === 443 ? "" : `:${port}`;
  return `https://${host}${suffix}${text(exchange, exchange.pathAt, exchange.pathLength)}`;
}

function text(exchange: Exchange, at: number, length: number): string {
  return at < 0 ? "" : latin1(exchange.context.bytes, at, at + length);
}
