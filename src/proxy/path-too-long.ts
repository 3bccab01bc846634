// The route of requests whose path is too long for the regular expressions of their host (routing/leaf.ts): no rule was
// tried, so no cluster may be guessed. They are answered 414.

import { PATH_PREFIX, POSITION_TREE } from "../command/objects.ts";
import type { HttpRoute } from "./http-listener.ts";

/** Where a request leads whose path is too long for the regular expressions of its host: 414 (RFC 9110 15.5.15). */
export const PATH_TOO_LONG: HttpRoute = {
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
};
