// A worker: the event loop with the proxy on it, following main's state. It starts from the state it was handed, tells
// main when it serves, applies changes as they come and stops when it is told. It does not need main to serve: when main
// dies it goes on, and ends by a signal (SIGTERM: as a soft stop).

import { randomFillSync } from "node:crypto";
import { fstat } from "node:fs";
import { flushCompileCache } from "node:module";
import { getHeapStatistics } from "node:v8";
import { encodeHashes } from "../command/hash-packets.ts";
import { encodeList } from "../command/list-packets.ts";
import type { WorkerEvent } from "../command/objects.ts";
import {
  type CertificateQuery,
  decodeJson,
  decodeText,
  encodeJsonPacket,
  encodePacket,
  encodeStanding,
  encodeTextPacket,
  fillStanding,
  type HashQuery,
  type HealthQuery,
  type Listen,
  type MetricsOrder,
  PACKET,
  type Refusal,
  STANDING_PACKET_BYTES,
} from "../command/worker-protocol.ts";
import { EventLoop } from "../loop/event-loop.ts";
import { Memory } from "../loop/memory.ts";
import { record } from "../observe/histogram.ts";
import { METRIC_PANIC } from "../observe/metrics.ts";
import { Stats } from "../observe/stats.ts";
import { clearCounters } from "../observe/stats-clear.ts";
import { TIME_EVENT_LOOP } from "../observe/stats-layout.ts";
import { UlidSource } from "../observe/ulid.ts";
import { clock, readClock } from "../os/clock.ts";
import { closeAll } from "../os/fdpass.ts";
import { ResidentMemory } from "../os/resident.ts";
import { enterSandbox } from "../os/sandbox.ts";
import { fdSize, mapShared } from "../os/shared.ts";
import { close } from "../os/sockets.ts";
import { systemAuthorities } from "../os/system-authorities.ts";
import { arenaBytesFor } from "../proxy/context.ts";
import { ProxyServer } from "../proxy/proxy-server.ts";
import { pairFiles, pairSockets, type Start } from "./boot.ts";
import { ChangeQueue } from "./change-queue.ts";
import { CHANNEL_ARENA_BYTES, WorkerChannel } from "./channel.ts";
import { Door } from "./door.ts";
import { openLogs, type WorkerLogs } from "./logs.ts";
import { MemoryGuard } from "./memory-guard.ts";
import { Replica } from "./replica.ts";
import { Ticker } from "./ticker.ts";
import { takeTicketKeys } from "./ticket-keys.ts";

/** How long the last log lines may take at the end. */
const DRAIN_LOGS_MS = 1000;
/** Packets that wait for main before events are dropped. */
const EVENTS_WAITING_MAX = 256;
/** Rows of the stats page that are cleared before traffic has its turn: at most a quarter of a millisecond. */
const ROWS_PER_TURN = 64;
/** Longest time of a timer of Node. */
const TIMER_MAX_MS = 2_147_483_647;
const NO_REFUSALS: readonly Refusal[] = [];

/** The worker of this process. */
export class Worker {
  readonly #loop: EventLoop;
  readonly #statsPage: ArrayBuffer;
  readonly #stats: Stats;
  readonly #logs: WorkerLogs;
  readonly #proxy: ProxyServer;
  readonly #replica: Replica;
  readonly #changes: ChangeQueue;
  readonly #channel: WorkerChannel;
  readonly #start: Start;
  readonly #door: Door | null;
  readonly #startedMs: number;
  /** When a drain is cut, `performance.now()`; Infinity: never; -1: none is under way. */
  #drainEndsMs: number;
  #sandbox: string;
  #orphaned: NodeJS.Timeout | null;
  readonly #arena: Uint8Array;
  /** Revision of the last changes that were applied and not acknowledged, -1: none; what was refused of them. */
  #applied: number;
  #refusals: readonly Refusal[];
  /** Hash of the state when that was in force. */
  #hashLow: number;
  #hashHigh: number;
  /** Packets are being read: the acknowledgement comes behind the last one. */
  #reading: boolean;
  readonly #standingPacket: Uint8Array;
  /** Somebody wants to hear of events. */
  #listening: boolean;
  #eventsLost: number;
  #stopping: boolean;

