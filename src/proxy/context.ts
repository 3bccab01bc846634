// What every connection of a worker shares: the loop, memory, limits and the places where facts are recorded.
//
// One object, made once at start. Scratch areas are used within one event and never across two; whatever must live longer
// is copied to a pooled buffer (body bytes, partial heads) or to a head slot (a request in flight).

import type { WorkerEvent, WorkerSettings } from "../command/objects.ts";
import { BufferPool } from "../loop/buffer-pool.ts";
import type { EventLoop } from "../loop/event-loop.ts";
import type { Memory } from "../loop/memory.ts";
import { SlotPool } from "../loop/slot-pool.ts";
import { AccessRecord, type AccessWriter } from "../observe/access-writer.ts";
import type { Logger } from "../observe/logger.ts";
import type { Stats } from "../observe/stats.ts";
import type { UlidSource } from "../observe/ulid.ts";
import { clock } from "../os/clock.ts";
import { REWRITTEN_BYTES, Rewritten } from "../routing/rewritten.ts";
import { ClientRecords } from "./client-records.ts";
import type { Connection } from "./connection.ts";
import { Fault } from "./fault.ts";
import { Gather } from "./gather.ts";
import { IpLimits } from "./ip-limits.ts";
import { OUTBOX_BUFFERS, Outboxes } from "./outbox.ts";
import { BackendTlsTable } from "./tls/backend-tls.ts";

/** Room beside the body in one read's output: an encoded response head's additions, chunk framing. */
const OUTPUT_MARGIN = 2048;
const GATHER_AREA_BYTES = 96 * 1024;
/** Encoded heads of requests in flight: this many bytes per connection allowed, at least one small slot each. */
const SLOT_BYTES_PER_CONNECTION = 2048;
const SLOT_BYTES_MIN = 4 * 1024 * 1024;
const SLOT_BYTES_MAX = 256 * 1024 * 1024;

/** What `new ProxyServer()` needs from the worker. */
export interface ProxyOptions {
  readonly loop: EventLoop;
  readonly memory: Memory;
  readonly settings: WorkerSettings;
  readonly logger: Logger;
  readonly accessLog: AccessWriter | null;
  readonly stats: Stats;
  readonly ulids: UlidSource;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Something happened that subscribers of events hear of (spec 7.6). Must not throw. */
  readonly onEvent: (event: WorkerEvent) => void;
}

/** Bytes of arena that a proxy with these settings allocates: the worker sizes its memory with it. */
export function arenaBytesFor(settings: WorkerSettings): number {
  return (
    // Two more than the pool's: what one read takes.
    BufferPool.bytesFor(settings.bufferSize, settings.maxBuffers + 2) +
    slotBytes(settings) +
    ClientRecords.bytesFor(settings.maxConnections) +
    2 * GATHER_AREA_BYTES +
    REWRITTEN_BYTES +
    64 * 1024
  );
}

function slotBytes(settings: WorkerSettings): number {
  return Math.min(SLOT_BYTES_MAX, Math.max(SLOT_BYTES_MIN, settings.maxConnections * SLOT_BYTES_PER_CONNECTION));
}

export class TrafficContext {
  readonly loop: EventLoop;
  readonly bytes: Uint8Array;
  readonly settings: WorkerSettings;
  readonly logger: Logger;
  readonly accessLog: AccessWriter | null;
  readonly accessRecord: AccessRecord;
  readonly stats: Stats;
  readonly ulids: UlidSource;
  readonly random: () => number;
  readonly onEvent: (event: WorkerEvent) => void;
  readonly buffers: BufferPool;
  readonly slots: SlotPool;
  readonly records: ClientRecords;
  /** Connections of one address to one cluster. */
  readonly ipLimits: IpLimits;
  readonly outboxes: Outboxes;
  /** TLS to backends. */
  readonly backendTls: BackendTlsTable;
  /** Collects what goes to a client. */
  readonly toFront: Gather;
  /** Collects what goes to a backend. */
  readonly toBack: Gather;
  /** The head that was refused in this event, for the answer. */
  readonly fault: Fault;
  /** Host and path of the request at hand as its route rewrites them. */
  readonly rewritten: Rewritten;
  /** Where reads land; shared by all connections, valid within one event. */
  readonly scratch: number;
  readonly scratchBytes: number;
  /** Input that a pooled buffer holds: its size rounded up to whole pages, as the pool lays them out. */
  readonly holdMax: number;
  /** Bytes of one read: its output always fits into an outbox. */
  readonly readMax: number;
  /** Room for one socket address, for connect. */
  readonly sockaddr: number;
  /** Connections that may not read before buffers are free. */
  readonly #waiting: Connection[];
  /** Descriptors that may be registered: with so many, no connection to a backend is opened (spec 13.1). */
  readonly slabCapacity: number;
  /** The event loop is so late that new requests are answered 503 at once. */
  overloaded: boolean;
  /** Soft stop: connections close after their current request. */
  closing: boolean;
  /** A successor accepts, or the proxy stops: every response is the last of its connection. */
  leaving: boolean;

