// What one main hands to the next when it is upgraded in place: the state, the numbers that must not start again, and the
// descriptors that stay open over exec, by their numbers. A memfd holds it as JSON: the two mains are two releases, so
// it has a version, and a reader that does not know it says so before anything has changed (the rehearsal).

import { readSync, writeSync } from "node:fs";
import type { Request } from "../command/gen/sozu_pb.ts";
import { ObjectIndex } from "../command/object-index.ts";
import type { SocketAddress } from "../command/objects.ts";
import { ConfigState, type Origin } from "../command/state.ts";
import { WORKER_PROTOCOL_VERSION } from "../command/worker-protocol.ts";
import type { GlobalSettings } from "../config/settings.ts";
import type { AuditClient } from "../observe/audit.ts";
import { setCloexec } from "../os/process.ts";
import { fdSize, memfd } from "../os/shared.ts";
import type { CarriedLease } from "./metrics/detail.ts";
import { packItem, unpackItems } from "./packed-requests.ts";
import type { Release } from "./release.ts";
import type { ConfigSource } from "./reload.ts";
import type { CarriedTicketKeys } from "./ticket-keys.ts";

const CARRY_VERSION = 2;

/** A packet that its worker had not read. */
export interface CarriedPacket {
  readonly bytes: string;
  readonly fds: readonly number[];
  readonly closeAfter: boolean;
}

/** A worker that runs. Durations instead of times: clocks of two programs begin at different moments. */
export interface CarriedWorker {
  readonly id: number;
  readonly slot: number;
  readonly pid: number;
  readonly pidfd: number;
  readonly channelFd: number;
  readonly waiting: readonly CarriedPacket[];
  readonly pageFd: number;
  readonly state: number;
  readonly expected: boolean;
  readonly sandbox: string | null;
  readonly stateBytes: number;
  readonly livedMs: number;
  /** null: for ever. */
  readonly drainLeftMs: number | null;
}

/** A place. Workers are named by their ids. */
export interface CarriedSlot {
  /** -1: it gets a new one. */
  readonly pageFd: number;
  readonly release: Release;
  readonly worker: number | null;
  readonly leaving: readonly (readonly [id: number, kill: boolean])[];
  readonly lentTo: number | null;
  readonly earlyDeaths: number;
}

/** The supervisor. */
export interface CarriedSupervisor {
  readonly nextId: number;
  /** The page of what workers counted that are gone; -1, or none: nobody has gone. */
  readonly retiredFd?: number;
  /** null: new ones are made. */
  readonly ticketKeys: CarriedTicketKeys | null;
  readonly maxConnectionsPerIp: number;
  /** What rows of stats pages record; null, or none: what the settings say. */
  readonly metricDetail?: number | null;
  readonly slots: readonly CarriedSlot[];
  readonly workers: readonly CarriedWorker[];
}

/** A client of the command socket. */
export interface CarriedClient {
  readonly client: AuditClient;
  readonly fd: number;
  /** What it has sent of its next requests. */
  readonly pending: string;
  readonly subscribed: boolean;
  /** It asked for the upgrade and waits for its answer. */
  readonly asking: boolean;
}

/** The listeners' sockets by slot, and those that systemd opened. */
export interface CarriedSockets {
  readonly listeners: readonly {
    readonly address: SocketAddress;
    readonly fds: readonly number[];
    readonly inherited: boolean;
  }[];
  readonly inherited: readonly (readonly [address: string, fd: number])[];
}

/** The state, as the requests that make it. */
export interface CarriedState {
  readonly requests: string;
  readonly revision: number;
  readonly hash: readonly [low: number, high: number];
  readonly counts: readonly (readonly [string, number])[];
}

/** Everything. */
export interface Carry {
  readonly version: number;
  readonly workerProtocol: number;
  readonly from: Release;
  readonly settings: GlobalSettings;
  readonly source: ConfigSource;
  readonly directives: string;
  readonly bootGeneration: number;
  readonly commandFd: number;
  readonly pidWritten: boolean;
  /** Open for what is not main's business, such as the pipe that keeps a child. */
  readonly keptFds: readonly number[];
  /** The log files of the workers, in the order of their targets; missing: the last main did not have them. */
  readonly logFds?: readonly number[];
  readonly state: CarriedState;
  /** The objects of the file as it was last loaded. */
  readonly base: string;
  readonly sockets: CarriedSockets;
  readonly supervisor: CarriedSupervisor;
  /** Of metric detail. */
  readonly leases?: readonly CarriedLease[];
  readonly clientsSoFar: number;
  readonly clients: readonly CarriedClient[];
}

