// One worker process as main sees it: spawned with a channel at a fixed descriptor, watched through its pidfd, fed its
// start (settings, state, listening sockets) and then changes. Policy (when to start, replace, stop) is the supervisor's.

import { writeSync } from "node:fs";
import type { WorkerEvent, WorkerSettings } from "../command/objects.ts";
import {
  type CertificateQuery,
  decodeJson,
  decodeStanding,
  decodeText,
  encodeJsonPacket,
  encodePacket,
  encodeTextPacket,
  type HashQuery,
  type HealthQuery,
  type Hello,
  type Listen,
  type MetricsOrder,
  PACKET,
  PACKET_BYTES_MAX,
  PACKET_FDS_MAX,
  PACKET_HEADER_BYTES,
  type Packet,
  type Place,
  type Standing,
} from "../command/worker-protocol.ts";
import type { StatsReader } from "../observe/stats-reader.ts";
import { describeErrno } from "../os/errno.ts";
import { socketpair } from "../os/listeners.ts";
import { type ExitStatus, killPid, spawn, waitPid } from "../os/process.ts";
import { startFilter } from "../os/sandbox.ts";
import { memfd } from "../os/shared.ts";
import { close, UNIX_SEQPACKET } from "../os/sockets.ts";
import { unwatchFd, watchFd } from "../os/watcher.ts";
import type { CarriedWorker } from "./carry.ts";
import { Channel } from "./channel.ts";
import { openDoor } from "./doors.ts";
import type { LogFiles } from "./log-files.ts";
import { moduleOf, type Release } from "./release.ts";
import { Heart } from "./watchdog.ts";
import type { StatsPage } from "./worker-slot.ts";

/** The descriptor at which a worker finds its channel. */
const WORKER_CHANNEL_FD = 3;
const SIGKILL = 9;
/**
 * A request crosses many small functions: with larger budgets the compiler merges them. Measured by callgrind:
 * 23,800 user instructions per proxied request with the defaults, 22,200 with these.
 */
const INLINING = ["--max-inlined-bytecode-size=1000", "--max-inlined-bytecode-size-cumulative=4000"];
/** Between a broken channel and the end of its process. */
const EXIT_GRACE_MS = 100;

/** Where a worker stands in its life. Only ever grows. */
export const WORKER = {
  /** Replaying the state. */
  STARTING: 0,
  /** Accepting and acknowledging changes. */
  SERVING: 1,
  /** Told to stop; finishing what is in flight. */
  STOPPING: 2,
  /** Ended and reaped. */
  STOPPED: 3,
} as const;

/** What a worker tells its supervisor. */
export interface WorkerEvents {
  onReady(worker: WorkerProcess, revision: number, standing: Standing): void;
  onAck(worker: WorkerProcess, revision: number, standing: Standing): void;
  onPong(worker: WorkerProcess, number: number, standing: Standing): void;
  /** Part of the answer to queryHashes(); `body` is valid during the call. */
  onHashes(worker: WorkerProcess, number: number, body: Uint8Array): void;
  /** Part of the answer to queryHealth(). */
  onHealth(worker: WorkerProcess, number: number, body: Uint8Array): void;
  /** Part of the answer to queryCertificates(). */
  onCertificates(worker: WorkerProcess, number: number, body: Uint8Array): void;
  /** What orderMetrics() asked for is done. */
  onMetricsDone(worker: WorkerProcess, number: number): void;
  /** It needs a socket for a log target. */
  onLogSocket(worker: WorkerProcess, target: string): void;
  /** Something happened in it. */
  onEvent(worker: WorkerProcess, event: WorkerEvent): void;
  /** It cannot go on, by its own words or because its channel broke. It may still run. */
  onTrouble(worker: WorkerProcess, reason: string): void;
  onExit(worker: WorkerProcess, status: ExitStatus): void;
}

/** What a new worker gets. */
export interface WorkerStart {
  readonly id: number;
  readonly slot: number;
  readonly settings: WorkerSettings;
  readonly revision: number;
  /** The whole state, flat. */
  readonly state: Uint8Array;
  /** What it runs. */
  readonly release: Release;
  /** Its stats page; stays main's. */
  readonly page: StatsPage;
  readonly statsBytes: number;
  readonly listen: Listen;
  /** Descriptors of `listen.addresses`; stay main's. */
  readonly listenFds: readonly number[];
  readonly logFiles: LogFiles;
  /** Of session tickets, newest first. */
  readonly ticketKeys: Uint8Array;
  /** The journal for a later main; -1: there is none yet. */
  readonly journalFd: number;
  /** Shown in its command line, so that orphans can be told apart. */
  readonly commandSocket: string;
}

