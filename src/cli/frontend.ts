// `sozu frontend <protocol> add`, `remove` and `frontend list`.

import { PathRuleKind, type RedirectPolicy, type RedirectScheme, RulePosition } from "../command/gen/sozu_pb.ts";
import { REDIRECT_SCHEMES, REDIRECTS } from "../command/words.ts";
import { control } from "./control.ts";
import { UsageError } from "./errors.ts";
import { type GlobalOptions, givenOf } from "./options.ts";
import { type HstsOptions, readAddress, readHeader, readHsts, readTags, readTemplate, readWord } from "./values.ts";

/** What `add` and `remove` of HTTP and HTTPS frontends were given. */
export interface FrontendOptions extends GlobalOptions, HstsOptions {
  readonly address: string;
  readonly hostname?: string;
  /** Another name of `hostname`. */
  readonly host?: string;
  readonly pathPrefix?: string;
  readonly pathRegex?: string;
  readonly pathEquals?: string;
  readonly method?: string;
  readonly tags?: string;
  readonly redirect?: string;
  readonly redirectScheme?: string;
  readonly redirectTemplate?: string;
  readonly rewriteHost?: string;
  readonly rewritePath?: string;
  readonly rewritePort?: number;
  readonly requiredAuth?: boolean;
  readonly header?: readonly string[];
  readonly appendHeader?: readonly string[];
}

/** What `frontend list` was given. */
export interface FrontendListOptions extends GlobalOptions {
  readonly http?: boolean;
  readonly https?: boolean;
  readonly tcp?: boolean;
  readonly domain?: string;
}

/** Routes requests to a cluster; `clusterId` null: denies them (401). */
export async function addFrontend(
  protocol: "http" | "https",
  options: FrontendOptions,
  clusterId: string | null,
): Promise<void> {
  const tags = options.tags === undefined ? {} : readTags(options.tags);
  const hsts = protocol === "https" ? readHsts(options) : undefined;
  const value = {
    ...frontend(options, clusterId),
    tags,
    ...policy(options),
    ...(hsts === undefined ? {} : { hsts }),
  };
  await control(options, { case: protocol === "http" ? "addHttpFrontend" : "addHttpsFrontend", value });
}

/** Removes the frontend with this address, host, path and method. */
export async function removeFrontend(
  protocol: "http" | "https",
  options: FrontendOptions,
  clusterId: string | null,
): Promise<void> {
  const next = "sozu frontend list shows all frontends; address, host, path and method have to be the same";
  const name = protocol === "http" ? "removeHttpFrontend" : "removeHttpsFrontend";
  await control(options, { case: name, value: frontend(options, clusterId) }, next);
}

/** What `frontend tcp` and `frontend udp` were given. */
export interface StreamFrontendOptions extends GlobalOptions {
  readonly id: string;
  readonly address: string;
  readonly tags?: string;
}

/** Has a TCP or UDP listener serve a cluster, or no more. */
export async function changeStreamFrontend(
  protocol: "tcp" | "udp",
  verb: "add" | "remove",
  options: StreamFrontendOptions,
): Promise<void> {
  const tags = options.tags === undefined ? {} : readTags(options.tags);
  const value = { clusterId: options.id, address: readAddress(options.address), tags };
  const name = `${verb}${protocol === "tcp" ? "Tcp" : "Udp"}Frontend` as const;
  await control(options, { case: name, value }, "sozu frontend list shows all frontends");
}

/** Shows frontends. */
export async function listFrontends(options: FrontendListOptions): Promise<void> {
  const { http, https, tcp, domain } = options;
  const filters = { http: http === true, https: https === true, tcp: tcp === true };
  await control(options, {
    case: "listFrontends",
    value: domain === undefined ? filters : { ...filters, domain },
  });
}

function frontend(options: FrontendOptions, clusterId: string | null) {
  const hostname = options.hostname ?? options.host;
  if (hostname === undefined) throw new UsageError("--hostname is missing", 'name the host, or "*" for every host');
  return {
    ...(clusterId === null ? {} : { clusterId }),
    address: readAddress(options.address),
    hostname,
    path: pathRule(options),
    position: RulePosition.TREE,
    ...(options.method === undefined ? {} : { method: options.method }),
  };
}

function policy(options: FrontendOptions) {
  const { redirect, redirectScheme, redirectTemplate } = options;
  const headers = [
    ...(options.header ?? []).map(readHeader),
    ...(options.appendHeader ?? []).map((text) => ({ ...readHeader(text), append: true })),
  ];
  return {
    ...(redirect === undefined ? {} : { redirect: readWord<RedirectPolicy>("redirect", redirect, REDIRECTS, "_") }),
    ...(redirectScheme === undefined
      ? {}
      : { redirectScheme: readWord<RedirectScheme>("redirect scheme", redirectScheme, REDIRECT_SCHEMES, "-") }),
    ...(redirectTemplate === undefined ? {} : { redirectTemplate: readTemplate(redirectTemplate) }),
    ...givenOf(options, ["rewriteHost", "rewritePath", "rewritePort", "requiredAuth"]),
    headers,
  };
}

function pathRule({ pathPrefix, pathRegex, pathEquals }: FrontendOptions): { kind: PathRuleKind; value: string } {
  const rules: { kind: PathRuleKind; value: string }[] = [];
  if (pathPrefix !== undefined) rules.push({ kind: PathRuleKind.PREFIX, value: pathPrefix });
  if (pathRegex !== undefined) rules.push({ kind: PathRuleKind.REGEX, value: pathRegex });
  if (pathEquals !== undefined) rules.push({ kind: PathRuleKind.EQUALS, value: pathEquals });
  if (rules.length <= 1) return rules[0] ?? { kind: PathRuleKind.PREFIX, value: "" };
  throw new UsageError("a frontend has one path rule", "give one of --path-prefix, --path-regex and --path-equals");
}
