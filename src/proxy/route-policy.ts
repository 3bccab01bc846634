// What a route does with its requests besides forwarding them, compiled once, and the order in which it is asked
// (spec 5.7): redirect, deny, cluster, credentials, https_redirect, limit of the address. A route without any of it has no
// policy, and then a request pays for one comparison.
//
// Edits of a response are for what backends answer; answers of the proxy itself stay as they are.

import { AnswerTemplate, compileAnswer } from "../answers/template.ts";
import type { Cluster } from "../balancing/cluster.ts";
import {
  type FrontendPolicyObject,
  HEADER_REQUEST,
  HEADER_RESPONSE,
  type HttpFrontendObject,
  REDIRECT_FOUND,
  REDIRECT_PERMANENT,
  REDIRECT_PERMANENT_REDIRECT,
  REDIRECT_UNAUTHORIZED,
  SCHEME_HTTP,
  SCHEME_HTTPS,
} from "../command/objects.ts";
import { Credentials } from "../policies/credentials.ts";
import { checkHeaderEdits, compileHeaderEdits, type HeaderEdits } from "../policies/header-edits.ts";
import { locationOf, type Scheme } from "../policies/redirect.ts";
import { compileRewrite, Rewrite, type RewriteTarget } from "../policies/rewrite.ts";
import { RuleCaptures } from "../routing/captures.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import { AUTHORIZATION } from "../wire/http1/head.ts";
import type { TrafficContext } from "./context.ts";
import type { Exchange, FrontStream } from "./exchange.ts";
import type { RequestMessage } from "./messages.ts";

/** Statuses of redirects; 401 for a route that denies, 0 for one that forwards. */
const STATUS_OF: Readonly<Record<number, number>> = {
  [REDIRECT_PERMANENT]: 301,
  [REDIRECT_FOUND]: 302,
  [REDIRECT_PERMANENT_REDIRECT]: 308,
  [REDIRECT_UNAUTHORIZED]: 401,
};
const DENIED = 401;

export class RoutePolicy {
  /** 301, 302, 308 or 401; 0: requests are forwarded. */
  readonly status: number;
  /** Scheme of a redirect; null: the listener's. */
  readonly scheme: Scheme | null;
  /** Answer of its redirects; null: that of the cluster, the listener or the proxy. */
  readonly redirectTemplate: AnswerTemplate | null;
  readonly rewriteHost: Rewrite | null;
  readonly rewritePath: Rewrite | null;
  readonly rewritePort: number | null;
  /** What the rewrites take from a request; null without rewrites. */
  readonly captures: RuleCaptures | null;
  readonly requiredAuth: boolean;
  readonly request: HeaderEdits | null;
  readonly response: HeaderEdits | null;

  constructor(
    policy: FrontendPolicyObject,
    template: AnswerTemplate | null,
    host: Rewrite | null,
    path: Rewrite | null,
    captures: RuleCaptures | null,
  ) {
    this.status = STATUS_OF[policy.redirect] ?? 0;
    this.scheme = schemeOf(policy.redirectScheme);
    this.redirectTemplate = template;
    this.rewriteHost = host;
    this.rewritePath = path;
    this.rewritePort = policy.rewritePort;
    this.captures = captures;
    this.requiredAuth = policy.requiredAuth;
    this.request = compileHeaderEdits(policy.headers, HEADER_REQUEST);
    this.response = compileHeaderEdits(policy.headers, HEADER_RESPONSE);
  }
}

/** Compiles a frontend's policy; null: it has none. A string says why it cannot be used. */
export function compilePolicy(frontend: HttpFrontendObject): RoutePolicy | string | null {
  const { policy } = frontend;
  if (policy === null) return null;
  const bad = checkHeaderEdits(policy.headers);
  if (bad !== null) return `headers: ${bad}`;
  const template = policy.redirectTemplate === null ? null : compileAnswer("", policy.redirectTemplate);
  if (template !== null && !(template instanceof AnswerTemplate)) {
    return `redirect_template, line ${template.line}: ${template.reason}`;
  }
  const rewrites = policy.rewriteHost !== null || policy.rewritePath !== null;
  const captures = rewrites ? new RuleCaptures(frontend) : null;
  const host = compileTemplate(policy.rewriteHost, captures, "host");
  if (typeof host === "string") return host;
  const path = compileTemplate(policy.rewritePath, captures, "path");
  if (typeof path === "string") return path;
  return new RoutePolicy(policy, template, host, path, captures);
}

