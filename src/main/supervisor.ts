// Keeps `worker_count` workers alive: starts them from main's state with their slot's sockets, replaces those that die
// or fall out of step, and ends them. A worker killed under load has a successor within a fraction of a second, with the
// same sockets and state; deaths in a row are answered with growing pauses (back-off.ts).
// Invariant: at most one worker per slot serves; predecessors leave once it is ready.

import { randomBytes } from "node:crypto";
import { EventKind } from "../command/gen/sozu_pb.ts";
import { decodeHashes, type HashesPart } from "../command/hash-packets.ts";
import { decodeList } from "../command/list-packets.ts";
import type { BackendHealth, SocketAddress, WorkerEvent, WorkerSettings } from "../command/objects.ts";
import type { CertificateQuery, MetricsOrder, ServedCertificate, Standing } from "../command/worker-protocol.ts";
import type { Logger } from "../observe/logger.ts";
import { METRIC_CLIENT_CONNECTIONS } from "../observe/metrics.ts";
import { StatsReader } from "../observe/stats-reader.ts";
import { describeErrno } from "../os/errno.ts";
import type { ExitStatus } from "../os/process.ts";
import { fdSize, mapShared, memfd } from "../os/shared.ts";
import { close } from "../os/sockets.ts";
import type { CarriedSupervisor } from "./carry.ts";
import type { ChangeTargets } from "./change-log.ts";
import { removeDoor } from "./doors.ts";
import type { JournalFacts } from "./journal.ts";
import { lend, needsSibling, takeBack } from "./lending.ts";
import type { ListenSockets } from "./listen-sockets.ts";
import type { LogFiles } from "./log-files.ts";
import type { LogSockets } from "./log-sockets.ts";
import type { Page } from "./metrics/pages.ts";
import { RetiredStats } from "./metrics/retired.ts";
import { ownRelease, type Release, releaseName } from "./release.ts";
import { TicketKeys } from "./ticket-keys.ts";
import { BEAT, ownTime } from "./watchdog.ts";
import { WORKER, WorkerProcess } from "./worker-process.ts";
import { WorkerQueries } from "./worker-queries.ts";
import { type StatsPage, WorkerSlot } from "./worker-slot.ts";

/** How often heartbeats and deadlines are looked at. */
const TICK_MS = 100;
/** A worker that takes longer to start than the time for answers and this for its state is taken for hung. */
const REPLAY_BYTES_PER_MS = 500;
/** A worker cuts what is left at the end of its drain by itself; beyond this it hangs. */
const DRAIN_GRACE_MS = 5000;
/** Ended workers that `status` still shows. */
const REMEMBERED_MAX = 16;

/** What the supervisor needs to know of main. */
export interface SupervisorOptions {
  readonly slots: number;
  readonly automaticRestart: boolean;
  readonly commandSocket: string;
  readonly statsBytes: number;
  readonly sockets: ListenSockets;
  readonly logFiles: LogFiles;
  readonly logSockets: LogSockets;
  readonly logger: Logger;
  /** How long a worker may be silent. */
  readonly workerTimeoutMs: number;
  /** How long the predecessor of an upgraded worker may take to finish; 0: for ever. */
  readonly drainTimeoutSeconds: number;
  /** To begin with. */
  readonly maxConnectionsPerIp: number;
  /** Settings of the worker with this id. */
  settings(id: number): WorkerSettings;
  /** The whole state, flat, after all recorded changes were flushed. */
  snapshot(): { readonly revision: number; readonly bytes: Uint8Array };
  /** Called for each acknowledgement, and when a worker is gone. */
  onAck(worker: number, revision: number, standing: Standing): void;
  onGone(worker: number): void;
  /** Called for what a worker reports. */
  onEvent(worker: number, event: WorkerEvent): void;
  /** Called every TICK_MS. */
  onTick(nowMs: number): void;
  /** Called when what facts() says is no longer so. */
  onFacts(): void;
}

/** By worker id: the hash of each cluster that exists there. Only workers that answered. */
export type WorkerHashes = ReadonlyMap<number, ReadonlyMap<string, bigint>>;
/** By worker id: what it knows of backends. Only workers that answered. */
export type WorkerHealth = ReadonlyMap<number, readonly BackendHealth[]>;

