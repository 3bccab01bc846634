// A cluster: its backends in two tiers and the policy that chooses among them (spec 7.2): ordinary backends that can be
// opened, else backups that can be, else any that is not in back-off although its health check fails (fail-open).
// The policies are set up lazily, at the first pick after a change, so adding 10,000 backends sorts them once.
// Invariant: `backends` holds exactly the configured ones, in the order in which they were added.

import type { AnswerSet } from "../answers/template.ts";
import type { BackendObject, ClusterObject } from "../command/objects.ts";
import { Backend } from "./backend.ts";
import { LeastLoaded } from "./least-loaded.ts";
import type { Policy } from "./policy.ts";
import { PowerOfTwo } from "./power-of-two.ts";
import { Random } from "./random.ts";
import { RoundRobin } from "./round-robin.ts";

/** What checkAvailability() found. */
export const AVAILABILITY_SAME = 0;
/** The last available backend is gone: once per outage. */
export const AVAILABILITY_LOST = 1;
export const AVAILABILITY_RECOVERED = 2;

/** A cluster of backends. Exists as long as it is configured, has backends or is referenced by a route. */
export class Cluster {
  readonly id: string;
  /** The id as UTF-8, for access lines. */
  readonly idBytes: Uint8Array;
  /** null: only its backends are configured (so far); they are balanced at random, as Sozu does. */
  config: ClusterObject | null;
  readonly backends: Backend[];
  /** Its own local answers, compiled by the proxy; null: none. */
  answers: AnswerSet | null;
  /** Base of its stats row, set by the proxy; -1: none. */
  row: number;
  /** Picks that ignored the health checks because nothing else was left. */
  failOpenPicks: number;
  /** Who holds this object because of its id (routes); see ClusterTable.ensure. */
  references: number;
  private readonly byIdentity: Map<string, Backend>;
  private algorithm: number;
  private metric: number;
  private ordinary: Policy;
  private backups: Policy;
  /** The set or the weights changed since the policies were set up. */
  private stale: boolean;
  /** The one backend when there is no choice. */
  private single: Backend | null;
  /** Backends by what a sticky cookie calls them, in their order; null: to be made at the next cookie. */
  private bySticky: Map<string, Backend[]> | null;
  private unavailable: boolean;

  constructor(id: string) {
    this.id = id;
    this.idBytes = ENCODER.encode(id);
    this.config = null;
    this.backends = [];
    this.answers = null;
    this.row = -1;
    this.failOpenPicks = 0;
    this.references = 0;
    this.byIdentity = new Map();
    this.algorithm = ALGORITHM_RANDOM;
    this.metric = 0;
    this.ordinary = new Random();
    this.backups = new Random();
    this.stale = false;
    this.single = null;
    this.bySticky = null;
    this.unavailable = false;
  }

  /** Takes a configuration over; backends stay, and so do cursors unless the algorithm or metric changes. */
  configure(config: ClusterObject | null): void {
    this.config = config;
    const algorithm = config === null ? ALGORITHM_RANDOM : config.loadBalancing;
    const metric = config === null ? 0 : config.loadMetric;
    if (algorithm !== this.algorithm || metric !== this.metric) {
      this.algorithm = algorithm;
      this.metric = metric;
      this.ordinary = policyFor(algorithm, metric);
      this.backups = policyFor(algorithm, metric);
      this.stale = true;
    }
  }

  /** Adds a backend, or gives the one with the same id and address its new parameters. */
  addBackend(object: BackendObject): Backend {
    const key = identityOf(object.backendId, object.address.ip, object.address.port);
    let backend = this.byIdentity.get(key);
    if (backend === undefined) {
      backend = new Backend(object);
      this.byIdentity.set(key, backend);
      this.backends.push(backend);
    } else {
      backend.update(object);
    }
    this.stale = true;
    return backend;
  }

  /** Takes a backend out; it is marked `removed`. null: there is none with this id and address. */
  removeBackend(backendId: string, ip: string, port: number): Backend | null {
    const key = identityOf(backendId, ip, port);
    const backend = this.byIdentity.get(key);
    if (backend === undefined) {
      return null;
    }
    this.byIdentity.delete(key);
    this.backends.splice(this.backends.indexOf(backend), 1);
    backend.removed = true;
    this.stale = true;
    return backend;
  }

  /** The backend for a request; null: none can be opened (503). `random` is uniform in [0, 1). */
  pick(nowMs: number, random: () => number): Backend | null {
    if (this.stale) {
      this.setUp();
    }
    const single = this.single;
    if (single?.canOpen(nowMs)) {
      return single;
    }
    const chosen = this.ordinary.pick(nowMs, random, false) ?? this.backups.pick(nowMs, random, false);
    if (chosen !== null) {
      return chosen;
    }
    const last = this.ordinary.pick(nowMs, random, true) ?? this.backups.pick(nowMs, random, true);
    if (last !== null) {
      this.failOpenPicks++;
    }
    return last;
  }

  /** The backend that a sticky cookie names, if it can be opened. A backend without sticky id goes by its id. */
  pickSticky(stickyId: string, nowMs: number): Backend | null {
    if (this.stale) {
      this.setUp();
    }
    this.bySticky ??= groupBySticky(this.backends);
    const named = this.bySticky.get(stickyId);
    if (named !== undefined) {
      for (const backend of named) {
        if (backend.canOpen(nowMs)) {
          return backend;
        }
      }
    }
    return null;
  }

  /** Backends that count as available (gauge `cluster.available_backends`). */
  get availableBackends(): number {
    let count = 0;
    for (const backend of this.backends) {
      if (backend.available) {
        count++;
      }
    }
    return count;
  }

  /**
   * To be called when a backend went down, recovered, was added or removed: says whether the cluster's state
   * changed.
   */
  checkAvailability(): number {
    const unavailable = this.backends.length > 0 && this.availableBackends === 0;
    if (unavailable === this.unavailable) {
      return AVAILABILITY_SAME;
    }
    this.unavailable = unavailable;
    return unavailable ? AVAILABILITY_LOST : AVAILABILITY_RECOVERED;
  }

  private setUp(): void {
    this.stale = false;
    this.bySticky = null;
    this.single = this.backends.length === 1 ? this.backends[0] : null;
    this.ordinary.setBackends(this.backends.filter((backend) => !backend.backup));
    this.backups.setBackends(this.backends.filter((backend) => backend.backup));
  }
}

function groupBySticky(backends: readonly Backend[]): Map<string, Backend[]> {
  const groups = new Map<string, Backend[]>();
  for (const backend of backends) {
    const name = backend.stickyId ?? backend.id;
    const group = groups.get(name);
    if (group === undefined) {
      groups.set(name, [backend]);
    } else {
      group.push(backend);
    }
  }
  return groups;
}

/** HRW and MAGLEV need an affinity key, which HTTP and TCP do not have: they are round robin there (spec 7.2). */
function policyFor(algorithm: number, metric: number): Policy {
  switch (algorithm) {
    case ALGORITHM_RANDOM:
      return new Random();
    case ALGORITHM_LEAST_LOADED:
      return new LeastLoaded(metric);
    case ALGORITHM_POWER_OF_TWO:
      return new PowerOfTwo(metric);
    default:
      return new RoundRobin();
  }
}

function identityOf(backendId: string, ip: string, port: number): string {
  return `${ip} ${port} ${backendId}`;
}

const ALGORITHM_RANDOM = 1;
const ALGORITHM_LEAST_LOADED = 2;
const ALGORITHM_POWER_OF_TWO = 3;
const ENCODER = new TextEncoder();
