// Whether a change could be applied, apart from what is there: what it says is compiled and thrown away. A set of changes
// is checked so before any of it is in force (worker/staged-set.ts). Pure.

import { AnswerSet, compileAnswers } from "../answers/template.ts";
import { checkHealthCheck } from "../balancing/health-check.ts";
import { formatAddress } from "../command/address-text.ts";
import { parseHostPattern } from "../command/host-pattern.ts";
import type { AnswerTexts, Change, ClusterObject, HttpFrontendObject, HttpListenerObject } from "../command/objects.ts";
import { PATH_REGEX } from "../command/objects.ts";
import { compilePattern } from "../command/pattern.ts";
import { parseNetworks } from "../policies/networks.ts";
import { compilePolicy } from "../routing/route-policy.ts";
import { foldRuleHost, HOST_REGEX, hostClassOf, refuseRule } from "../routing/rule.ts";

/** Null, or why it cannot. */
export function checkChange(change: Change): string | null {
  switch (change.kind) {
    case "add_http_listener":
    case "add_https_listener": {
      const { listener } = change;
      const answers = answersOf(`listener ${formatAddress(listener.address)}`, listener.answers);
      return typeof answers === "string" ? answers : checkListener(listener);
    }
    case "add_cluster": {
      const { cluster } = change;
      const answers =
        cluster.policy === null ? null : answersOf(`cluster ${cluster.clusterId}`, cluster.policy.answers);
      return typeof answers === "string" ? answers : checkCluster(cluster);
    }
    case "add_http_frontend":
    case "add_https_frontend":
      return checkFrontend(change.frontend);
    default:
      return null;
  }
}

/** What a listener says apart from its answers. */
export function checkListener(listener: HttpListenerObject): string | null {
  const networks = parseNetworks(listener.trustedProxies);
  return "reason" in networks ? `trusted_proxies: ${networks.reason}` : null;
}

/** The same of a cluster. */
export function checkCluster(cluster: ClusterObject): string | null {
  return cluster.healthCheck === null ? null : checkHealthCheck(cluster.healthCheck);
}

export function checkFrontend(frontend: HttpFrontendObject): string | null {
  const policy = frontend.policy === null ? null : compilePolicy(frontend);
  if (typeof policy === "string") return policy;
  const refused = refuseRule(frontend);
  if (refused !== null) return refused;
  if (frontend.pathKind === PATH_REGEX) {
    const pattern = compilePattern(frontend.path);
    if ("reason" in pattern) return pattern.reason;
  }
  const host = foldRuleHost(frontend.hostname);
  if (hostClassOf(host) !== HOST_REGEX) return null;
  const pattern = parseHostPattern(host);
  return "reason" in pattern ? pattern.reason : null;
}

/** The compiled answers, or which of them is broken and why. */
export function answersOf(owner: string, texts: AnswerTexts): AnswerSet | string {
  const answers = compileAnswers(texts);
  if (answers instanceof AnswerSet) return answers;
  return `${owner}: the answer for ${answers.status}, line ${answers.line}: ${answers.reason}`;
}
