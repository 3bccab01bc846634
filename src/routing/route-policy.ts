// What a route does with its requests besides forwarding them, compiled once (spec 5.7). A route without any of it has no
// policy, and then a request pays for one comparison.

import { AnswerTemplate, compileAnswer } from "../answers/template.ts";
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
import { checkHeaderEdits, compileHeaderEdits, type HeaderEdits } from "../policies/header-edits.ts";
import type { Scheme } from "../policies/redirect.ts";
import { compileRewrite, Rewrite, type RewriteTarget } from "../policies/rewrite.ts";
import { RuleCaptures } from "./captures.ts";

/** Statuses of redirects; 401 for a route that denies, 0 for one that forwards. */
const STATUS_OF: Readonly<Record<number, number>> = {
  [REDIRECT_PERMANENT]: 301,
  [REDIRECT_FOUND]: 302,
  [REDIRECT_PERMANENT_REDIRECT]: 308,
  [REDIRECT_UNAUTHORIZED]: 401,
};
/** The status of a route that denies. */
export const DENIED = 401;

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
