// The built-in answers (spec 5.9) as templates: status line, the fields in their fixed order, and an HTML page with a
// JSON block for whoever has to find out why. They differ from Sozu's in two ways (decisions 17): Content-Length is
// always there, and `Connection: close` only when the connection really closes.
// Sentences say whose turn it is: a 4xx what the request got wrong, a 5xx that the request was fine and what the operator
// should look at.

import { CONTEXT_JSON } from "./escape.ts";
import { AnswerTemplate, compileAnswer } from "./template.ts";

/** Reason phrase (RFC 9110 15) and explanation of a status: one sentence, ASCII without `<`, `>`, `&` and `%`. */
export interface Page {
  readonly reason: string;
  readonly explanation: string;
}

/** The built-in answer of a status; one without its own page gets a page that only names it. */
export function builtInAnswer(status: number): AnswerTemplate {
  let template = compiled.get(status);
  if (template === undefined) {
    const result = compileAnswer(`${status}`, textOf(status), CONTEXT_JSON);
    if (!(result instanceof AnswerTemplate)) throw new Error(`the built-in answer for ${status}: ${result.reason}`);
    template = result;
    compiled.set(status, template);
  }
  return template;
}

/** What belongs to a status. */
export function pageOf(status: number): Page {
  return PAGES.get(status) ?? { reason: "Error", explanation: "The proxy answered this request itself." };
}

/** Whether a status is a redirection, which has no page. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 308;
}

// `Connection: keep-alive` closes nothing: it is the place of `Connection: close`.
function textOf(status: number): string {
  const page = pageOf(status);
  const title = `${status} ${page.reason}`;
  const first = isRedirect(status) ? "Location: %REDIRECT_LOCATION" : "Cache-Control: no-cache";
  const head = `HTTP/1.1 ${title}\n${first}\nConnection: keep-alive\nSozu-Id: %REQUEST_ID\n${FIELDS.get(status) ?? ""}\n`;
  if (isRedirect(status)) return head;
  return `${head}<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body>
<h1>${title}</h1>
<pre>
${factsOf(status)}
</pre>
<p>${page.explanation}</p>
<footer>This answer was written by S&#333;zu, the proxy in front of the service.</footer>
</body>
</html>
`;
}

/** The JSON block: the keys of Sozu, in its order. */
function factsOf(status: number): string {
  const lines = [`"status_code": ${status}`, '"route": "%ROUTE"', '"request_id": "%REQUEST_ID"'];
  if (status === 429 || NAMES_BACKEND.has(status)) lines.push('"cluster_id": "%CLUSTER_ID"');
  if (NAMES_BACKEND.has(status)) lines.push('"backend_id": "%BACKEND_ID"');
  if (TELLS_MESSAGE.has(status)) lines.push('"message": "%MESSAGE"');
  return `{\n  ${lines.join(",\n  ")}\n}`;
}

const compiled = new Map<number, AnswerTemplate>();
const NAMES_BACKEND: ReadonlySet<number> = new Set([502, 503, 504, 507]);
const TELLS_MESSAGE: ReadonlySet<number> = new Set([400, 413, 431, 502, 503, 507]);
/** Fields that only this status has. RFC 9110 15.5.6: a 405 must carry Allow. */
const FIELDS: ReadonlyMap<number, string> = new Map([
  [401, "WWW-Authenticate: %WWW_AUTHENTICATE\n"],
  [405, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE\n"],
  [429, "Retry-After: %RETRY_AFTER\n"],
]);
const PAGES: ReadonlyMap<number, Page> = new Map([
  [301, { reason: "Moved Permanently", explanation: "" }],
  [302, { reason: "Found", explanation: "" }],
  [308, { reason: "Permanent Redirect", explanation: "" }],
  [400, { reason: "Bad Request", explanation: "The request is malformed, so it was not passed on." }],
  [401, { reason: "Unauthorized", explanation: "This resource needs credentials that the request does not carry." }],
  [404, { reason: "Not Found", explanation: "No route is configured for this host and path." }],
  [405, { reason: "Method Not Allowed", explanation: "The proxy does not offer this method." }],
  [408, { reason: "Request Timeout", explanation: "The request did not arrive in time." }],
  [413, { reason: "Content Too Large", explanation: "The request is larger than the proxy accepts." }],
  [414, { reason: "URI Too Long", explanation: "The path is too long for the routes of this host." }],
  [417, { reason: "Expectation Failed", explanation: "The only expectation that is understood is 100-continue." }],
  [421, { reason: "Misdirected Request", explanation: "This connection is not meant for the host of the request." }],
  [429, { reason: "Too Many Requests", explanation: "Too many connections from this address; try again later." }],
  [
    431,
    { reason: "Request Header Fields Too Large", explanation: "The header section is larger than the proxy accepts." },
  ],
  [500, { reason: "Internal Server Error", explanation: "The proxy failed while it worked on this request." }],
  [
    502,
    { reason: "Bad Gateway", explanation: "The backend closed the connection or sent an answer that is not HTTP." },
  ],
  [503, { reason: "Service Unavailable", explanation: "No backend of this service could be reached." }],
  [504, { reason: "Gateway Timeout", explanation: "The backend did not answer in time." }],
  [507, { reason: "Insufficient Storage", explanation: "The proxy has no room left to handle this message." }],
]);