  /** Throws with the reason when memory, logs or the loop cannot be had. */
  constructor(start: Start) {
    const { settings, statsBytes } = start.hello;
    const memory = new Memory(arenaBytesFor(settings) + CHANNEL_ARENA_BYTES);
    this.#start = start;
    this.#arena = memory.bytes;
    this.#startedMs = performance.now();
    this.#drainEndsMs = -1;
    this.#sandbox = "";
    this.#orphaned = null;
    this.#applied = -1;
    this.#refusals = NO_REFUSALS;
    this.#hashLow = 0;
    this.#hashHigh = 0;
    this.#reading = false;
    this.#listening = false;
    this.#eventsLost = 0;
    this.#standingPacket = new Uint8Array(STANDING_PACKET_BYTES);
    this.#stopping = false;
    this.#loop = new EventLoop(memory);
    const owner = { workerId: settings.workerId, pid: process.pid, nowUs: readClock() };
    this.#statsPage = mapShared(start.statsFd, statsBytes);
    this.#stats = new Stats(this.#statsPage, owner);
    this.#stats.detail = settings.metricDetail;
    this.#logs = openLogs(settings, memory.bytes, start.logFiles, {
      ask: (target) => this.#channel.send(encodeTextPacket(PACKET.LOG_SOCKET, 0, target)),
      nowMs: () => clock[0] / 1000,
      lines: true,
    });
    this.#proxy = new ProxyServer({
      loop: this.#loop,
      memory,
      settings,
      logger: this.#logs.logger,
      accessLog: this.#logs.accessLog,
      stats: this.#stats,
      ulids: new UlidSource(randomFillSync),
      random: Math.random,
      onEvent: (event) => this.#report(event),
    });
    this.#replica = new Replica(this.#proxy);
    this.#changes = new ChangeQueue(this.#loop, this.#replica, {
      onFollowed: (revision, refusals) => this.#onFollowed(revision, refusals),
    });
    this.#channel = new WorkerChannel(this.#loop, start.channelFd, {
      onPacket: (kind, number, start, end, fds) => this.#onPacket(kind, number, start, end, fds),
      onPause: () => this.#acknowledge(),
      onMainGone: () => this.#onMainGone(),
    });
    this.#door = this.#makeDoor(start);
  }

  /** Replays the state, starts the loop, tells main. */
  run(): void {
    const { listen, stateFd, hello, revision } = this.#start;
    process.on("SIGTERM", () => this.#softStop());
    process.on("uncaughtException", (error) => this.#onPanic(error));
    for (const { address, fd } of listen) this.#replica.hold(address, fd);
    const refusals = this.#replica.replay(new Uint8Array(mapShared(stateFd, hello.stateBytes)));
    close(stateFd);
    this.#stats.freeLeftovers();
    const memory = this.#guardMemory();
    this.#closeSandbox();
    const { values } = this.#stats;
    this.#loop.onTurn = (us) => record(values, TIME_EVENT_LOOP, us | 0);
    new Ticker(this.#loop, this.#stats, this.#logs, memory).start();
    this.#loop.start();
    this.#hashLow = this.#replica.mirror.hashLow;
    this.#hashHigh = this.#replica.mirror.hashHigh;
    this.#standing(PACKET.READY, revision, refusals);
  }

  #guardMemory(): MemoryGuard {
    const resident = new ResidentMemory();
    return new MemoryGuard({
      residentMax: this.#start.hello.settings.memoryLimit,
      resident: () => resident.read(),
      heap: () => {
        const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
        return { used, limit };
      },
      logger: this.#logs.logger,
      onShort: (short) => this.#proxy.setMemoryShort(short),
    });
  }

  // Everything is loaded and open by now, and no byte of a peer has been read.
  #closeSandbox(): void {
    // Compiled code of the modules just loaded: the next worker starts faster. It is a file, so now or never.
    flushCompileCache();
    openLazily();
    const { sandbox } = this.#start.hello.settings;
    const obstacle = enterSandbox(sandbox);
    if (obstacle !== null && sandbox === "required") throw new Error(`no sandbox: ${obstacle}`);
    if (obstacle !== null && sandbox !== "off") this.#logs.logger.warn("sandbox", `not closed: ${obstacle}`);
    this.#sandbox = obstacle === null ? "on" : `off: ${obstacle}`;
    this.#channel.send(encodeTextPacket(PACKET.SANDBOX, 0, obstacle ?? ""));
  }

  #onPacket(kind: number, number: number, start: number, end: number, fds: readonly number[]): void {
    this.#reading = true;
    if (kind === PACKET.CHANGES) {
      this.#change(start, end, number, fds);
      return;
    }
    const body = this.#arena.subarray(start, end);
    switch (kind) {
      case PACKET.LISTEN:
        this.#listen(body, fds);
        return;
      case PACKET.JOURNAL:
        if (this.#door === null) closeAll(fds);
        else this.#door.journal = fds[0] ?? -1;
        return;
      case PACKET.LOG_FILES:
        this.#logs.adopt(pairFiles(body, fds));
        return;
      case PACKET.UNLISTEN: {
        const listen = decodeJson<Listen>(body);
        for (const address of listen?.addresses ?? []) this.#replica.giveBack(address, listen?.lentBy ?? -1);
        break;
      }
      case PACKET.PING:
        this.#standing(PACKET.PONG, number, NO_REFUSALS);
        break;
      case PACKET.QUERY_HASHES:
        this.#sendAll(encodeHashes(number, this.#replica.hashes(decodeJson<HashQuery>(body)?.clusterIds ?? null)));
        break;
      case PACKET.QUERY_HEALTH: {
        const health = this.#proxy.backendHealth(decodeJson<HealthQuery>(body)?.clusterId ?? null);
        this.#sendAll(encodeList(PACKET.HEALTH, number, health));
        break;
      }
      case PACKET.QUERY_CERTIFICATES: {
        const query = decodeJson<CertificateQuery>(body) ?? { domain: null, fingerprint: null };
        this.#sendAll(encodeList(PACKET.CERTIFICATES, number, this.#proxy.certificates(query)));
        break;
      }
      case PACKET.EVENTS:
        this.#listening = number === 1;
        break;
      case PACKET.METRICS:
        this.#orderMetrics(number, decodeJson<MetricsOrder>(body));
        break;
      case PACKET.TICKET_KEYS:
        if (!takeTicketKeys(body)) this.#logs.logger.error("tls", "main sent broken ticket keys: the old ones stay");
        break;
      case PACKET.MAX_CONNECTIONS_PER_IP:
        this.#proxy.setMaxConnectionsPerIp(number);
        break;
      case PACKET.LOGGING: {
        const problem = this.#logs.logger.setDirectives(decodeText(body));
        if (problem !== null) this.#logs.logger.warn("log", problem);
        break;
      }
      case PACKET.SOFT_STOP:
        this.#softStop();
        break;
      case PACKET.DRAIN:
        this.#drain(number);
        break;
      case PACKET.HARD_STOP:
        this.#proxy.hardStop();
        this.#exit(0);
    }
    closeAll(fds);
  }

  #orderMetrics(number: number, order: MetricsOrder | null): void {
    if (order === null) return;
    this.#stats.detail = order.detail;
    const done = (): void => this.#channel.send(encodePacket(PACKET.METRICS_DONE, number));
    if (order.clear) inTurns(clearCounters(this.#statsPage), ROWS_PER_TURN, done);
    else done();
  }

  #listen(body: Uint8Array, fds: readonly number[]): void {
    const lentBy = decodeJson<Listen>(body)?.lentBy ?? null;
    for (const { address, fd } of pairSockets(body, fds)) {
      if (lentBy === null) this.#replica.hold(address, fd);
      else this.#replica.borrow(address, fd, lentBy);
    }
  }

  /** Follows flat blocks: they lie in the packet, or in the memfd that came with an empty one. */
  #change(start: number, end: number, revision: number, fds: readonly number[]): void {
    if (fds.length !== 1 || end > start) {
      if (fds.length > 0) closeAll(fds);
      this.#changes.take(this.#arena, start, end, revision, false);
      return;
    }
    const size = fdSize(fds[0]);
    this.#changes.take(new Uint8Array(mapShared(fds[0], size)), 0, size, revision, true);
    close(fds[0]);
  }

  // What is in force is acknowledged with the hash of that moment: by the end of the turn another set may be under way.
  #onFollowed(revision: number, refusals: readonly Refusal[]): void {
    const { hashLow, hashHigh } = this.#replica.mirror;
    this.#applied = revision;
    this.#hashLow = hashLow;
    this.#hashHigh = hashHigh;
    if (refusals.length > 0) this.#refusals = [...this.#refusals, ...refusals];
    if (!this.#reading) this.#acknowledge();
  }

  // One acknowledgement for all changes that came at once.
  #acknowledge(): void {
    this.#reading = false;
    if (this.#applied < 0) return;
    this.#standing(PACKET.ACK, this.#applied, this.#refusals);
    this.#applied = -1;
    if (this.#refusals.length > 0) this.#refusals = NO_REFUSALS;
  }

  #standing(kind: number, number: number, refusals: readonly Refusal[]): void {
    const { sessions } = this.#proxy;
    const hashLow = this.#hashLow;
    const hashHigh = this.#hashHigh;
    if (refusals.length > 0) {
      this.#channel.send(encodeStanding(kind, number, { hashLow, hashHigh, sessions, refusals }));
      return;
    }
    fillStanding(this.#standingPacket, kind, number, hashLow, hashHigh, sessions);
    this.#channel.send(this.#standingPacket);
  }

  // One packet per turn: traffic has its turn between them.
  #sendAll(packets: Generator<Uint8Array>): void {
    const sendNext = (): void => {
      const { value, done } = packets.next();
      if (done === true) return;
      this.#channel.send(value);
      setImmediate(sendNext);
    };
    sendNext();
  }

  // Events must not push acknowledgements out of what waits for main; a storm of them is cut, and the log says so.
  #report(event: WorkerEvent): void {
    if (!this.#listening) return;
    if (this.#channel.waiting >= EVENTS_WAITING_MAX) {
      if (this.#eventsLost === 0) this.#logs.logger.warn("worker", "main does not take events as fast as they come");
      this.#eventsLost += 1;
      return;
    }
    if (this.#eventsLost > 0) this.#logs.logger.warn("worker", `${this.#eventsLost} events were not reported`);
    this.#eventsLost = 0;
    this.#channel.send(encodeJsonPacket(PACKET.EVENT, 0, event));
  }

  /** A successor accepts on the same sockets: nobody who is here is sent away (decisions 28). */
  #drain(timeoutSeconds: number): void {
    if (this.#stopping || this.#drainEndsMs >= 0) return;
    this.#drainEndsMs = timeoutSeconds > 0 ? performance.now() + timeoutSeconds * 1000 : Number.POSITIVE_INFINITY;
    const limit = timeoutSeconds === 0 ? "" : `, at the latest in ${timeoutSeconds} s`;
    this.#logs.logger.info("worker", `a successor serves: finishing ${this.#proxy.sessions} connections${limit}`);
    this.#replica.leave();
    this.#proxy.leave(() => this.#finish());
    if (timeoutSeconds > 0) setTimeout(() => this.#cut(), Math.min(timeoutSeconds * 1000, TIMER_MAX_MS)).unref();
  }

  #cut(): void {
    this.#logs.logger.warn("worker", `drain_timeout: ${this.#proxy.sessions} connections are cut`);
    this.#proxy.hardStop();
    this.#finish();
  }

  #softStop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#logs.logger.info("worker", "stopping: no new connections, finishing what is in flight");
    this.#proxy.softStop(() => this.#finish());
  }

  #finish(): void {
    this.#channel.send(encodePacket(PACKET.DRAINED, 0));
    let waiting = this.#logs.sinks.length;
    const done = (): void => {
      waiting -= 1;
      if (waiting === 0) this.#exit(0);
    };
    // A target that does not take them must not keep the process.
    setTimeout(() => this.#exit(0), DRAIN_LOGS_MS);
    for (const sink of this.#logs.sinks) sink.drain(done);
  }

  #exit(code: number): never {
    for (const sink of this.#logs.sinks) sink.flushSync();
    process.exit(code);
  }

  #onMainGone(): void {
    const text = "main is gone; serving on with the present state until another one comes, or SIGTERM";
    if (!this.#stopping) this.#logs.logger.warn("worker", text);
    this.#listening = false;
    this.#door?.open();
    const limit = this.#start.hello.settings.orphanTimeout ?? 0;
    if (limit > 0) this.#orphaned = setTimeout(() => this.#giveUp(limit), Math.min(limit * 1000, TIMER_MAX_MS)).unref();
    // Nobody is left who would end a lease.
    this.#stats.detail = Math.min(this.#stats.detail, this.#start.hello.settings.metricDetail);
  }

  #giveUp(seconds: number): void {
    this.#logs.logger.error("worker", `orphan_timeout: no main for ${seconds} s`);
    this.#softStop();
  }

  #makeDoor({ door, statsFd, journalFd }: Start): Door | null {
    if (door === null) return null;
    return new Door(
      this.#loop,
      door,
      { statsFd, journalFd },
      {
        isSettled: () => this.#changes.isIdle,
        describe: () => this.#describe(),
        sockets: () => (this.#isLeaving ? [] : this.#replica.sockets),
        borrowed: () => (this.#isLeaving ? [] : this.#replica.borrowed),
        onAdopted: (fd) => {
          if (this.#orphaned !== null) clearTimeout(this.#orphaned);
          this.#logs.logger.info("worker", "another main is there");
          this.#channel.reopen(fd);
        },
        onLeave: (timeoutSeconds) => this.#drain(timeoutSeconds),
        warn: (text) => this.#logs.logger.warn("worker", text),
      },
    );
  }

  get #isLeaving(): boolean {
    return this.#stopping || this.#drainEndsMs >= 0;
  }

  #describe() {
    const nowMs = performance.now();
    const drains = Number.isFinite(this.#drainEndsMs) && this.#drainEndsMs >= 0;
    return {
      id: this.#start.hello.settings.workerId,
      pid: process.pid,
      livedMs: nowMs - this.#startedMs,
      leaving: this.#isLeaving,
      drainLeftMs: drains ? Math.max(0, this.#drainEndsMs - nowMs) : null,
      sandbox: this.#sandbox,
      hashLow: this.#hashLow,
      hashHigh: this.#hashHigh,
    };
  }

  // A bug: what the worker knows may be wrong, so it ends here and main starts another one with the same sockets.
  #onPanic(error: Error): void {
    this.#stats.values[METRIC_PANIC] += 1;
    this.#logs.logger.error("worker", `panic: ${error.stack ?? error.message}`);
    this.#exit(70);
  }
}

/** What is done at first use and cannot be done later: read time zone and authorities, start the threads that write logs. */
function openLazily(): void {
  systemAuthorities();
  new Date().getTimezoneOffset();
  fstat(1, () => undefined);
}

/** Runs a generator to its end, so many steps a turn of the loop. */
function inTurns(steps: Generator<void, void>, count: number, done: () => void): void {
  for (let i = 0; i < count; i++) {
    if (steps.next().done === true) {
      done();
      return;
    }
  }
  setImmediate(() => inTurns(steps, count, done));
}
