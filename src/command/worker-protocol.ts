// What main and a worker say to each other, on a SOCK_SEQPACKET pair: one packet is one message, descriptors travel with
// it (SCM_RIGHTS), so neither side ever sees half a message. This is ours to shape (decisions 1), not Sōzu's channel.
// Every packet starts with 8 bytes: kind u8, reserved u8, protocol version u16, number u32 (little-endian). The version
// stands in each packet, so the first one already tells whether both sides can talk (design section 5).
// Decoding is for bytes of our own other half, yet never throws: null is "not a packet of this protocol".

import type { SocketAddress, WorkerSettings } from "./objects.ts";

/** Raised when a packet changes its meaning. Main replaces workers that speak another version only by `upgrade`. */
export const WORKER_PROTOCOL_VERSION = 1;

/** Bytes before the body of a packet. */
export const PACKET_HEADER_BYTES = 8;
/** Largest packet, header included: well below the smallest default send buffer. Larger bodies go in a memfd. */
export const PACKET_BYTES_MAX = 65_536;
/** Descriptors in one packet. */
export const PACKET_FDS_MAX = 100;

/** Kinds of packets. Below 64 main speaks, from 64 the worker. */
export const PACKET = {
  /** Body: JSON of `Hello`. Descriptors: the state memfd, the stats memfd. Number: the revision of the state. */
  HELLO: 1,
  /** Body: JSON of `Listen`; as many descriptors as addresses. Before RUN, and before the change that activates. */
  LISTEN: 2,
  /** Everything was sent: replay the state, activate, answer READY. */
  RUN: 3,
  /** Body: flat changes; number: the revision after the last one. An empty body: the changes lie in a memfd. */
  CHANGES: 4,
  /** Stop accepting, close what is idle, finish what is active, answer DRAINED and exit. */
  SOFT_STOP: 5,
  /** Exit now. */
  HARD_STOP: 6,
  /** Answer PONG with the same number. */
  PING: 7,
  /** Body: log filter directives as text. */
  LOGGING: 8,
  /** Body: JSON of `Listen`: stop accepting on the sockets of a sibling (decisions 26). No descriptors. */
  UNLISTEN: 9,
  /** Body: JSON of `HashQuery`. Answered by HASHES packets with the same number. */
  QUERY_HASHES: 10,
  /** Number: connections of one source address to one cluster from now on, 0: any. */
  MAX_CONNECTIONS_PER_IP: 11,
  /** Body: JSON of `HealthQuery`. Answered by HEALTH packets with the same number. */
  QUERY_HEALTH: 12,
  /** Number 1: send EVENT packets; 0: nobody listens, as at the start. */
  EVENTS: 13,
  /** Body: JSON of `MetricsOrder`. Answered by METRICS_DONE with the same number. */
  METRICS: 14,
  /** A successor serves: stop accepting, finish politely within as many seconds (0: any), answer DRAINED and exit. */
  DRAIN: 20,
  /** Body: JSON of `LogFiles`; as many descriptors as targets. Before RUN, at a rotation, and for sockets. */
  LOG_FILES: 24,
  /** Body: keys of session tickets, newest first. Before RUN, and at each rotation. */
  TICKET_KEYS: 15,
  /** Body: JSON of `Place`. Descriptor: the listening socket on which a later main may adopt the worker. Before RUN. */
  DOOR: 17,
  /** Descriptor: the journal for a later main; it counts instead of an earlier one. */
  JOURNAL: 18,
  /** Body: JSON of `CertificateQuery`. Answered by CERTIFICATES packets with the same number. */
  QUERY_CERTIFICATES: 16,

  /** The state is in place and the listeners accept. Body: `Standing`. Number: the revision. */
  READY: 64,
  /** The worker cannot start. Body: the reason as text. It exits. */
  FAILED: 65,
  /** The batch was taken. Body: `Standing`. Number: the revision of the batch. */
  ACK: 66,
  /** Soft stop is finished; the worker exits. */
  DRAINED: 67,
  /** Body: `Standing`. Number: that of the PING. */
  PONG: 68,
  /** Body: some of the hashes that were asked for (`decodeHashes`). Number: that of the query. */
  HASHES: 69,
  /** Body: JSON of `WorkerEvent`. Sent when EVENTS asked for it, not while much waits for main. */
  EVENT: 70,
  /** Body: some of what is known of backends (`decodeList`). Number: that of the query. */
  HEALTH: 71,
  /** Before READY. Body: why the sandbox is not closed, as text; empty: it is. */
  SANDBOX: 72,
  /** What METRICS asked for is done. Number: that of the order. */
  METRICS_DONE: 73,
  /** Body: a log target whose socket is gone, or not there yet. Answered, if it can be connected, by LOG_FILES. */
  LOG_SOCKET: 80,
  /** Body: some of the `ServedCertificate`s that were asked for (`decodeList`). Number: that of the query. */
  CERTIFICATES: 74,
} as const;