/** What identifies the writer. */
export const CARRY_HEADER = { version: CARRY_VERSION, workerProtocol: WORKER_PROTOCOL_VERSION } as const;

/** Puts a document into a memfd. A descriptor or -errno. */
export function writeCarry(carry: Carry): number {
  const bytes = Buffer.from(JSON.stringify(carry));
  const fd = memfd("sozu-upgrade", bytes.length);
  if (fd < 0) return fd;
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
  return fd;
}

/** Reads a document. @throws Error with the reason when this release cannot take it over. */
export function readCarry(fd: number): Carry {
  const bytes = readWhole(fd);
  const carry = JSON.parse(bytes.toString()) as Carry;
  if (carry.version !== CARRY_VERSION) {
    throw new Error(`the running main hands over version ${carry.version}, this release takes ${CARRY_VERSION}`);
  }
  if (carry.workerProtocol !== WORKER_PROTOCOL_VERSION) {
    const spoken = `the workers speak version ${carry.workerProtocol} of the protocol`;
    throw new Error(`${spoken}, this release ${WORKER_PROTOCOL_VERSION}: stop and start instead`);
  }
  return carry;
}

/** The bytes of a memfd from its start. */
export function readWhole(fd: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, fdSize(fd)));
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(fd, bytes, at, bytes.length - at, at);
    if (read === 0) break;
    at += read;
  }
  return bytes;
}

/** Every descriptor of a document. */
export function descriptorsOf(carry: Carry): number[] {
  const { supervisor } = carry;
  const fds = [carry.commandFd, ...carry.keptFds, ...(carry.logFds ?? []), ...carry.clients.map(({ fd }) => fd)];
  for (const { fds: each } of carry.sockets.listeners) fds.push(...each);
  for (const [, fd] of carry.sockets.inherited) fds.push(fd);
  for (const worker of supervisor.workers) {
    fds.push(worker.pidfd, worker.channelFd, worker.pageFd, ...worker.waiting.flatMap((packet) => packet.fds));
  }
  for (const slot of supervisor.slots) fds.push(slot.pageFd);
  fds.push(supervisor.retiredFd ?? -1);
  return [...new Set(fds)].filter((fd) => fd >= 0);
}

/** Lets the descriptors of a document live over exec, or not any more. */
export function keepOverExec(carry: Carry, keep: boolean): void {
  for (const fd of descriptorsOf(carry)) setCloexec(fd, !keep);
}

/** A state as a document has it. */
export function carryState(state: ConfigState): CarriedState {
  const { low, high } = state.hash();
  const counts = [...state.requestCounts];
  return { requests: pack(state.entries()), revision: state.revision, hash: [low, high], counts };
}

/** The state of a document. @throws Error when it is not the one that was put there. */
export function restoreState(carried: CarriedState): ConfigState {
  const state = build(carried.requests);
  const { low, high } = state.hash();
  if (low !== carried.hash[0] || high !== carried.hash[1]) {
    throw new Error("the state that this release makes of the running one differs from it");
  }
  state.revision = carried.revision;
  state.requestCounts.clear();
  for (const [name, count] of carried.counts) state.requestCounts.set(name, count);
  return state;
}

/** The objects of a file as a document has them: their hashes (object-index.ts). */
export function carryBase({ words }: ObjectIndex): string {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString("base64");
}

/** The other way. */
export function restoreBase(carried: string): ObjectIndex {
  const bytes = Buffer.from(carried, "base64");
  const words = new Int32Array(new SharedArrayBuffer(bytes.length));
  new Uint8Array(words.buffer).set(bytes);
  return new ObjectIndex(words);
}

function build(requests: string): ConfigState {
  const state = new ConfigState();
  for (const { request, origin } of unpackItems(Buffer.from(requests, "base64"))) {
    const applied = state.apply(request, origin);
    if (!applied.ok) throw new Error(`this release refuses a part of the running state: ${applied.error.message}`);
  }
  return state;
}

function pack(entries: Iterable<readonly [Request, Origin]>): string {
  return Buffer.concat(Array.from(entries, ([request, origin]) => packItem(request, origin))).toString("base64");
}
