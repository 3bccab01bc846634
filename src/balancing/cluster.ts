// A cluster: its backends in two tiers and the policy that chooses among them (spec 7.2): ordinary backends that can be
// opened, else backups that can be, else any that is not in back-off although its health check fails (fail-open).
// The policies are set up lazily, at the first pick after a change, so adding 10,000 backends sorts them once.
// Invariant: `backends` holds exactly the configured ones, in the order in which they were added.

import type { AnswerSet } from "../answers/template.ts";
import {
  AFFINITY_HEADER,
  AFFINITY_SOURCE_IP,
  type BackendObject,
  type BalancingTuningObject,
  type ClusterObject,
} from "../command/objects.ts";
import { utf8Bytes } from "../command/utf8.ts";
import type { Credentials } from "../policies/credentials.ts";
import { Backend } from "./backend.ts";
import { Hrw } from "./hrw.ts";
import { LeastLoaded } from "./least-loaded.ts";
import { Maglev } from "./maglev.ts";
import type { Policy } from "./policy.ts";
import { PowerOfTwo } from "./power-of-two.ts";
import { Random } from "./random.ts";
import { RoundRobin } from "./round-robin.ts";

/** What checkAvailability() found. */
export const AVAILABILITY_SAME = 0;
/** The last available backend is gone: once per outage. */
export const AVAILABILITY_LOST = 1;
export const AVAILABILITY_RECOVERED = 2;

/** States of Cluster.failOpen. */
export const FAIL_OPEN_NO = 0;
/** The last pick ignored the health checks. */
export const FAIL_OPEN_YES = 1;
/** The last pick was an ordinary one again, the one before was not. */
export const FAIL_OPEN_ENDED = 2;

/** A cluster of backends. Exists as long as it is configured, has backends or is referenced by a route. */
export class Cluster {
  readonly id: string;
  /** The id as UTF-8, made when an access line first asks; null: not yet. */
  private idBytesMade: Uint8Array | null;
  /** null: only its backends are configured (so far); they are balanced at random, as Sozu does. */
  config: ClusterObject | null;
  readonly backends: Backend[];
  /** Its own local answers, compiled by the proxy; null: none. */
  answers: AnswerSet | null;
  /** Its users, compiled by the proxy when a request first needs them; null after each change. */
  credentials: Credentials | null;
  /** Base of its stats row, set by the proxy; -1: none. */
  row: number;
  /** Picks that ignored the health checks because nothing else was left. */
  failOpenPicks: number;
  /** FAIL_OPEN_*; who has noted the end sets it to FAIL_OPEN_NO. */
  failOpen: number;
  /** Whether people were told; kept by the proxy. */
  failOpenNoted: boolean;
  /** The algorithm chooses by a key: pick() wants the hash of a client's address, header or cookie. */
  needsKey: boolean;
  /** AFFINITY_*: what the key is made of. */
  affinity: number;
  /** Name of the header (lower case) or cookie. */
  affinityName: Uint8Array;
  /** Milliseconds in which a backend that came back reaches its full weight; 0: at once. */
  slowStartMs: number;
  /** Failed requests in a row that eject a backend; 0: none do. */
  ejectAfter: number;
  /** Milliseconds of a first ejection. */
  ejectionMs: number;
  /** Who holds this object because of its id (routes); see ClusterTable.ensure. */
  references: number;
  /** The newest backend of each id; the others of that id follow it as namesakes. null: so few that all are looked at. */
  private byId: Map<string, Backend> | null;
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
  /** Some backend is in slow start; its ramp is looked after every RAMP_STEP_MS. */
  private ramping: boolean;
  private rampedAtMs: number;

  constructor(id: string) {
    this.id = id;
    this.idBytesMade = null;
    this.config = null;
    this.backends = [];
    this.answers = null;
    this.credentials = null;
    this.row = -1;
    this.failOpenPicks = 0;
    this.failOpen = FAIL_OPEN_NO;
    this.failOpenNoted = false;
    this.needsKey = false;
    this.affinity = AFFINITY_SOURCE_IP;
    this.affinityName = NO_BYTES;
    this.slowStartMs = 0;
    this.ejectAfter = 0;
    this.ejectionMs = 0;
    this.references = 0;
    this.byId = null;
    this.algorithm = ALGORITHM_RANDOM;
    this.metric = 0;
    this.ordinary = NOT_YET;
    this.backups = NOT_YET;
    this.stale = false;
    this.single = null;
    this.bySticky = null;
    this.unavailable = false;
    this.ramping = false;
    this.rampedAtMs = 0;
  }

