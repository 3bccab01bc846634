// Routes of requests for which no rule may be tried: no cluster may be guessed for them, and each is answered with a status
// of its own.

import { PATH_PREFIX, POSITION_TREE } from "../command/objects.ts";
import { HstsPolicy } from "../policies/hsts.ts";
import type { HttpRoute } from "./http-listener.ts";

/** No frontend has matched, so no policy of one is known. */
const NO_HSTS = new HstsPolicy({
  enabled: false,
  maxAge: 0,
  includeSubdomains: false,
  preload: false,
  forceReplaceBackend: false,
});

/** The path is too long for the regular expressions of its host (routing/leaf.ts): 414 (RFC 9110 15.5.15). */
export const PATH_TOO_LONG: HttpRoute = refusedRoute();
/** The host is none of those that the connection's certificate is for (spec 8.7): 421 (RFC 9110 15.5.20). */
export const MISDIRECTED: HttpRoute = refusedRoute();

/** The status for a route without a cluster. */
export function statusWithoutCluster(route: HttpRoute): number {
  if (route === PATH_TOO_LONG) return 414;
  return route === MISDIRECTED ? 421 : 401;
}

function refusedRoute(): HttpRoute {
  return {
    frontend: {
      clusterId: null,
      address: { ip: "0.0.0.0", port: 1 },
      hostname: "*",
      pathKind: PATH_PREFIX,
      path: "",
      method: null,
      position: POSITION_TREE,
      tags: [],
      policy: null,
    },
    cluster: null,
    tags: null,
    policy: null,
    hsts: NO_HSTS,
  };
}
