// The answers that the proxy gives itself (spec 5.9): a status line, the fixed fields in their fixed order, and an
// HTML page with a JSON block for whoever has to find out why. They differ from Sozu's in two ways (decisions 17):
// Content-Length is always there, and `Connection: close` only when the connection really closes.
// Invariants: no value can add a field or markup (escape.ts); the page is ASCII; nothing is written that does not fit.

import { headerValue, jsonInHtml, locationValue } from "./escape.ts";
import { isRedirect, pageOf } from "./pages.ts";

/** What an answer is made of. Texts that are null or empty are left out. */
export interface Answer {
  readonly status: number;
  /** The connection closes after it. */
  readonly close: boolean;
  /** It answers HEAD: the fields of the page, but no page. */
  readonly head: boolean;
  /** The request's ULID. */
  readonly requestId: Uint8Array | string;
  /** `METHOD authority/path`; cut at 512 characters. */
  readonly route: string | null;
  /** Shown by 429, 502, 503, 504 and 507. */
  readonly clusterId: string | null;
  /** Shown by 502, 503, 504 and 507. */
  readonly backendId: string | null;
  /** Where a 301, 302 or 308 leads. */
  readonly location: string | null;
  /** Seconds, for 429; 0 leaves it out. */
  readonly retryAfter: number | null;
  /** The challenge of a 401. */
  readonly wwwAuthenticate: string | null;
  /** The methods of a 405, e.g. `GET, HEAD`. */
  readonly allow: string | null;
  /** What exactly was wrong, for 400, 413, 502, 503 and 507. */
  readonly message: string | null;
}

/**
 * Writes an answer at `offset` of `target`. Returns its length in bytes, or -1: it does not fit, nothing was
 * written.
 */
export function renderAnswer(answer: Answer, target: Uint8Array, offset: number): number {
  const requestId = headerValue(
    typeof answer.requestId === "string" ? answer.requestId : DECODER.decode(answer.requestId),
  );
  const body = isRedirect(answer.status) ? "" : renderPage(answer, requestId);
  const text = renderHead(answer, requestId, body.length) + (answer.head ? "" : body);
  if (offset + text.length > target.length) {
    return -1;
  }
  for (let i = 0; i < text.length; i++) {
    target[offset + i] = text.charCodeAt(i);
  }
  return text.length;
}

function renderHead(answer: Answer, requestId: string, contentLength: number): string {
  const status = answer.status;
  let head = `HTTP/1.1 ${status} ${pageOf(status).reason}\r\n`;
  if (isRedirect(status)) {
    head += field("Location", answer.location === null ? "" : locationValue(answer.location));
  } else {
    head += "Cache-Control: no-cache\r\n";
  }
  if (answer.close) {
    head += "Connection: close\r\n";
  }
  head += field("Sozu-Id", requestId);
  if (status === 401) {
    head += field("WWW-Authenticate", headerValue(answer.wwwAuthenticate ?? ""));
  }
  if (status === 405) {
    // RFC 9110 15.5.6: a 405 must carry Allow; an empty list is allowed and means that no method is.
    head += `Allow: ${headerValue(answer.allow ?? "")}\r\n`;
  }
  if (status === 429) {
    head += field("Retry-After", answer.retryAfter === null || answer.retryAfter <= 0 ? "" : `${answer.retryAfter}`);
  }
  return `${head}Content-Length: ${contentLength}\r\n\r\n`;
}

function field(name: string, value: string): string {
  return value === "" ? "" : `${name}: ${value}\r\n`;
}

function renderPage(answer: Answer, requestId: string): string {
  const page = pageOf(answer.status);
  const title = `${answer.status} ${page.reason}`;
  const facts = renderFacts(answer, requestId);
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body>
<h1>${title}</h1>
<pre>
${facts}
</pre>
<p>${page.explanation}</p>
<footer>This answer was written by S&#333;zu, the proxy in front of the service.</footer>
</body>
</html>
`;
}

/** The JSON block: the keys of Sozu, in its order. */
function renderFacts(answer: Answer, requestId: string): string {
  const status = answer.status;
  const lines = [
    `"status_code": ${status}`,
    `"route": ${jsonInHtml((answer.route ?? "").slice(0, ROUTE_MAX))}`,
    `"request_id": ${jsonInHtml(requestId)}`,
  ];
  if (status === 429 || NAMES_BACKEND.has(status)) {
    lines.push(`"cluster_id": ${optional(answer.clusterId)}`);
  }
  if (NAMES_BACKEND.has(status)) {
    lines.push(`"backend_id": ${optional(answer.backendId)}`);
  }
  if (TELLS_MESSAGE.has(status) && answer.message !== null && answer.message !== "") {
    lines.push(`"message": ${jsonInHtml(answer.message.slice(0, MESSAGE_MAX))}`);
  }
  return `{\n  ${lines.join(",\n  ")}\n}`;
}

function optional(text: string | null): string {
  return text === null || text === "" ? '"-"' : jsonInHtml(text.slice(0, ROUTE_MAX));
}

const ROUTE_MAX = 512;
const MESSAGE_MAX = 256;
const NAMES_BACKEND: ReadonlySet<number> = new Set([502, 503, 504, 507]);
const TELLS_MESSAGE: ReadonlySet<number> = new Set([400, 413, 431, 502, 503, 507]);
const DECODER = new TextDecoder("latin1");