/**
 * What a new main and a worker whose main is gone say on the connection through the worker's door (decisions 25). Any two
 * releases must understand each other here, whatever protocol they speak otherwise: these packets never change.
 */
export const ADOPTION = {
  /** Main asks. Descriptor: the worker's new channel, which it takes when the version in the header is its own. */
  ASK: 128,
  /** Body: JSON of `Adoptable`. Descriptors: the stats page and, if there is one, the journal. */
  WORKER: 129,
  /** Body: JSON of `Listen`, `lentBy` null: its own sockets, else borrowed ones. Descriptors: duplicates of them. */
  SOCKETS: 130,
  /** That was all. From now on it listens to the new channel, if both speak one version. */
  END: 131,
  /** Main asks a worker of another version to leave: successors accept on its sockets. Number: seconds it may take. */
  LEAVE: 132,
} as const;

/** Where a worker stands among its like: what a later main has to know of it. */
export interface Place {
  readonly slot: number;
  readonly release: { readonly node: string; readonly code: string };
}

/** Body of ADOPTION.WORKER. */
export interface Adoptable extends Place {
  readonly id: number;
  readonly pid: number;
  readonly livedMs: number;
  /** It accepts no more, and how long it may still take; null: for ever. */
  readonly leaving: boolean;
  readonly drainLeftMs: number | null;
  /** `on`, or `off: ` and why. */
  readonly sandbox: string;
  readonly hashLow: number;
  readonly hashHigh: number;
}

/** A decoded packet. `body` is a view of what was given to decodePacket. */
export interface Packet {
  readonly kind: number;
  readonly version: number;
  readonly number: number;
  readonly body: Uint8Array;
}

/** How a worker stands after a batch of changes. */
export interface Standing {
  /** Hash over its whole state (decisions 13). */
  readonly hashLow: number;
  readonly hashHigh: number;
  /** Open client connections. */
  readonly sessions: number;
  /** Changes of the batch that were refused; nothing of them was applied. */
  readonly refusals: readonly Refusal[];
}

/** One refused change: the revision it would have made, and why. */
export interface Refusal {
  readonly revision: number;
  readonly reason: string;
}

/** Body of HELLO. */
export interface Hello {
  readonly settings: WorkerSettings;
  /** Bytes of the flat state in the first descriptor. */
  readonly stateBytes: number;
  /** Bytes of the stats page in the second descriptor. */
  readonly statsBytes: number;
}

/** Body of LISTEN and UNLISTEN: the addresses of the descriptors, in their order. */
export interface Listen {
  readonly addresses: readonly SocketAddress[];
  /** The slot whose worker cannot accept now: its sockets are to be accepted on too. null: the worker's own slot. */
  readonly lentBy: number | null;
}

/** Body of LOG_FILES: the targets that main opened, in the order of the descriptors. */
export interface LogFiles {
  readonly targets: readonly string[];
}

/** Body of QUERY_HASHES. */
export interface HashQuery {
  /** The clusters whose hashes are wanted; null: all. */
  readonly clusterIds: readonly string[] | null;
}

/** Body of QUERY_HEALTH. */
export interface HealthQuery {
  /** null: all. */
  readonly clusterId: string | null;
}

/** Body of QUERY_CERTIFICATES. */
export interface CertificateQuery {
  /** What a client that asks for this name gets; null: all names. */
  readonly domain: string | null;
  /** Only this one; null: any. */
  readonly fingerprint: string | null;
}

/** A name of a listener and the certificate that is shown for it. */
export interface ServedCertificate {
  readonly address: SocketAddress;
  readonly domain: string;
  readonly fingerprint: string;
}

/** Body of METRICS. */
export interface MetricsOrder {
  /** What rows record from now on: 0 process, 2 cluster, 3 backend (spec 12.6). */
  readonly detail: number;
  /** All counters and times back to 0. */
  readonly clear: boolean;
}

/** Builds a packet; the body is copied. The caller keeps it within PACKET_BYTES_MAX. */
export function encodePacket(kind: number, number: number, body: Uint8Array = EMPTY): Uint8Array {
  const bytes = new Uint8Array(PACKET_HEADER_BYTES + body.length);
  writeHeader(bytes, kind, number);
  bytes.set(body, PACKET_HEADER_BYTES);
  return bytes;
}

