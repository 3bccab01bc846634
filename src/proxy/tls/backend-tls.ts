// TLS to the backends of a cluster (an addition): one policy and one identity for all of them, made when a connection first
// needs them. Connections that were made under another policy are not used again.

import type { Backend } from "../../balancing/backend.ts";
import type { Cluster } from "../../balancing/cluster.ts";
import type { BackendTlsObject } from "../../command/objects-tls.ts";
import type { Logger } from "../../observe/logger.ts";
import { systemAuthorities } from "../../os/system-authorities.ts";
import {
  createContext,
  createIdentity,
  destroyContext,
  destroyIdentity,
  FACT_VERIFY,
  FAILURE_ALERT_RECEIVED,
  FAILURE_CAUSE,
  factWords,
  failureWords,
  readFacts,
  TLS_CAUSES,
  tlsAlertName,
  tlsConnect,
} from "../../os/tls.ts";
import { LineLimit } from "./line-limit.ts";

export class BackendTls {
  readonly object: BackendTlsObject;
  /** -1: OpenSSL refuses what was configured; no backend is reached then. */
  readonly #context: number;
  readonly #identity: number;

  constructor(object: BackendTlsObject, clusterId: string, logger: Logger) {
    this.object = object;
    const authorities = object.ca ?? systemAuthorities();
    const context = createContext({
      role: "client",
      alpn: ["http/1.1"],
      ...(object.verify ? { authorities } : { verify: "none" }),
    });
    const { certificate, key } = object;
    const identity = certificate === null || key === null ? -1 : createIdentity(certificate, "", key);
    const problem =
      typeof context !== "number" ? context.reason : typeof identity !== "number" ? identity.reason : null;
    if (problem !== null)
      logger.error("https", `TLS to the backends of cluster ${clusterId} cannot be used: ${problem}`);
    this.#context = problem === null && typeof context === "number" ? context : -1;
    this.#identity = typeof identity === "number" ? identity : -1;
  }

  /** A session in the client role on a connected socket, or -errno. `resumption`: place of the backend's tickets, or -1. */
  connect(fd: number, backend: Backend, resumption: number): number {
    const { serverName, verify } = this.object;
    const expected = verify ? (serverName ?? backend.address.ip) : "";
    return tlsConnect(fd, this.#context, serverName ?? "", expected, this.#identity, resumption);
  }

  /** Nobody connects with it any more; open connections go on. */
  dispose(): void {
    if (this.#context !== -1) destroyContext(this.#context);
    if (this.#identity !== -1) destroyIdentity(this.#identity);
  }
}

/** The policies in use, by cluster. */
export class BackendTlsTable {
  readonly #policies: Map<string, BackendTls>;
  readonly #logger: Logger;
  readonly #lines: LineLimit;

  constructor(logger: Logger) {
    this.#policies = new Map();
    this.#logger = logger;
    this.#lines = new LineLimit(logger, "https", "more TLS handshakes with backends failed");
  }

  /** Right after a handshake that failed: says so, as often as lines are allowed. */
  noteFailure(session: number, backend: Backend, nowMs: number): void {
    const why = handshakeProblem(session);
    if (!this.#lines.take(nowMs)) return;
    const name = String.fromCharCode(...backend.addressBytes);
    this.#logger.warn(
      "https",
      `TLS handshake with backend ${backend.id} (${name}) of cluster ${backend.clusterId} failed: ${why}`,
    );
  }

  /** The policy of a cluster's backends as it is configured now; null: they are spoken to plainly. */
  of(cluster: Cluster | null): BackendTls | null {
    const object = cluster === null || cluster.config === null ? null : cluster.config.tls;
    if (object === null || cluster === null) return null;
    const known = this.#policies.get(cluster.id);
    if (known !== undefined && isSame(known.object, object)) return known;
    known?.dispose();
    const fresh = new BackendTls(object, cluster.id, this.#logger);
    this.#policies.set(cluster.id, fresh);
    return fresh;
  }

  /** The cluster is gone. */
  drop(clusterId: string): void {
    this.#policies.get(clusterId)?.dispose();
    this.#policies.delete(clusterId);
  }
}

/** Why the handshake of a session has just failed. */
export function handshakeProblem(session: number): string {
  const cause = TLS_CAUSES[failureWords[FAILURE_CAUSE]] ?? "other";
  const received = failureWords[FAILURE_ALERT_RECEIVED];
  if (received >= 0) return `${cause}: ${tlsAlertName(received)}`;
  const verified = readFacts(session) < 0 ? 0 : factWords[FACT_VERIFY];
  return verified === 0 ? cause : `${cause}: ${VERIFY_PROBLEMS[verified] ?? `verification ${verified}`}`;
}

/** The results of X509_verify_cert that administrators meet. */
const VERIFY_PROBLEMS: Readonly<Record<number, string>> = {
  9: "it is not valid yet",
  10: "it has expired",
  18: "it is self-signed and not one of the authorities",
  19: "its chain ends in an authority that is not believed",
  20: "its issuer is not one of the authorities",
  21: "its issuer is not one of the authorities",
  26: "it is not meant for servers",
  62: "it is for another name",
  64: "it is for another IP address",
};

function isSame(a: BackendTlsObject, b: BackendTlsObject): boolean {
  if (a === b) return true;
  return (
    a.verify === b.verify &&
    a.ca === b.ca &&
    a.serverName === b.serverName &&
    a.certificate === b.certificate &&
    a.key === b.key
  );
}
