// `sozu frontend http add`, `frontend http remove` and `frontend list`.

import { PathRuleKind, RulePosition } from "../command/gen/sozu_pb.ts";
import { control } from "./control.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";
import { readAddress, readTags } from "./values.ts";

/** What `frontend http add` and `remove` were given. */
export interface FrontendOptions extends GlobalOptions {
  readonly address: string;
  readonly hostname?: string;
  /** Another name of `hostname`. */
  readonly host?: string;
  readonly pathPrefix?: string;
  readonly pathRegex?: string;
  readonly pathEquals?: string;
  readonly method?: string;
  readonly tags?: string;
}

/** What `frontend list` was given. */
export interface FrontendListOptions extends GlobalOptions {
  readonly http?: boolean;
  readonly https?: boolean;
  readonly tcp?: boolean;
  readonly domain?: string;
}

/** Routes requests to a cluster; `clusterId` null: denies them (401). */
export async function addHttpFrontend(options: FrontendOptions, clusterId: string | null): Promise<void> {
  const tags = options.tags === undefined ? {} : readTags(options.tags);
  await control(options, { case: "addHttpFrontend", value: { ...frontend(options, clusterId), tags } });
}

/** Removes the frontend with this address, host, path and method. */
export async function removeHttpFrontend(options: FrontendOptions, clusterId: string | null): Promise<void> {
  const next = "sozu frontend list shows all frontends; address, host, path and method have to be the same";
  await control(options, { case: "removeHttpFrontend", value: frontend(options, clusterId) }, next);
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
  if (hostname === undefined) throw new CliError("--hostname is missing", 'name the host, or "*" for every host');
  return {
    ...(clusterId === null ? {} : { clusterId }),
    address: readAddress(options.address),
    hostname,
    path: pathRule(options),
    position: RulePosition.TREE,
    ...(options.method === undefined ? {} : { method: options.method }),
  };
}

function pathRule({ pathPrefix, pathRegex, pathEquals }: FrontendOptions): { kind: PathRuleKind; value: string } {
  const rules: { kind: PathRuleKind; value: string }[] = [];
  if (pathPrefix !== undefined) rules.push({ kind: PathRuleKind.PREFIX, value: pathPrefix });
  if (pathRegex !== undefined) rules.push({ kind: PathRuleKind.REGEX, value: pathRegex });
  if (pathEquals !== undefined) rules.push({ kind: PathRuleKind.EQUALS, value: pathEquals });
  if (rules.length <= 1) return rules[0] ?? { kind: PathRuleKind.PREFIX, value: "" };
  throw new CliError("a frontend has one path rule", "give one of --path-prefix, --path-regex and --path-equals");
}