  constructor(options: ProxyOptions) {
    const { memory, settings } = options;
    this.loop = options.loop;
    this.bytes = memory.bytes;
    this.settings = settings;
    this.logger = options.logger;
    this.accessLog = options.accessLog;
    this.accessRecord = new AccessRecord();
    this.stats = options.stats;
    this.ulids = options.ulids;
    this.random = options.random;
    this.onEvent = options.onEvent;
    this.buffers = new BufferPool(memory, settings.bufferSize, settings.minBuffers, settings.maxBuffers);
    this.slots = new SlotPool(memory, slotBytes(settings));
    this.records = new ClientRecords(memory, settings.maxConnections);
    this.ipLimits = new IpLimits(this.records, memory.bytes, settings.maxConnectionsPerIp);
    this.backendTls = new BackendTlsTable(options.logger);
    this.outboxes = new Outboxes(this.buffers, memory.bytes);
    const front = memory.allocate(GATHER_AREA_BYTES, 64);
    const back = memory.allocate(GATHER_AREA_BYTES, 64);
    this.toFront = new Gather(memory.bytes, front, front + GATHER_AREA_BYTES);
    this.toBack = new Gather(memory.bytes, back, back + GATHER_AREA_BYTES);
    this.fault = new Fault(memory.bytes);
    this.rewritten = new Rewritten(memory.bytes, memory.allocate(REWRITTEN_BYTES, 64));
    this.holdMax = this.buffers.stride;
    this.readMax = Math.max(settings.bufferSize, 2 * settings.bufferSize - OUTPUT_MARGIN);
    this.scratchBytes = Math.max(this.readMax, this.holdMax);
    this.scratch = memory.allocate(this.scratchBytes, 64);
    this.sockaddr = memory.allocate(128, 8);
    this.#waiting = [];
    this.slabCapacity = 10 + settings.slabEntriesPerConnection * settings.maxConnections;
    this.overloaded = false;
    this.closing = false;
    this.leaving = false;
    options.loop.onTurnEnd(() => this.#wakeWaiting());
  }

  /** CLOCK_MONOTONIC in microseconds as of the last poll or read. */
  get nowUs(): number {
    return this.loop.nowUs;
  }

  /** CLOCK_REALTIME in microseconds as of the last poll. */
  get realtimeUs(): number {
    return clock[1];
  }

  /** No buffer is free: new requests are refused (decisions 20). */
  get isOutOfBuffers(): boolean {
    return this.buffers.inUse >= this.settings.maxBuffers;
  }

  /** Connections in line for buffers, each once. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Asked before a read whose bytes go to a peer that may not take them: the rest must fit into buffers. False: the
   * connection is called again (`onReady(0)`) once buffers are free.
   */
  mayRead(connection: Connection): boolean {
    if (this.buffers.inUse + OUTBOX_BUFFERS <= this.settings.maxBuffers) return true;
    if (!connection.inLine) {
      connection.inLine = true;
      this.#waiting.push(connection);
    }
    return false;
  }

  #wakeWaiting(): void {
    let free = this.settings.maxBuffers - this.buffers.inUse;
    while (free >= OUTBOX_BUFFERS) {
      const connection = this.#waiting.shift();
      if (connection === undefined) return;
      connection.inLine = false;
      if (connection.fd === -1) continue;
      this.loop.runLater(connection);
      free -= OUTBOX_BUFFERS;
    }
  }
}
