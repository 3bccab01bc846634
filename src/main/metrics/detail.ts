// Who wants which detail of metrics, and for how long (spec 12.6): a lease per client id, bound to the process that took
// it as long as that process is there. The effective level is the largest of what is configured and of all leases. Pure:
// the clock is an argument. Main holds the leases for all workers, so a new worker records what the old one did.

/** Leases at once; whoever has one may always renew it. */
export const LEASES_MAX = 64;
/** Bytes of a client id. */
export const CLIENT_ID_BYTES_MAX = 64;
const TTL_SECONDS_DEFAULT = 60;
const TTL_SECONDS_MAX = 300;

interface Lease {
  readonly level: number;
  readonly expiresMs: number;
  /** Of who took it; 0: the kernel did not say. */
  readonly pid: number;
}

/** What SetMetricDetail asks for. */
export interface LeaseRequest {
  readonly clientId: string;
  /** null: not given. */
  readonly level: number | null;
  /** 0: the default. */
  readonly ttlSeconds: number;
  readonly clear: boolean;
}

/** A change of the effective level. */
export interface Transition {
  readonly previous: number;
  readonly effective: number;
  readonly kind: "applied" | "cleared" | "expired";
  readonly clientId: string;
}

/** A lease as one main gives it to the next. */
export interface CarriedLease {
  readonly clientId: string;
  readonly level: number;
  readonly pid: number;
  readonly leftMs: number;
}

/** The leases of one main. */
export class DetailLeases {
  readonly configured: number;
  /** The effective level, and the one before the last request or expiry. */
  effective: number;
  previous: number;
  readonly #leases: Map<string, Lease>;
  readonly #isGone: (pid: number) => boolean;

  /** `isGone`: whether a process has ended; what it left is anybody's. */
  constructor(configured: number, isGone: (pid: number) => boolean) {
    this.#isGone = isGone;
    this.configured = configured;
    this.effective = configured;
    this.previous = configured;
    this.#leases = new Map();
  }

  get count(): number {
    return this.#leases.size;
  }

  /** For the next main. */
  carry(nowMs: number): CarriedLease[] {
    return [...this.#leases].map(([clientId, { level, pid, expiresMs }]) => {
      return { clientId, level, pid, leftMs: expiresMs - nowMs };
    });
  }

  /** The other way; workers record by them already. */
  resume(leases: readonly CarriedLease[], nowMs: number): void {
    for (const { clientId, level, pid, leftMs } of leases) {
      this.#leases.set(clientId, { level, pid, expiresMs: nowMs + leftMs });
      this.effective = Math.max(this.effective, level);
    }
  }

  /** Takes, renews or ends a lease. Returns the transition, null when the level stays, or the reason of a refusal. */
  request(asked: LeaseRequest, pid: number, nowMs: number): Transition | null | string {
    const { clientId, level, clear } = asked;
    const bytes = Buffer.byteLength(clientId);
    if (bytes === 0 || bytes > CLIENT_ID_BYTES_MAX) return `client_id: 1 to ${CLIENT_ID_BYTES_MAX} bytes, got ${bytes}`;
    const known = this.#leases.get(clientId);
    if (known !== undefined && known.pid !== 0 && known.pid !== pid && !this.#isGone(known.pid)) {
      return `client_id: another process (pid ${known.pid}) holds this lease`;
    }
    if (clear) {
      this.#leases.delete(clientId);
      return this.#settle("cleared", clientId);
    }
    if (level === null) return "detail: it is needed, unless clear is set";
    if (known === undefined && this.#leases.size >= LEASES_MAX) return `there are ${LEASES_MAX} leases already`;
    const seconds = Math.min(asked.ttlSeconds === 0 ? TTL_SECONDS_DEFAULT : asked.ttlSeconds, TTL_SECONDS_MAX);
    this.#leases.set(clientId, { level, pid, expiresMs: nowMs + seconds * 1000 });
    return this.#settle("applied", clientId);
  }

  /** Ends the leases whose time is over; the transition, or null when the level stays. */
  expire(nowMs: number): Transition | null {
    let last: string | null = null;
    for (const [clientId, { expiresMs }] of this.#leases) {
      if (nowMs < expiresMs) continue;
      this.#leases.delete(clientId);
      last = clientId;
    }
    return last === null ? null : this.#settle("expired", last);
  }

  #settle(kind: Transition["kind"], clientId: string): Transition | null {
    this.previous = this.effective;
    this.effective = this.configured;
    for (const { level } of this.#leases.values()) this.effective = Math.max(this.effective, level);
    const { previous, effective } = this;
    return previous === effective ? null : { previous, effective, kind, clientId };
  }
}