  /** The id as UTF-8, for access lines. */
  get idBytes(): Uint8Array {
    this.idBytesMade ??= utf8Bytes(this.id);
    return this.idBytesMade;
  }

  /** Takes a configuration over; backends stay, and so do cursors unless the algorithm or metric changes. */
  configure(config: ClusterObject | null): void {
    const speaksHttp2 = config?.transport?.http2 === true;
    if (speaksHttp2 !== (this.config?.transport?.http2 === true)) {
      this.stale = true;
    }
    this.config = config;
    this.credentials = null;
    const algorithm = config === null ? ALGORITHM_RANDOM : config.loadBalancing;
    const metric = config === null ? 0 : config.loadMetric;
    if (algorithm !== this.algorithm || metric !== this.metric) {
      this.algorithm = algorithm;
      this.metric = metric;
      this.ordinary = NOT_YET;
      this.backups = NOT_YET;
      this.stale = true;
      this.needsKey = algorithm === ALGORITHM_HRW || algorithm === ALGORITHM_MAGLEV;
    }
    this.tune(config?.tuning ?? TUNING_NONE);
  }

  /** Adds a backend, or gives the one with the same id and address its new parameters. */
  addBackend(object: BackendObject): Backend {
    let backend = this.find(object.backendId, object.address.ip, object.address.port);
    if (backend === null) {
      backend = new Backend(object);
      this.backends.push(backend);
      this.enter(backend);
    } else {
      backend.update(object);
    }
    this.stale = true;
    return backend;
  }

  /** Takes a backend out; it is marked `removed`. null: there is none with this id and address. */
  removeBackend(backendId: string, ip: string, port: number): Backend | null {
    const backend = this.find(backendId, ip, port);
    if (backend === null) {
      return null;
    }
    this.unlink(backend);
    this.backends.splice(this.backends.indexOf(backend), 1);
    backend.removed = true;
    this.stale = true;
    return backend;
  }

  /**
   * The backend for a request; null: none can be opened (503). `random` is uniform in [0, 1). `key` is for clusters
   * that need one (`needsKey`): equal keys get the same backend as long as the set of usable backends stays.
   */
  pick(nowMs: number, random: () => number, key = 0): Backend | null {
    if (this.stale) {
      this.setUp();
    }
    if (this.ramping && nowMs >= this.rampedAtMs + RAMP_STEP_MS) {
      this.refreshRamps(nowMs);
    }
    const single = this.single;
    const chosen = single?.canOpen(nowMs)
      ? single
      : (this.ordinary.pick(nowMs, random, false, key) ?? this.backups.pick(nowMs, random, false, key));
    if (chosen !== null) {
      if (this.failOpen === FAIL_OPEN_YES) {
        this.failOpen = FAIL_OPEN_ENDED;
      }
      return chosen;
    }
    const last = this.ordinary.pick(nowMs, random, true, key) ?? this.backups.pick(nowMs, random, true, key);
    if (last !== null) {
      this.failOpenPicks++;
      this.failOpen = FAIL_OPEN_YES;
    }
    return last;
  }

  /** A backend came back (connections, health check, ejection): it starts slowly if the cluster wants that. */
  startSlowly(backend: Backend, nowMs: number): void {
    if (this.slowStartMs === 0) {
      return;
    }
    backend.rampSinceMs = nowMs;
    backend.ramp = RAMP_FIRST;
    this.ramping = true;
    this.rampedAtMs = nowMs;
  }

