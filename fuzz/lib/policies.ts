// The routes of the `edited` listener: rewrites with captures, header edits, redirects and answers with templates, sticky
// cookies, credentials. What they make of hostile requests must be as canonical as anything else.

import type { AnswerTexts, FrontendPolicyObject, HttpFrontendObject } from "../../src/command/objects.ts";
import { TOLERANCE_DROP, TOLERANCE_REFUSE } from "../../src/command/objects.ts";
import { clusterOf, FORWARD, frontendOf, type Rig } from "../../test/proxy/rig.ts";

const EDITS: FrontendPolicyObject["headers"] = [
  { position: 1, name: "X-Set", value: "request", append: false },
  { position: 1, name: "Cookie", value: "", append: false },
  { position: 1, name: "Accept", value: "x", append: true },
  { position: 2, name: "X-Answer", value: "set", append: false },
  { position: 2, name: "X-Sequence-Not", value: "", append: false },
];

const STRICT = { underscoreNames: TOLERANCE_DROP, dotSegments: TOLERANCE_REFUSE, encodedSlashes: TOLERANCE_REFUSE };

/** Pages that show what hostile input can put into them. */
const ANSWERS: AnswerTexts = [
  ["400", "HTTP/1.1 400 Bad\r\nX-Phase: %PHASE\r\n\r\n%MESSAGE|%SUCCESSFULLY_PARSED|%PARTIALLY_PARSED|%INVALID"],
  ["404", "HTTP/1.1 404 Not Found\r\nX-Route: %ROUTE\r\n\r\n<p>%ROUTE %REQUEST_ID</p>"],
  ["502", "HTTP/1.1 502 Bad Gateway\r\nX-Backend: %BACKEND_ID\r\n\r\n%MESSAGE|%INVALID"],
];

/** Adds the routes to a listener of the rig that has one route to the cluster `app-PORT`. */
export function addPolicies(rig: Rig, port: number): void {
  const address = { ip: "127.0.0.1", port };
  const app = `app-${port}`;
  const route = (path: string, policy: Partial<FrontendPolicyObject>, more: Partial<HttpFrontendObject> = {}): void => {
    const frontend = { ...frontendOf(app, address), path, policy: { ...FORWARD, ...policy }, ...more };
    rig.must({ kind: "add_http_frontend", frontend });
  };
  rig.must({ kind: "remove_http_frontend", frontend: frontendOf(app, address) });
  rig.must({ kind: "add_http_listener", listener: { ...rig.listenerAt(address), ...STRICT, answers: ANSWERS } });
  rig.must({
    kind: "add_cluster",
    cluster: {
      ...clusterOf(app),
      stickySession: true,
      policy: {
        answers: [],
        authorizedHashes: [`a:${"0".repeat(64)}`],
        wwwAuthenticate: 'Basic realm="r"',
        maxConnectionsPerIp: null,
        retryAfter: null,
      },
    },
  });
  route("/z", { headers: EDITS });
  route("/h/", { headers: EDITS });
  route("/", { headers: EDITS }, { pathKind: 2 });
  route("/a", { rewriteHost: "new-$HOST[0]", rewritePath: "/v2$PATH[0]", headers: EDITS });
  route("/a/", { rewritePath: "/x/$PATH[1]" });
  route("/301", { redirect: 1, rewriteHost: "$HOST[0]", rewritePath: "/to$PATH[1]" });
  route("/401", { requiredAuth: true });
  route("/%", { redirect: 3 });
}