/** How a worker answers, for `status`. */
export interface WorkerReport {
  readonly id: number;
  readonly pid: number;
  /** One of WORKER. */
  readonly state: number;
  readonly answers: boolean;
  /** `on`, or `off: ` and why; null while it is not known. */
  readonly sandbox: string | null;
}

/** The workers of this main. */
export class Supervisor implements ChangeTargets {
  readonly #options: SupervisorOptions;
  readonly #logger: Logger;
  readonly #slots: WorkerSlot[];
  readonly #workers: Map<number, WorkerProcess>;
  readonly #ended: WorkerReport[];
  readonly #pongs: Map<number, (worker: number) => void>;
  readonly #hashQueries: WorkerQueries<Map<string, bigint>>;
  readonly #healthQueries: WorkerQueries<BackendHealth[]>;
  readonly #certificateQueries: WorkerQueries<ServedCertificate[]>;
  readonly #metricsOrders: WorkerQueries<null>;
  /** What rows of stats pages record; null: what the settings say. */
  #metricDetail: number | null;
  /** What workers counted whose pages are gone. */
  readonly #retired: RetiredStats;
  /** Workers that ended without being told to. */
  deaths: number;
  readonly #ticketKeys: TicketKeys;
  /** The page of #retired; -1: there is none. */
  #retiredFd: number;
  #journalFd: number;
  #reportEvents: boolean;
  #maxConnectionsPerIp: number;
  #nextId: number;
  #nextPing: number;
  #stopping: boolean;
  #tick: NodeJS.Timeout | null;
  #lastTickMs: number;
  #onStarted: ((problem: string | null) => void) | null;
  #onAllGone: (() => void) | null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#slots = [];
    this.#workers = new Map();
    this.#ended = [];
    this.#pongs = new Map();
    this.#hashQueries = new WorkerQueries(() => new Map());
    this.#healthQueries = new WorkerQueries(() => []);
    this.#certificateQueries = new WorkerQueries(() => []);
    this.#metricsOrders = new WorkerQueries(() => null);
    this.#metricDetail = null;
    this.#retired = new RetiredStats(() => this.#makeRetired());
    this.deaths = 0;
    this.#ticketKeys = new TicketKeys(randomBytes, performance.now());
    this.#retiredFd = -1;
    this.#journalFd = -1;
    this.#reportEvents = false;
    this.#maxConnectionsPerIp = options.maxConnectionsPerIp;
    this.#nextId = 0;
    this.#nextPing = 1;
    this.#stopping = false;
    this.#tick = null;
    this.#lastTickMs = 0;
    this.#onStarted = null;
    this.#onAllGone = null;
  }

  /** Starts one worker per slot. Resolves with null when all serve, or with the reason why one did not come up. */
  start(): Promise<string | null> {
    const release = ownRelease();
    return new Promise((resolve) => {
      this.#onStarted = resolve;
      for (let index = 0; index < this.#options.slots; index++) {
        const slot = new WorkerSlot(index, this.#makePage(index), release);
        this.#slots.push(slot);
        this.#launch(slot);
      }
      this.#lastTickMs = performance.now();
      this.#tick = setInterval(() => this.#onTick(), TICK_MS);
    });
  }

  /** Goes on with the workers of an earlier main. */
  resume(carried: CarriedSupervisor): void {
    this.#nextId = carried.nextId;
    if (carried.ticketKeys !== null) this.#ticketKeys.resume(carried.ticketKeys, performance.now());
    this.#maxConnectionsPerIp = carried.maxConnectionsPerIp;
    this.#metricDetail = carried.metricDetail ?? null;
    this.#retiredFd = carried.retiredFd ?? -1;
    if (this.#retiredFd >= 0) this.#retired.resume(mapShared(this.#retiredFd, fdSize(this.#retiredFd)));
    const pages = new Map<number, StatsPage>();
    const pageOf = (fd: number): StatsPage => {
      const page = pages.get(fd) ?? { fd, reader: new StatsReader(mapShared(fd, fdSize(fd))) };
      pages.set(fd, page);
      return page;
    };
    for (const each of carried.workers) {
      this.#workers.set(each.id, WorkerProcess.resume(each, pageOf(each.pageFd), this.#events));
    }
    const workerOf = (id: number | null): WorkerProcess | null =>
      id === null ? null : (this.#workers.get(id) ?? null);
    for (const [index, each] of carried.slots.entries()) {
      const page = each.pageFd < 0 ? this.#makePage(index) : pageOf(each.pageFd);
      const slot = new WorkerSlot(index, page, each.release);
      this.#slots.push(slot);
      slot.worker = workerOf(each.worker);
      slot.lentTo = workerOf(each.lentTo);
      slot.backOff.earlyDeaths = each.earlyDeaths;
      for (const [id, kill] of each.leaving) {
        const old = workerOf(id);
        if (old !== null) slot.leaving.set(old, kill);
      }
      if (slot.worker !== null) continue;
      slot.vacantSinceMs = performance.now();
      this.#launchLater(slot, 0);
    }
    this.#lastTickMs = performance.now();
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
  }

  /** What a main that comes after a crash cannot learn from workers. */
  facts(): Pick<JournalFacts, "nextId" | "ticketKeys" | "maxConnectionsPerIp" | "metricDetail"> {
    return {
      nextId: this.#nextId,
      ticketKeys: this.#ticketKeys.carry(performance.now()),
      maxConnectionsPerIp: this.#maxConnectionsPerIp,
      metricDetail: this.#metricDetail,
    };
  }

  /** Hands the journal to every worker, and to those that follow. */
  keepJournal(fd: number): void {
    this.#journalFd = fd;
    for (const worker of this.#workers.values()) worker.journal(fd);
  }

  /** After resume(): workers that were found side by side leave, those out of step are replaced. */
  settle(outOfStep: readonly number[]): void {
    for (const slot of this.#slots) {
      if (slot.worker?.state !== WORKER.SERVING) continue;
      for (const old of slot.leaving.keys()) old.drain(this.#options.drainTimeoutSeconds);
      if (this.#reportEvents) slot.worker.reportEvents(true);
    }
    for (const id of outOfStep) this.replace(id, "its state differs from main's", false);
    for (const worker of this.#workers.values()) worker.logFiles(this.#options.logFiles);
  }

  /** The other way. */
  carry(): CarriedSupervisor {
    const slots = this.#slots.map((slot) => ({
      pageFd: slot.page.fd,
      release: slot.release,
      worker: slot.worker?.id ?? null,
      leaving: [...slot.leaving].map(([worker, kill]) => [worker.id, kill] as const),
      lentTo: slot.lentTo?.id ?? null,
      earlyDeaths: slot.backOff.earlyDeaths,
    }));
    const workers = [...this.#workers.values()].map((worker) => worker.carry());
    const ticketKeys = this.#ticketKeys.carry(performance.now());
    const { maxConnectionsPerIp } = this;
    const common = { nextId: this.#nextId, metricDetail: this.#metricDetail, retiredFd: this.#retiredFd };
    return { ...common, maxConnectionsPerIp, ticketKeys, slots, workers };
  }

  /** The worker that is being upgraded; null: none is. */
  get upgrading(): number | null {
    return this.#slots.find((slot) => slot.candidate !== null)?.worker?.id ?? null;
  }

  serving(): number[] {
    const ids: number[] = [];
    for (const slot of this.#slots) {
      if (slot.worker?.state === WORKER.SERVING) ids.push(slot.worker.id);
    }
    return ids;
  }

  send(blocks: readonly Uint8Array[], revision: number, except?: ReadonlySet<number>): void {
    const joined = blocks.length === 1 ? blocks[0] : Buffer.concat(blocks);
    for (const { followers } of this.#slots) {
      for (const worker of followers) if (except?.has(worker.id) !== true) worker.change(joined, revision);
    }
  }

  replace(id: number, reason: string, kill: boolean): void {
    const worker = this.#workers.get(id);
    const slot = worker === undefined ? undefined : this.#slots[worker.slot];
    if (this.#stopping || worker === undefined || slot?.worker !== worker) return;
    this.#logger.error("supervisor", `worker ${id} (pid ${worker.pid}) is being replaced: ${reason}`);
    slot.leaving.set(worker, kill);
    slot.worker = null;
    worker.expected = true;
    this.#succeed(slot);
  }

  get drainTimeoutSeconds(): number {
    return this.#options.drainTimeoutSeconds;
  }

  /** The slot whose present worker has this id and serves; null: there is none. */
  slotOf(id: number): WorkerSlot | null {
    const worker = this.#workers.get(id);
    const slot = worker === undefined ? undefined : this.#slots[worker.slot];
    return slot?.worker === worker && worker?.state === WORKER.SERVING ? (slot ?? null) : null;
  }

  /**
   * Starts a successor of the slot's worker beside it. Resolves with it when it serves: the predecessor then accepts no
   * more and finishes politely. Resolves with the reason when it does not come to that: then nothing has changed.
   */
  upgrade(slot: WorkerSlot, release: Release): Promise<WorkerProcess | string> {
    const page = this.#makePage(slot.index);
    const worker = this.#start(slot, release, page);
    if (typeof worker === "string") {
      close(page.fd);
      return Promise.resolve(worker);
    }
    return new Promise((resolve) => {
      const settle = (problem: string | null): void => resolve(problem ?? worker);
      slot.candidate = { worker, release, page, settle };
    });
  }

  /** Hands the sockets of a new listener to the workers, before the change that activates it. */
  listenOn(address: SocketAddress): void {
    for (const slot of this.#slots) {
      const fd = this.#options.sockets.fd(address, slot.index);
      if (fd < 0) continue;
      for (const worker of slot.followers) worker.listen({ addresses: [address], lentBy: null }, [fd]);
    }
  }

  /** What each serving worker holds, by hashes of these clusters (null: of all). */
  queryHashes(clusterIds: readonly string[] | null, timeoutMs: number): Promise<WorkerHashes> {
    const send = (worker: WorkerProcess, number: number): void => worker.queryHashes(number, clusterIds);
    return this.#hashQueries.ask(this.#servingWorkers(), send, timeoutMs);
  }

  /** What each serving worker knows of the backends of a cluster (null: of all). */
  queryHealth(clusterId: string | null, timeoutMs: number): Promise<WorkerHealth> {
    const send = (worker: WorkerProcess, number: number): void => worker.queryHealth(number, clusterId);
    return this.#healthQueries.ask(this.#servingWorkers(), send, timeoutMs);
  }

  /** The certificates of each serving worker, by id. Only workers that answered. */
  queryCertificates(query: CertificateQuery, timeoutMs: number) {
    const send = (worker: WorkerProcess, number: number): void => worker.queryCertificates(number, query);
    return this.#certificateQueries.ask(this.#servingWorkers(), send, timeoutMs);
  }

  /** Client connections that are open, as workers counted them last. */
  get connections(): number {
    let sum = 0;
    for (const { stats } of this.#workers.values()) sum += stats.metric(METRIC_CLIENT_CONNECTIONS);
    return sum;
  }

  /** Workers that were started. */
  get started(): number {
    return this.#nextId;
  }

  /** The stats pages of all slots, in which is what dead workers counted, and of workers that leave or start beside them. */
  pages(): Page[] {
    const pages = this.#slots.map(({ stats, worker }) => pageOf(stats.workerId, worker !== null, stats));
    const known = new Set(pages.map(({ reader }) => reader));
    for (const { id, stats } of this.#workers.values()) if (!known.has(stats)) pages.push(pageOf(id, true, stats));
    const { page } = this.#retired;
    return page === null ? pages : [...pages, page];
  }

  pruneRetired(has: (clusterId: string) => boolean): void {
    this.#retired.prune(has);
  }

  async orderMetrics(order: MetricsOrder, timeoutMs: number): Promise<readonly number[]> {
    this.#metricDetail = order.detail;
    this.#options.onFacts();
    const workers = [...this.#workers.values()].filter(({ state }) => state < WORKER.STOPPED);
    const send = (worker: WorkerProcess, number: number): void => worker.orderMetrics(number, order);
    const done = await this.#metricsOrders.ask(workers, send, timeoutMs);
    return workers.filter(({ id, state }) => !done.has(id) && state < WORKER.STOPPING).map(({ id }) => id);
  }

  /** Whether workers are to report events: a change of theirs costs more then. */
  reportEvents(wanted: boolean): void {
    this.#reportEvents = wanted;
    for (const worker of this.#workers.values()) worker.reportEvents(wanted);
  }

  /** Connections of one source address to one cluster, for clusters without a limit of their own; 0: any number. */
  get maxConnectionsPerIp(): number {
    return this.#maxConnectionsPerIp;
  }

  /** At most 2^32 - 1. Workers started later get it with their settings. */
  setMaxConnectionsPerIp(limit: number): void {
    this.#maxConnectionsPerIp = limit;
    this.#options.onFacts();
    for (const worker of this.#workers.values()) worker.setMaxConnectionsPerIp(limit);
  }

  /** Opens the log files anew, for all workers. Returns null, or why not. */
  reopenLogs(): string | null {
    const { logFiles } = this.#options;
    const problem = logFiles.reopen();
    if (problem === null) for (const worker of this.#workers.values()) worker.logFiles(logFiles);
    return problem;
  }

  setLogging(directives: string): void {
    for (const worker of this.#workers.values()) worker.logging(directives);
  }

  /** Asks every worker for a sign of life and waits up to `timeoutMs` for it. Sorted by id; ended ones are included. */
  status(timeoutMs: number): Promise<WorkerReport[]> {
    // Whose heart stands still does not answer; waiting for it would last until the watchdog has killed it.
    const asked = [...this.#workers.values()].filter((worker) => !worker.heart.stalled);
    const answered = new Set<number>();
    const number = this.#nextPing++ >>> 0;
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#pongs.delete(number);
        resolve(this.#report(answered));
      };
      const timer = setTimeout(finish, timeoutMs);
      const check = (): void => {
        if (asked.every((worker) => answered.has(worker.id) || worker.state === WORKER.STOPPED)) finish();
      };
      this.#pongs.set(number, (id) => {
        if (id >= 0) answered.add(id);
        check();
      });
      for (const worker of asked) worker.ping(number);
      check();
    });
  }

  /** The workers without asking them. */
  list(): WorkerReport[] {
    return this.#report(new Set(this.#workers.keys()));
  }

  /** Ends all workers; resolves when the last one is gone. A hard stop may follow a soft one. */
  stop(hard: boolean): Promise<void> {
    this.#stopping = true;
    for (const slot of this.#slots) {
      if (slot.restart !== null) clearTimeout(slot.restart);
      slot.restart = null;
    }
    for (const worker of this.#workers.values()) worker.stop(hard);
    if (hard) setTimeout(() => this.#killAll(), HARD_STOP_GRACE_MS).unref();
    return new Promise((resolve) => {
      const earlier = this.#onAllGone;
      this.#onAllGone = () => {
        earlier?.();
        resolve();
      };
      if (this.#workers.size === 0) this.#finish();
    });
  }

  #servingWorkers(): WorkerProcess[] {
    return this.#slots.flatMap(({ worker }) => (worker?.state === WORKER.SERVING ? [worker] : []));
  }

  #killAll(): void {
    for (const worker of this.#workers.values()) worker.kill();
  }

  #finish(): void {
    if (this.#tick !== null) clearInterval(this.#tick);
    this.#tick = null;
    this.#onAllGone?.();
    this.#onAllGone = null;
  }

  #makePage(index: number): StatsPage {
    const { statsBytes } = this.#options;
    const fd = memfd(`sozu-stats-${index}`, statsBytes);
    if (fd < 0) throw new Error(`no memory file for statistics: ${describeErrno(-fd)}`);
    return { fd, reader: new StatsReader(mapShared(fd, statsBytes)) };
  }

  #makeRetired(): ArrayBuffer {
    const { fd, reader } = this.#makePage(-1);
    this.#retiredFd = fd;
    return reader.buffer;
  }

  #launch(slot: WorkerSlot): void {
    slot.restart = null;
    // Two workers that count need a page each.
    if ([...slot.leaving.keys()].some(({ stats }) => stats === slot.stats)) {
      slot.page = this.#makePage(slot.index);
    }
    const worker = this.#start(slot, slot.release, slot.page);
    if (typeof worker !== "string") {
      slot.worker = worker;
      return;
    }
    this.#logger.error("supervisor", worker);
    this.#started(worker);
    this.#launchLater(slot, slot.backOff.onDeath(0) || TICK_MS);
  }

  /** A worker must be followed by another one: the one of an upgrade if it is there, else a new one. */
  #succeed(slot: WorkerSlot): void {
    if (slot.candidate === null) this.#launch(slot);
    else this.#promote(slot);
  }

  /** The worker of an upgrade takes the slot over, with its page. */
  #promote(slot: WorkerSlot): void {
    const { candidate } = slot;
    if (candidate === null || slot.worker === candidate.worker) return;
    slot.worker = candidate.worker;
    slot.page = candidate.page;
  }

  /** Spawns a worker for a slot; the reason when it cannot be. */
  #start(slot: WorkerSlot, release: Release, page: StatsPage): WorkerProcess | string {
    const { sockets, commandSocket } = this.#options;
    const id = this.#nextId++;
    this.#options.onFacts();
    const state = this.#options.snapshot();
    const { addresses, fds } = sockets.ofSlot(slot.index);
    const worker = WorkerProcess.launch(
      {
        id,
        slot: slot.index,
        settings: this.#settingsOf(id),
        revision: state.revision,
        state: state.bytes,
        release,
        page,
        statsBytes: fdSize(page.fd),
        listen: { addresses, lentBy: null },
        listenFds: fds,
        logFiles: this.#options.logFiles,
        ticketKeys: this.#ticketKeys.bytes,
        journalFd: this.#journalFd,
        commandSocket,
      },
      this.#events,
    );
    if (typeof worker === "string") return `worker ${id} could not be started: ${worker}`;
    this.#workers.set(id, worker);
    if (this.#reportEvents) worker.reportEvents(true);
    this.#logger.info("supervisor", `worker ${id} started, pid ${worker.pid}, release ${releaseName(release)}`);
    return worker;
  }

  #settingsOf(id: number): WorkerSettings {
    const settings = this.#options.settings(id);
    const metricDetail = this.#metricDetail ?? settings.metricDetail;
    return { ...settings, maxConnectionsPerIp: this.#maxConnectionsPerIp, metricDetail };
  }

  #launchLater(slot: WorkerSlot, pauseMs: number): void {
    if (this.#stopping || !this.#options.automaticRestart) return;
    if (pauseMs === 0) this.#launch(slot);
    else slot.restart = setTimeout(() => this.#launch(slot), pauseMs);
  }

  readonly #events = {
    onReady: (worker: WorkerProcess, revision: number, standing: Standing): void => {
      this.#logger.info("supervisor", `worker ${worker.id} serves, revision ${revision}`);
      for (const { reason } of standing.refusals) {
        this.#logger.error("supervisor", `worker ${worker.id} serves without a part of the state: ${reason}`);
      }
      this.#install(this.#slots[worker.slot], worker);
      // It counts what it could not apply, and serves without.
      this.#options.onAck(worker.id, revision, { ...standing, refusals: [] });
      if (this.#slots.every((each) => each.worker?.state === WORKER.SERVING)) this.#started(null);
    },
    onAck: (worker: WorkerProcess, revision: number, standing: Standing): void => {
      this.#options.onAck(worker.id, revision, standing);
    },
    onPong: (worker: WorkerProcess, number: number): void => {
      this.#pongs.get(number)?.(worker.id);
    },
    onHashes: (worker: WorkerProcess, number: number, body: Uint8Array): void => {
      const part = decodeHashes(body);
      if (part === null) this.#events.onTrouble(worker, "it sent broken hashes");
      else this.#hashQueries.onPart(worker.id, number, part.last, (hashes) => addHashes(hashes, part));
    },
    onHealth: (worker: WorkerProcess, number: number, body: Uint8Array): void => {
      const part = decodeList<BackendHealth>(body);
      if (part === null) this.#events.onTrouble(worker, "it sent a broken report of health");
      else this.#healthQueries.onPart(worker.id, number, part.last, (health) => health.push(...part.items));
    },
    onCertificates: (worker: WorkerProcess, number: number, body: Uint8Array): void => {
      const part = decodeList<ServedCertificate>(body);
      if (part === null) this.#events.onTrouble(worker, "it sent a broken list of certificates");
      else this.#certificateQueries.onPart(worker.id, number, part.last, (served) => served.push(...part.items));
    },
    onMetricsDone: (worker: WorkerProcess, number: number): void => {
      this.#metricsOrders.onPart(worker.id, number, true, () => undefined);
    },
    onLogSocket: (worker: WorkerProcess, target: string): void => {
      this.#options.logSockets.connect(worker, target, (fd) => {
        if (worker.state < WORKER.STOPPED) worker.logFiles({ targets: [target], fds: [fd] });
        close(fd);
      });
    },
    onEvent: (worker: WorkerProcess, event: WorkerEvent): void => this.#options.onEvent(worker.id, event),
    onTrouble: (worker: WorkerProcess, reason: string): void => {
      this.#logger.error("supervisor", `worker ${worker.id} (pid ${worker.pid}): ${reason}`);
      worker.trouble = reason;
      if (worker.state === WORKER.STARTING) this.#started(`worker ${worker.id}: ${reason}`);
      // Its channel is of no use, so it cannot follow the state: the exit that follows starts a successor.
      worker.kill();
      worker.expected = false;
    },
    onExit: (worker: WorkerProcess, status: ExitStatus): void => this.#onExit(worker, status),
  };

  /** A worker serves: it has the slot now, and its predecessors leave. */
  #install(slot: WorkerSlot, worker: WorkerProcess): void {
    const { candidate } = slot;
    if (candidate?.worker === worker) {
      if (slot.worker !== null && slot.worker !== worker) slot.leaving.set(slot.worker, false);
      this.#promote(slot);
      slot.release = candidate.release;
      slot.candidate = null;
      candidate.settle(null);
    }
    if (slot.vacantSinceMs >= 0) this.#options.onEvent(worker.id, workerEvent(EventKind.WORKER_RELAUNCHED));
    slot.vacantSinceMs = -1;
    takeBack(slot, this.#options.sockets);
    for (const [old, kill] of slot.leaving) {
      if (kill) old.kill();
      else old.drain(this.#options.drainTimeoutSeconds);
    }
  }

  /** The worker of an upgrade ended: the upgrade failed. If it was to follow a dead worker, it is replaced like that one. */
  #fail(slot: WorkerSlot, worker: WorkerProcess, text: string): void {
    const { candidate } = slot;
    if (candidate?.worker !== worker) return;
    slot.candidate = null;
    candidate.settle(worker.trouble === "" ? `${text} before it served` : worker.trouble);
  }

  #onExit(worker: WorkerProcess, status: ExitStatus): void {
    const slot = this.#slots[worker.slot];
    const livedMs = performance.now() - worker.startedMs;
    const how = status.signal > 0 ? `was killed by signal ${status.signal}` : `exited with code ${status.exitCode}`;
    const text = `worker ${worker.id} (pid ${worker.pid}) ${how} after ${(livedMs / 1000).toFixed(1)} s`;
    if (worker.expected) this.#logger.info("supervisor", text);
    else {
      this.deaths++;
      this.#logger.error("supervisor", text);
      this.#options.onEvent(worker.id, workerEvent(EventKind.WORKER_KILLED));
    }
    this.#forget(worker);
    slot.leaving.delete(worker);
    this.#fail(slot, worker, text);
    if (slot.worker === worker) {
      slot.worker = null;
      if (slot.vacantSinceMs < 0) slot.vacantSinceMs = performance.now();
      this.#started(`${text} before it served`);
      const pauseMs = slot.backOff.onDeath(livedMs);
      if (pauseMs > 0 && !this.#stopping) {
        const count = slot.backOff.earlyDeaths;
        this.#logger.error(
          "supervisor",
          `slot ${slot.index}: ${count} early deaths in a row, next start in ${pauseMs} ms`,
        );
      }
      if (slot.candidate === null) this.#launchLater(slot, pauseMs);
      else this.#promote(slot);
    }
    // Else its successor goes on with the page.
    if (slot.stats !== worker.stats) this.#retired.fold(worker.stats);
    this.#closePage(worker.pageFd);
    if (this.#stopping && this.#workers.size === 0) this.#finish();
  }

  /** Closes a stats page that belongs to nobody any more. */
  #closePage(fd: number): void {
    if (this.#slots.some((slot) => slot.page.fd === fd)) return;
    for (const worker of this.#workers.values()) if (worker.pageFd === fd) return;
    close(fd);
  }

  #forget(worker: WorkerProcess): void {
    this.#workers.delete(worker.id);
    removeDoor(this.#options.commandSocket, worker.id);
    this.#ended.push({ id: worker.id, pid: worker.pid, state: WORKER.STOPPED, answers: false, sandbox: null });
    if (this.#ended.length > REMEMBERED_MAX) this.#ended.shift();
    this.#options.onGone(worker.id);
    for (const check of [...this.#pongs.values()]) check(-1);
    this.#hashQueries.onGone(worker.id);
    this.#healthQueries.onGone(worker.id);
    this.#certificateQueries.onGone(worker.id);
    this.#metricsOrders.onGone(worker.id);
  }

  #started(problem: string | null): void {
    this.#onStarted?.(problem);
    this.#onStarted = null;
  }

  #report(answered: ReadonlySet<number>): WorkerReport[] {
    const living = [...this.#workers.values()].map(({ id, pid, state, sandbox }) => ({
      id,
      pid,
      state,
      answers: answered.has(id),
      sandbox,
    }));
    return [...this.#ended, ...living].sort((a, b) => a.id - b.id);
  }

  #onTick(): void {
    const nowMs = performance.now();
    this.#options.onTick(nowMs);
    const sinceMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    if (this.#ticketKeys.tick(nowMs)) {
      this.#options.onFacts();
      for (const worker of this.#workers.values()) worker.setTicketKeys(this.#ticketKeys.bytes);
    }
    for (const slot of this.#slots) {
      if (slot.worker?.state === WORKER.STARTING) this.#watchStart(slot.worker, sinceMs);
      else if (slot.worker !== null) this.#watchHeartbeat(slot, slot.worker, sinceMs);
      for (const old of slot.leaving.keys()) {
        if (nowMs > old.drainEndsMs + DRAIN_GRACE_MS) old.kill();
        // Not before it drains: who falls out of step or hangs serves, or waits, until its successor is there.
        else if (old.state === WORKER.STOPPING) this.#watchHeartbeat(slot, old, sinceMs);
      }
      if (slot.candidate !== null) this.#watchStart(slot.candidate.worker, sinceMs);
      if (this.#stopping || !needsSibling(slot, nowMs)) continue;
      const sibling = lend(slot, this.#slots, this.#options.sockets);
      if (sibling !== null) this.#logger.warn("supervisor", `worker ${sibling.id} accepts for slot ${slot.index} too`);
    }
  }

  // Its exit starts a successor, after a pause when this goes on.
  #watchStart(worker: WorkerProcess, sinceMs: number): void {
    const limitMs = this.#options.workerTimeoutMs + worker.stateBytes / REPLAY_BYTES_PER_MS;
    if (worker.state !== WORKER.STARTING) return;
    worker.startingMs += ownTime(sinceMs);
    if (worker.startingMs < limitMs) return;
    this.#events.onTrouble(worker, `it does not serve after ${(limitMs / 1000).toFixed(1)} s`);
  }

  #watchHeartbeat(slot: WorkerSlot, worker: WorkerProcess, sinceMs: number): void {
    const who = `worker ${worker.id} (pid ${worker.pid})`;
    switch (worker.heart.watch(worker.stats.heartbeatUs, sinceMs, this.#options.workerTimeoutMs)) {
      case BEAT.STALLED:
        this.#logger.error("supervisor", `${who} does not turn its loop: no heartbeat for a second`);
        return;
      case BEAT.MOVES_AGAIN:
        this.#logger.info("supervisor", `${who} turns its loop again`);
        if (slot.worker === worker) takeBack(slot, this.#options.sockets);
        return;
      case BEAT.DEAD:
        this.#events.onTrouble(worker, `no heartbeat for ${this.#options.workerTimeoutMs / 1000} s, it is killed`);
    }
  }
}

function pageOf(workerId: number, isLive: boolean, reader: StatsReader): Page {
  return { workerId, isLive, isRetired: false, reader };
}

/** After a hard stop was asked for, what still runs is killed. */
const HARD_STOP_GRACE_MS = 300;

function workerEvent(kind: EventKind): WorkerEvent {
  return { kind, clusterId: null, backendId: null, address: null };
}

function addHashes(collected: Map<string, bigint>, part: HashesPart): void {
  for (const { id, low, high } of part.hashes) collected.set(id, (BigInt(high) << 32n) | BigInt(low));
}