/** Which worker it is. */
interface Identity {
  readonly id: number;
  readonly slot: number;
  readonly stateBytes: number;
  readonly page: StatsPage;
}

/** A running worker. */
export class WorkerProcess {
  readonly id: number;
  readonly slot: number;
  readonly pid: number;
  /** `performance.now()`. */
  startedMs: number;
  /** How long main has watched it start. */
  startingMs: number;
  /** One of WORKER. */
  state: number;
  /** Whether its sandbox is closed: `on`, or `off: ` and why not; null: it has not said. */
  sandbox: string | null;
  /** Main ended it, so its death is no surprise. */
  expected: boolean;
  /** What it said, or was found, when it could not go on; "" until then. */
  trouble: string;
  /** Of the state it had to start from. */
  readonly stateBytes: number;
  /** What it counts. */
  readonly stats: StatsReader;
  readonly pageFd: number;
  readonly heart: Heart;
  /** When drain() gives it up, `performance.now()`; Infinity: never. */
  drainEndsMs: number;
  readonly #pidfd: number;
  readonly #channel: Channel;
  readonly #events: WorkerEvents;

  private constructor(start: Identity, pid: number, pidfd: number, channelFd: number, events: WorkerEvents) {
    this.id = start.id;
    this.slot = start.slot;
    this.pid = pid;
    this.startedMs = performance.now();
    this.startingMs = 0;
    this.state = WORKER.STARTING;
    this.sandbox = null;
    this.expected = false;
    this.trouble = "";
    this.stateBytes = start.stateBytes;
    this.stats = start.page.reader;
    this.heart = new Heart();
    this.pageFd = start.page.fd;
    this.drainEndsMs = Number.POSITIVE_INFINITY;
    this.#pidfd = pidfd;
    this.#events = events;
    this.#channel = new Channel(channelFd, {
      onPacket: (packet) => this.#onPacket(packet),
      onBroken: (reason) => this.#onBroken(reason),
    });
    watchFd(pidfd, () => this.#onExit());
  }

  /** Spawns a worker and sends it its start. Returns the reason when the process cannot be made. */
  static launch(start: WorkerStart, events: WorkerEvents): WorkerProcess | string {
    const state = memfd("sozu-state", start.state.length);
    if (state < 0) return `no memory file for the state: ${describeErrno(-state)}`;
    writeAll(state, start.state);
    const [mine, theirs] = socketpair(UNIX_SEQPACKET);
    const spawned = spawn({
      file: start.release.node,
      args: [start.release.node, ...workerArguments(start)],
      env: workerEnvironment(),
      fds: [[theirs, WORKER_CHANNEL_FD]],
      sandbox: startFilter(start.settings.sandbox),
    });
    close(theirs);
    if (typeof spawned === "number") {
      close(mine);
      close(state);
      return `cannot start a process: ${describeErrno(-spawned)}`;
    }
    const identity = { ...start, stateBytes: start.state.length };
    const worker = new WorkerProcess(identity, spawned.pid, spawned.pidfd, mine, events);
    const { settings, statsBytes, revision } = start;
    const hello: Hello = { settings, stateBytes: start.state.length, statsBytes };
    // The stats page stays open here: a duplicate travels, only the state is given away.
    worker.#channel.send(encodeJsonPacket(PACKET.HELLO, revision, hello), [state, start.page.fd]);
    close(state);
    worker.logFiles(start.logFiles);
    worker.listen(start.listen, start.listenFds);
    worker.setTicketKeys(start.ticketKeys);
    if (start.journalFd >= 0) worker.journal(start.journalFd);
    const door = openDoor(start.commandSocket, start.id);
    const place: Place = { slot: start.slot, release: start.release };
    if (door >= 0) worker.#channel.send(encodeJsonPacket(PACKET.DOOR, 0, place), [door], true);
    worker.#channel.send(encodePacket(PACKET.RUN, revision));
    return worker;
  }

  /** Hands over log files or sockets; it goes on with them instead of those that it had. */
  logFiles({ targets, fds }: Pick<LogFiles, "targets" | "fds">): void {
    if (fds.length > 0) this.#channel.send(encodeJsonPacket(PACKET.LOG_FILES, 0, { targets }), fds);
  }

  /** A worker of an earlier main. */
  static resume(carried: CarriedWorker, page: StatsPage, events: WorkerEvents): WorkerProcess {
    const worker = new WorkerProcess({ ...carried, page }, carried.pid, carried.pidfd, carried.channelFd, events);
    worker.startedMs -= carried.livedMs;
    worker.state = carried.state;
    worker.expected = carried.expected;
    worker.sandbox = carried.sandbox;
    if (carried.drainLeftMs !== null) worker.drainEndsMs = performance.now() + carried.drainLeftMs;
    for (const { bytes, fds, closeAfter } of carried.waiting) {
      worker.#channel.send(Buffer.from(bytes, "base64"), fds, closeAfter);
    }
    return worker;
  }

  /** The other way. */
  carry(): CarriedWorker {
    const { id, slot, pid, state, expected, sandbox, stateBytes, pageFd } = this;
    const nowMs = performance.now();
    const { fd, waiting } = this.#channel.carry();
    const drainLeftMs = Number.isFinite(this.drainEndsMs) ? this.drainEndsMs - nowMs : null;
    return {
      ...{ id, slot, pid, state, expected, sandbox, stateBytes, pageFd, waiting, drainLeftMs },
      pidfd: this.#pidfd,
      channelFd: fd,
      livedMs: nowMs - this.startedMs,
    };
  }

  /** Hands over listening sockets. */
  listen(listen: Listen, fds: readonly number[]): void {
    for (let at = 0; at < fds.length; at += PACKET_FDS_MAX) {
      const addresses = listen.addresses.slice(at, at + PACKET_FDS_MAX);
      const packet = encodeJsonPacket(PACKET.LISTEN, 0, { addresses, lentBy: listen.lentBy });
      this.#channel.send(packet, fds.slice(at, at + PACKET_FDS_MAX));
    }
  }

  /** Stops it from accepting on sockets of another slot. */
  unlisten(listen: Listen): void {
    this.#channel.send(encodeJsonPacket(PACKET.UNLISTEN, 0, listen));
  }

  /** Sends flat blocks; answered by an ACK with `revision`. */
  change(blocks: Uint8Array, revision: number): void {
    if (blocks.length <= PACKET_BYTES_MAX - PACKET_HEADER_BYTES) {
      this.#channel.send(encodePacket(PACKET.CHANGES, revision, blocks));
      return;
    }
    const file = memfd("sozu-changes", blocks.length);
    if (file < 0) {
      this.#onBroken(`no memory file for its changes: ${describeErrno(-file)}`);
      return;
    }
    writeAll(file, blocks);
    this.#channel.send(encodePacket(PACKET.CHANGES, revision), [file], true);
  }

  /** The journal that counts from now on. */
  journal(fd: number): void {
    this.#channel.send(encodePacket(PACKET.JOURNAL, 0), [fd]);
  }

  ping(number: number): void {
    this.#channel.send(encodePacket(PACKET.PING, number));
  }

  /** Asks for the hashes of these clusters (null: all); answered by onHashes. */
  queryHashes(number: number, clusterIds: readonly string[] | null): void {
    const query: HashQuery = { clusterIds };
    this.#channel.send(encodeJsonPacket(PACKET.QUERY_HASHES, number, query));
  }

  /** Asks for its certificates; answered by onCertificates. */
  queryCertificates(number: number, query: CertificateQuery): void {
    this.#channel.send(encodeJsonPacket(PACKET.QUERY_CERTIFICATES, number, query));
  }

  /** Asks what it knows of the backends of a cluster (null: of all); answered by onHealth. */
  queryHealth(number: number, clusterId: string | null): void {
    const query: HealthQuery = { clusterId };
    this.#channel.send(encodeJsonPacket(PACKET.QUERY_HEALTH, number, query));
  }

  /** Says what its stats page records, or clears it; answered by onMetricsDone. */
  orderMetrics(number: number, order: MetricsOrder): void {
    this.#channel.send(encodeJsonPacket(PACKET.METRICS, number, order));
  }

  /** Whether it is to report events; at first it does not. */
  reportEvents(wanted: boolean): void {
    this.#channel.send(encodePacket(PACKET.EVENTS, wanted ? 1 : 0));
  }

  /** The keys of session tickets, newest first. */
  setTicketKeys(keys: Uint8Array): void {
    this.#channel.send(encodePacket(PACKET.TICKET_KEYS, 0, keys));
  }

  setMaxConnectionsPerIp(limit: number): void {
    this.#channel.send(encodePacket(PACKET.MAX_CONNECTIONS_PER_IP, limit));
  }

  logging(directives: string): void {
    this.#channel.send(encodeTextPacket(PACKET.LOGGING, 0, directives));
  }

  /** Asks it to finish what is in flight and exit, or to exit at once. */
  stop(hard: boolean): void {
    this.expected = true;
    if (this.state < WORKER.STOPPING) this.state = WORKER.STOPPING;
    this.#channel.send(encodePacket(hard ? PACKET.HARD_STOP : PACKET.SOFT_STOP, 0));
  }

  /** A successor serves: it accepts no more and finishes politely, within `timeoutSeconds` (0: any time). */
  drain(timeoutSeconds: number): void {
    if (this.state >= WORKER.STOPPING) return;
    this.expected = true;
    this.state = WORKER.STOPPING;
    if (timeoutSeconds > 0) this.drainEndsMs = performance.now() + timeoutSeconds * 1000;
    this.#channel.send(encodePacket(PACKET.DRAIN, timeoutSeconds));
  }

  /** SIGKILL. `onExit` follows. What it has sent is heard first. */
  kill(): void {
    this.#channel.drain();
    this.expected = true;
    if (this.state < WORKER.STOPPING) this.state = WORKER.STOPPING;
    killPid(this.#pidfd, SIGKILL);
  }

  #onPacket(packet: Packet): void {
    if (packet.kind === PACKET.FAILED) {
      this.#events.onTrouble(this, decodeText(packet.body));
      return;
    }
    if (packet.kind === PACKET.DRAINED) return;
    if (packet.kind === PACKET.SANDBOX) {
      this.sandbox = packet.body.length === 0 ? "on" : `off: ${decodeText(packet.body)}`;
      return;
    }
    if (packet.kind === PACKET.HASHES) {
      this.#events.onHashes(this, packet.number, packet.body);
      return;
    }
    if (packet.kind === PACKET.CERTIFICATES) {
      this.#events.onCertificates(this, packet.number, packet.body);
      return;
    }
    if (packet.kind === PACKET.HEALTH) {
      this.#events.onHealth(this, packet.number, packet.body);
      return;
    }
    if (packet.kind === PACKET.LOG_SOCKET) {
      this.#events.onLogSocket(this, decodeText(packet.body));
      return;
    }
    if (packet.kind === PACKET.METRICS_DONE) {
      this.#events.onMetricsDone(this, packet.number);
      return;
    }
    if (packet.kind === PACKET.EVENT) {
      const event = decodeJson<WorkerEvent>(packet.body);
      if (event !== null) this.#events.onEvent(this, event);
      return;
    }
    const standing = decodeStanding(packet.body);
    if (standing === null) {
      this.#events.onTrouble(this, `it sent a broken packet of kind ${packet.kind}`);
    } else if (packet.kind === PACKET.READY) {
      if (this.state === WORKER.STARTING) this.state = WORKER.SERVING;
      this.#events.onReady(this, packet.number, standing);
    } else if (packet.kind === PACKET.ACK) {
      this.#events.onAck(this, packet.number, standing);
    } else if (packet.kind === PACKET.PONG) {
      this.#events.onPong(this, packet.number, standing);
    }
  }

  // A worker that dies breaks its channel before its pidfd is readable: then the exit tells all there is to say.
  #onBroken(reason: string): void {
    setTimeout(() => {
      if (this.state !== WORKER.STOPPED && !this.expected) this.#events.onTrouble(this, reason);
    }, EXIT_GRACE_MS);
  }

  #onExit(): void {
    const status = waitPid(this.#pidfd);
    if (status === null) return;
    this.#channel.drain();
    this.state = WORKER.STOPPED;
    unwatchFd(this.#pidfd);
    close(this.#pidfd);
    this.#channel.close();
    this.#events.onExit(this, status);
  }
}

function workerArguments(start: WorkerStart): string[] {
  const entry = moduleOf(start.release, "worker/main");
  const extra = (process.env["SOZU_WORKER_NODE_OPTIONS"] ?? "").split(" ").filter((option) => option !== "");
  const name = `--worker=${start.id}`;
  return ["--disable-sigusr1", ...INLINING, ...extra, entry, name, `--command-socket=${start.commandSocket}`];
}

// Nothing of Node's own settings reaches a worker: NODE_OPTIONS could open a debugger port (decisions 24). systemd is
// main's to talk to.
function workerEnvironment(): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith("NODE_") && !name.startsWith("WATCHDOG_") && name !== "NOTIFY_SOCKET") env[name] = value;
  }
  return env;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
}