/** Takes a packet apart; null when it is shorter than a header. */
export function decodePacket(bytes: Uint8Array): Packet | null {
  if (bytes.length < PACKET_HEADER_BYTES) return null;
  return {
    kind: bytes[0],
    version: bytes[2] | (bytes[3] << 8),
    number: readUint32(bytes, 4),
    body: bytes.subarray(PACKET_HEADER_BYTES),
  };
}

/** The number of the packet at `at`; its kind is the byte there, its body begins behind the header. */
export function readPacketNumber(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at + 4);
}

/** Builds a packet with a JSON body. */
export function encodeJsonPacket(kind: number, number: number, value: unknown): Uint8Array {
  return encodePacket(kind, number, encoder.encode(JSON.stringify(value)));
}

/** The JSON of a body, or null when it is none. The two ends are one release, so its shape is not checked again. */
export function decodeJson<T>(body: Uint8Array): T | null {
  try {
    return JSON.parse(decoder.decode(body)) as T;
  } catch {
    // Not ours, then; the caller treats it as a broken channel.
    return null;
  }
}

/** Builds a packet whose body is a Standing. Reasons are cut to 1,000 bytes, refusals to what one packet holds. */
export function encodeStanding(kind: number, number: number, standing: Standing): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = STANDING_BYTES;
  for (const refusal of standing.refusals) {
    const reason = encoder.encode(refusal.reason).subarray(0, REASON_BYTES_MAX);
    if (PACKET_HEADER_BYTES + size + 6 + reason.length > PACKET_BYTES_MAX) break;
    const part = new Uint8Array(6 + reason.length);
    writeUint32(part, 0, refusal.revision);
    part[4] = reason.length & 0xff;
    part[5] = reason.length >>> 8;
    part.set(reason, 6);
    parts.push(part);
    size += part.length;
  }
  const body = new Uint8Array(size);
  writeUint32(body, 0, standing.hashLow);
  writeUint32(body, 4, standing.hashHigh);
  writeUint32(body, 8, standing.sessions);
  writeUint32(body, 12, parts.length);
  let at = STANDING_BYTES;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return encodePacket(kind, number, body);
}

/** Bytes of a packet whose body is a Standing without refusals. */
export const STANDING_PACKET_BYTES = PACKET_HEADER_BYTES + 16;

/** The same as encodeStanding without refusals, into a packet of STANDING_PACKET_BYTES: one acknowledges each change. */
export function fillStanding(
  packet: Uint8Array,
  kind: number,
  number: number,
  hashLow: number,
  hashHigh: number,
  sessions: number,
): void {
  writeHeader(packet, kind, number);
  writeUint32(packet, PACKET_HEADER_BYTES, hashLow);
  writeUint32(packet, PACKET_HEADER_BYTES + 4, hashHigh);
  writeUint32(packet, PACKET_HEADER_BYTES + 8, sessions);
  writeUint32(packet, PACKET_HEADER_BYTES + 12, 0);
}

/** Takes a Standing apart; null when the body is none. */
export function decodeStanding(body: Uint8Array): Standing | null {
  if (body.length < STANDING_BYTES) return null;
  const count = readUint32(body, 12);
  const refusals: Refusal[] = [];
  let at = STANDING_BYTES;
  for (let i = 0; i < count; i++) {
    if (at + 6 > body.length) return null;
    const length = body[at + 4] | (body[at + 5] << 8);
    if (at + 6 + length > body.length) return null;
    refusals.push({ revision: readUint32(body, at), reason: decoder.decode(body.subarray(at + 6, at + 6 + length)) });
    at += 6 + length;
  }
  return {
    hashLow: readUint32(body, 0),
    hashHigh: readUint32(body, 4),
    sessions: readUint32(body, 8),
    refusals,
  };
}

/** The text of a body (FAILED, LOGGING). */
export function decodeText(body: Uint8Array): string {
  return decoder.decode(body);
}

/** Builds a packet with a text body, cut to what a packet holds. */
export function encodeTextPacket(kind: number, number: number, text: string): Uint8Array {
  return encodePacket(kind, number, encoder.encode(text).subarray(0, PACKET_BYTES_MAX - PACKET_HEADER_BYTES));
}

const STANDING_BYTES = 16;
const REASON_BYTES_MAX = 1000;
const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function writeHeader(packet: Uint8Array, kind: number, number: number): void {
  packet[0] = kind;
  packet[2] = WORKER_PROTOCOL_VERSION & 0xff;
  packet[3] = WORKER_PROTOCOL_VERSION >>> 8;
  writeUint32(packet, 4, number);
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
  bytes[at + 2] = (value >>> 16) & 0xff;
  bytes[at + 3] = value >>> 24;
}