  /** The backend that a sticky cookie names, if it can be opened. A backend without sticky id goes by its id. */
  pickSticky(stickyId: string, nowMs: number): Backend | null {
    if (this.stale) {
      this.setUp();
    }
    this.bySticky ??= groupBySticky(this.usable);
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

  private tune(tuning: BalancingTuningObject): void {
    this.affinity = tuning.affinityName === "" ? AFFINITY_SOURCE_IP : tuning.affinity;
    const name = tuning.affinity === AFFINITY_HEADER ? tuning.affinityName.toLowerCase() : tuning.affinityName;
    this.affinityName = utf8Bytes(name);
    this.slowStartMs = tuning.slowStart * 1000;
    this.ejectAfter = tuning.ejectionTime > 0 ? tuning.ejectAfter : 0;
    this.ejectionMs = tuning.ejectionTime * 1000;
  }

  private refreshRamps(nowMs: number): void {
    this.rampedAtMs = nowMs;
    this.ramping = false;
    for (const backend of this.backends) {
      if (backend.ramp === 1) {
        continue;
      }
      const part = this.slowStartMs === 0 ? 1 : (nowMs - backend.rampSinceMs) / this.slowStartMs;
      backend.ramp = Math.min(1, RAMP_FIRST + (1 - RAMP_FIRST) * part);
      if (backend.ramp !== 1) {
        this.ramping = true;
      }
    }
  }

  // By id and then along the namesakes: a key made of all parts would have to be built and hashed for each change.
  private find(backendId: string, ip: string, port: number): Backend | null {
    if (this.byId === null) {
      for (const backend of this.backends) {
        if (backend.id === backendId && backend.address.port === port && backend.address.ip === ip) {
          return backend;
        }
      }
      return null;
    }
    let backend = this.byId.get(backendId) ?? null;
    while (backend !== null && (backend.address.port !== port || backend.address.ip !== ip)) {
      backend = backend.namesake;
    }
    return backend;
  }

  private enter(backend: Backend): void {
    if (this.byId !== null) {
      backend.namesake = this.byId.get(backend.id) ?? null;
      this.byId.set(backend.id, backend);
    } else if (this.backends.length > FEW) {
      this.byId = new Map();
      for (const each of this.backends) {
        this.enter(each);
      }
    }
  }

  private unlink(backend: Backend): void {
    if (this.byId === null) {
      return;
    }
    const first = this.byId.get(backend.id)!;
    if (first !== backend) {
      let before = first;
      while (before.namesake !== backend) before = before.namesake!;
      before.namesake = backend.namesake;
    } else if (backend.namesake !== null) {
      this.byId.set(backend.id, backend.namesake);
    } else {
      this.byId.delete(backend.id);
    }
    backend.namesake = null;
  }

  private setUp(): void {
    this.stale = false;
    this.bySticky = null;
    const usable = this.usable;
    this.single = usable.length === 1 ? usable[0] : null;
    if (this.ordinary === NOT_YET) {
      this.ordinary = policyFor(this.algorithm, this.metric);
      this.backups = policyFor(this.algorithm, this.metric);
    }
    this.ordinary.setBackends(usable.filter((backend) => !backend.backup));
    this.backups.setBackends(usable.filter((backend) => backend.backup));
  }

  /** Backends that speak HTTP/2 cannot be spoken to yet: better none (503) than HTTP/1.1, which they do not understand. */
  private get usable(): readonly Backend[] {
    return this.config?.transport?.http2 === true ? NO_BACKENDS : this.backends;
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

function policyFor(algorithm: number, metric: number): Policy {
  switch (algorithm) {
    case ALGORITHM_RANDOM:
      return new Random();
    case ALGORITHM_LEAST_LOADED:
      return new LeastLoaded(metric);
    case ALGORITHM_POWER_OF_TWO:
      return new PowerOfTwo(metric);
    case ALGORITHM_HRW:
      return new Hrw();
    case ALGORITHM_MAGLEV:
      return new Maglev();
    default:
      return new RoundRobin();
  }
}

const ALGORITHM_RANDOM = 1;
const ALGORITHM_LEAST_LOADED = 2;
const ALGORITHM_POWER_OF_TWO = 3;
const ALGORITHM_HRW = 4;
const ALGORITHM_MAGLEV = 5;
/** Stands for the policies of a cluster until its first pick. */
const NOT_YET: Policy = new Random();
/** So many backends are looked at one by one. */
const FEW = 8;
const RAMP_FIRST = 0.1;
const RAMP_STEP_MS = 100;
const TUNING_NONE: BalancingTuningObject = {
  affinity: AFFINITY_SOURCE_IP,
  affinityName: "",
  slowStart: 0,
  ejectAfter: 0,
  ejectionTime: 0,
};
const NO_BACKENDS: readonly Backend[] = [];
const NO_BYTES = new Uint8Array(0);
