// What the proxy would do with a request, and why: the decoder, the router, the rewrites and the policies of the workers,
// run over the state and a request that is written out, in the order of spec 5.7. What depends on the moment (limits,
// load, which backend is picked) is not judged. A test sends random requests through a proxy and compares.

import type {
  AnswerTexts,
  BackendObject,
  ClusterObject,
  HttpFrontendObject,
  HttpListenerObject,
} from "../command/objects.ts";
import { Credentials } from "../policies/credentials.ts";
import { locationOf } from "../policies/redirect.ts";
import { REWRITTEN_BYTES, Rewritten } from "../routing/rewritten.ts";
import { compilePolicy, DENIED, type RoutePolicy } from "../routing/route-policy.ts";
import type { HostLeaf } from "../routing/router.ts";
import { Router } from "../routing/router.ts";
import { toleranceOf } from "../routing/tolerance-of.ts";
import { latin1 } from "../wire/http1/bytes.ts";
import { statusOf, wireErrors } from "../wire/http1/errors.ts";
import { AUTHORIZATION } from "../wire/http1/head.ts";
import { METHOD } from "../wire/http1/methods.ts";
import { RequestDecoder } from "../wire/http1/request-decoder.ts";
import { type TriedRule, triedRules } from "./tried.ts";

/** What is asked of: one listener with its frontends, and the clusters they lead to. */
export interface Site {
  readonly listener: HttpListenerObject;
  readonly frontends: Iterable<HttpFrontendObject>;
  readonly cluster: (id: string) => ClusterObject | null;
  readonly backends: (clusterId: string) => readonly BackendObject[];
  /** Largest head, in bytes. */
  readonly bufferSize: number;
  /** Largest decoded Basic credential; 0: the default. */
  readonly credentialBytesMax: number;
}

/** What became of the request. */
export interface Verdict {
  /** Status of the proxy's own answer; null: the request goes to the cluster. */
  readonly status: number | null;
  /** One sentence. */
  readonly reason: string;
  /** Where the answer's text comes from; null: it is forwarded. */
  readonly answeredBy: "redirect_template" | "cluster" | "listener" | "built in" | null;
  readonly location: string | null;
  /** The rules that can apply to the host, in the order in which they are tried, up to the one that decides. */
  readonly tried: readonly TriedRule[];
  readonly frontend: HttpFrontendObject | null;
  readonly clusterId: string | null;
  readonly cluster: ClusterObject | null;
  readonly backends: readonly BackendObject[];
  /** What the backend gets: path with query, and host; null: it is not forwarded. */
  readonly forwarded: { readonly path: string; readonly host: string } | null;
}

interface Route {
  readonly frontend: HttpFrontendObject;
  readonly policy: RoutePolicy | null;
}

/** Judges requests of one listener; compiles its rules once. */
export class Explainer {
  readonly #site: Site;
  readonly #router: Router<Route>;
  /** Rules that cannot be compiled: workers would have refused them. */
  readonly refused: readonly string[];

  constructor(site: Site) {
    this.#site = site;
    this.#router = new Router();
    const refused: string[] = [];
    for (const frontend of site.frontends) {
      const policy = compilePolicy(frontend);
      const reason = typeof policy === "string" ? policy : this.#router.add(frontend, { frontend, policy });
      if (reason !== null) refused.push(`${frontend.hostname}${frontend.path}: ${reason}`);
    }
    this.refused = refused;
  }

  /** Rules of the listener, of whatever host. */
  get rules(): number {
    return this.#router.size;
  }

  /** `head`: request line and fields, with the empty line. */
  judge(head: Uint8Array): Verdict {
    const run = new Run(this.#site, this.#router, head);
    return run.judge();
  }
}

class Run {
  readonly #site: Site;
  readonly #router: Router<Route>;
  readonly #length: number;
  /** The head, then the area of the rewrites. */
  readonly #bytes: Uint8Array;
  readonly #decoder: RequestDecoder;
  readonly #rewritten: Rewritten;
  #leaf: HostLeaf<Route> | null;
  #route: Route | null;
  #cluster: ClusterObject | null;