function compileTemplate(
  text: string | null,
  captures: RuleCaptures | null,
  target: RewriteTarget,
): Rewrite | string | null {
  if (text === null || captures === null) return null;
  const rewrite = compileRewrite(text, captures.host.length / 2 - 1, captures.path.length / 2 - 1, target);
  return rewrite instanceof Rewrite ? rewrite : `rewrite_${target}: ${rewrite.reason}`;
}

function schemeOf(scheme: number): Scheme | null {
  if (scheme === SCHEME_HTTPS) return "https";
  return scheme === SCHEME_HTTP ? "http" : null;
}

/**
 * The status with which a request of a route with a policy is answered, or 0: it goes to its cluster. Called when the
 * request's head lies in the slot; `exchange.location` is set for redirects.
 */
export function decide(exchange: Exchange, policy: RoutePolicy, message: RequestMessage, base: number): number {
  const { cluster, context } = exchange;
  if (policy.status === DENIED) return DENIED;
  if (policy.status !== 0) {
    exchange.location = redirectLocation(exchange, policy);
    return policy.status;
  }
  if (cluster === null) return DENIED;
  if (policy.requiredAuth && !isAuthorized(context, cluster, message, base)) return DENIED;
  return 0;
}

/** Where `https_redirect` of a cluster leads (oddity 29: without a port the default one counts). */
export function httpsLocation(exchange: Exchange, cluster: Cluster): string {
  const port = cluster.config === null ? null : cluster.config.httpsRedirectPort;
  return locationOf("https", authorityOf(exchange), false, port, pathOf(exchange));
}

function redirectLocation(exchange: Exchange, policy: RoutePolicy): string {
  const { bytes, rewritten } = exchange.context;
  const scheme = policy.scheme ?? (exchange.front as FrontStream).listener.scheme;
  const hasHost = rewritten.hostLength >= 0;
  const authority = hasHost
    ? latin1(bytes, rewritten.hostAt, rewritten.hostAt + rewritten.hostLength)
    : authorityOf(exchange);
  const path =
    rewritten.pathLength >= 0
      ? latin1(bytes, rewritten.pathAt, rewritten.pathAt + rewritten.pathLength)
      : pathOf(exchange);
  const port = policy.rewritePort ?? exchange.cluster?.config?.httpsRedirectPort ?? null;
  return locationOf(scheme, authority, hasHost, port, path);
}

function authorityOf(exchange: Exchange): string {
  return latin1(exchange.context.bytes, exchange.authorityAt, exchange.authorityAt + exchange.authorityLength);
}

/** The path that the client asked for; `*` (RFC 9112 3.2.4) is none. */
function pathOf(exchange: Exchange): string {
  const path = latin1(exchange.context.bytes, exchange.pathAt, exchange.pathAt + exchange.pathLength);
  return path === "*" ? "/" : path;
}

/** Spec 5.10. More than one Authorization field is none: readers differ in which of them counts. */
function isAuthorized(context: TrafficContext, cluster: Cluster, message: RequestMessage, base: number): boolean {
  const { head } = message;
  const index = head.indexOf(AUTHORIZATION);
  if (index === -1 || (head.repeated & (1 << AUTHORIZATION)) !== 0) return false;
  let { credentials } = cluster;
  if (credentials === null) {
    const hashes = cluster.config?.policy?.authorizedHashes ?? [];
    credentials = new Credentials(hashes, context.settings.basicAuthMaxCredentialBytes);
    cluster.credentials = credentials;
  }
  return credentials.accepts(context.bytes, base + head.valueStart(index), base + head.valueEnd(index));
}
