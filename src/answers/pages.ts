// The built-in statuses: reason phrase (RFC 9110 15) and what the page tells its reader. Sentences say whose turn it
// is:
// a 4xx what the request got wrong, a 5xx that the request was fine and what the operator should look at.

/** What belongs to a status. */
export interface StatusPage {
  readonly reason: string;
  /** One sentence, plain ASCII without `<`, `>` and `&`. */
  readonly explanation: string;
}

/** The page of a status; a status without its own gets a page that only names it. */
export function pageOf(status: number): StatusPage {
  return PAGES.get(status) ?? { reason: "Error", explanation: "The proxy answered this request itself." };
}

/** Whether a status is a redirection, which has no page. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 308;
}

const PAGES: ReadonlyMap<number, StatusPage> = new Map([
  [301, { reason: "Moved Permanently", explanation: "" }],
  [302, { reason: "Found", explanation: "" }],
  [308, { reason: "Permanent Redirect", explanation: "" }],
  [400, { reason: "Bad Request", explanation: "The request is malformed, so it was not passed on." }],
  [401, { reason: "Unauthorized", explanation: "This resource needs credentials that the request does not carry." }],
  [404, { reason: "Not Found", explanation: "No route is configured for this host and path." }],
  [405, { reason: "Method Not Allowed", explanation: "The proxy does not offer this method." }],
  [408, { reason: "Request Timeout", explanation: "The request did not arrive in time." }],
  [413, { reason: "Content Too Large", explanation: "The request is larger than the proxy accepts." }],
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