  constructor(site: Site, router: Router<Route>, head: Uint8Array) {
    this.#site = site;
    this.#router = router;
    this.#length = head.length;
    // Bytes are copied by words: the last one may end behind what it copies.
    this.#bytes = new Uint8Array(head.length + REWRITTEN_BYTES + WORD_BYTES);
    this.#bytes.set(head);
    this.#decoder = new RequestDecoder();
    this.#rewritten = new Rewritten(this.#bytes, head.length);
    this.#leaf = null;
    this.#route = null;
    this.#cluster = null;
  }

  judge(): Verdict {
    const mistake = this.#decode();
    if (mistake !== 0) return this.#mistake(mistake);
    if (!this.#find()) return this.#answer(414, "the path is too long for the regular expressions of this host");
    const route = this.#route;
    if (route === null) return this.#answer(404, "no rule matches");
    const { clusterId } = route.frontend;
    this.#cluster = clusterId === null ? null : this.#site.cluster(clusterId);
    const { policy } = route;
    const refusal = policy === null ? 0 : this.#rewritten.render(policy, this.#decoder, 0);
    if (refusal !== 0) return this.#mistake(refusal);
    if (policy !== null) {
      if (policy.status === DENIED) return this.#answer(DENIED, "the rule answers unauthorized");
      if (policy.status !== 0) return this.#redirect(policy.status, "the rule redirects", this.#locationOf(policy));
    }
    if (clusterId === null) return this.#answer(DENIED, "the rule denies: it has no cluster");
    if (policy?.requiredAuth === true && !this.#isAuthorized()) {
      return this.#answer(DENIED, "the rule asks for credentials of the cluster, and these are none of them");
    }
    if (this.#cluster?.httpsRedirect === true) {
      const location = locationOf("https", this.#authority(), false, this.#cluster.httpsRedirectPort, this.#path());
      return this.#redirect(301, "the cluster redirects to https", location);
    }
    if (this.#site.backends(clusterId).length === 0) return this.#answer(503, "the cluster has no backends");
    return this.#verdict(null, "it goes to the cluster", null);
  }

  #decode(): number {
    const length = this.#decoder.decode(this.#bytes, 0, 0, this.#length);
    if (length < 0) return -length;
    if (length === 0 || length > this.#site.bufferSize) return HEAD_TOO_LARGE;
    const tolerance = toleranceOf(this.#site.listener);
    return tolerance === null ? 0 : tolerance.check(this.#decoder, this.#bytes, 0);
  }

  /** False: there are too many expressions for such a path. */
  #find(): boolean {
    const { hostStart, hostEnd, pathStart, methodStart, methodEnd } = this.#decoder;
    const leaf = this.#router.leafFor(latin1(this.#bytes, hostStart, hostEnd));
    this.#leaf = leaf;
    if (leaf === null) return true;
    if (leaf.patterns > 0 && !leaf.bears(this.#pathEnd - pathStart)) return false;
    this.#route = leaf.match(this.#bytes, pathStart, this.#pathEnd, methodStart, methodEnd);
    return true;
  }

  get #pathEnd(): number {
    const { queryStart, pathEnd } = this.#decoder;
    return queryStart === -1 ? pathEnd : queryStart;
  }

  #isAuthorized(): boolean {
    const { head } = this.#decoder;
    const index = head.indexOf(AUTHORIZATION);
    if (index === -1 || (head.repeated & (1 << AUTHORIZATION)) !== 0) return false;
    const hashes = this.#cluster?.policy?.authorizedHashes ?? [];
    const credentials = new Credentials(hashes, this.#site.credentialBytesMax);
    return credentials.accepts(this.#bytes, head.valueStart(index), head.valueEnd(index));
  }

  #locationOf(policy: RoutePolicy): string {
    const { hostAt, hostLength, pathAt, pathLength } = this.#rewritten;
    const hasHost = hostLength >= 0;
    const authority = hasHost ? latin1(this.#bytes, hostAt, hostAt + hostLength) : this.#authority();
    const path = pathLength >= 0 ? latin1(this.#bytes, pathAt, pathAt + pathLength) : this.#path();
    const port = policy.rewritePort ?? this.#cluster?.httpsRedirectPort ?? null;
    return locationOf(policy.scheme ?? "http", authority, hasHost, port, path);
  }

  #authority(): string {
    return latin1(this.#bytes, this.#decoder.authorityStart, this.#decoder.authorityEnd);
  }

  #path(): string {
    const path = latin1(this.#bytes, this.#decoder.pathStart, this.#decoder.pathEnd);
    if (path === "*") return "/";
    return path === "" || path.startsWith("?") ? `/${path}` : path;
  }

  #mistake(error: number): Verdict {
    return this.#answer(statusOf(error, false), wireErrors[error]!.explanation);
  }

  #answer(status: number, reason: string): Verdict {
    return this.#verdict(status, reason, null);
  }

  #redirect(status: number, reason: string, location: string): Verdict {
    return this.#verdict(this.#route?.policy?.redirectTemplate?.status ?? status, reason, location);
  }

  #verdict(status: number | null, reason: string, location: string | null): Verdict {
    const frontend = this.#route?.frontend ?? null;
    const clusterId = frontend?.clusterId ?? null;
    return {
      status,
      reason,
      answeredBy: status === null ? null : this.#answeredBy(status, location !== null),
      location,
      tried: this.#leaf === null ? [] : triedRules(this.#leaf, this.#route, this.#tryInput()),
      frontend,
      clusterId,
      cluster: this.#cluster,
      backends: clusterId === null ? [] : this.#site.backends(clusterId),
      forwarded: status === null ? this.#forwarded() : null,
    };
  }

  #tryInput() {
    const { pathStart, methodStart, methodEnd } = this.#decoder;
    const path = latin1(this.#bytes, pathStart, this.#pathEnd);
    return { path: path === "" ? "/" : path, method: latin1(this.#bytes, methodStart, methodEnd) };
  }

  #forwarded(): { readonly path: string; readonly host: string } {
    const { hostAt, hostLength, pathAt, pathLength } = this.#rewritten;
    const own = this.#route?.policy?.request?.host;
    const host = hostLength >= 0 ? latin1(this.#bytes, hostAt, hostAt + hostLength) : this.#authority();
    return {
      path: pathLength >= 0 ? latin1(this.#bytes, pathAt, pathAt + pathLength) : this.#forwardedPath(),
      host: own == null ? host : latin1(own.bytes, 0, own.length),
    };
  }

  /** RFC 9112 3.2.4: `*` is forwarded as it is, and an OPTIONS for a URI without a path becomes one. */
  #forwardedPath(): string {
    const { pathStart, pathEnd, method } = this.#decoder;
    const path = latin1(this.#bytes, pathStart, pathEnd);
    return path === "*" || (path === "" && method === METHOD.OPTIONS) ? "*" : this.#path();
  }

  #answeredBy(status: number, isRedirect: boolean): Verdict["answeredBy"] {
    if (isRedirect && this.#route?.policy?.redirectTemplate != null) return "redirect_template";
    const has = (texts: AnswerTexts | undefined): boolean => texts?.some(([key]) => Number(key) === status) === true;
    if (has(this.#cluster?.policy?.answers)) return "cluster";
    return has(this.#site.listener.answers) ? "listener" : "built in";
  }
}

const WORD_BYTES = 8;
const HEAD_TOO_LARGE = wireErrors.findIndex(({ name }) => name === "HeadTooLarge");
