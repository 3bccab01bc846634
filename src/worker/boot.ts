// The start of a worker: signals, then the packets up to RUN (settings, state, listening sockets), then the worker itself.
// Until RUN there is no event loop, for its memory is sized by the settings; the channel is watched by Node's.

import type { SocketAddress } from "../command/objects.ts";
import {
  decodeJson,
  decodePacket,
  encodeTextPacket,
  type Hello,
  type Listen,
  type LogFiles,
  PACKET,
  PACKET_BYTES_MAX,
  PACKET_FDS_MAX,
  type Packet,
  type Place,
  WORKER_PROTOCOL_VERSION,
} from "../command/worker-protocol.ts";
import { EAGAIN } from "../os/errno.ts";
import { closeAll, recvFds, sendFds } from "../os/fdpass.ts";
import { unwatchFd, watchFd } from "../os/watcher.ts";
import { takeTicketKeys } from "./ticket-keys.ts";
import { Worker } from "./worker.ts";

/** Where main puts a worker's end of the channel. */
const CHANNEL_FD = 3;

/** Everything main sends before RUN. The descriptors belong to whoever holds this. */
export interface Start {
  readonly channelFd: number;
  readonly hello: Hello;
  readonly revision: number;
  readonly stateFd: number;
  readonly statsFd: number;
  /** Log files by target. */
  readonly logFiles: ReadonlyMap<string, number>;
  readonly listen: readonly { readonly address: SocketAddress; readonly fd: number }[];
  /** Where a later main may come in; null: nowhere. */
  readonly door: { readonly fd: number; readonly place: Place } | null;
  /** -1: there is none yet. */
  readonly journalFd: number;
}

/** Reads the start from the channel and runs the worker. Ends the process when main is gone or sends something else. */
export function boot(): void {
  // Ctrl-C reaches every process of the terminal: main decides what it means. A closed terminal ends nobody.
  process.on("SIGINT", ignore);
  process.on("SIGHUP", ignore);
  const listen: { address: SocketAddress; fd: number }[] = [];
  let logFiles: ReadonlyMap<string, number> = new Map();
  let hello: Hello | null = null;
  let door: Start["door"] = null;
  let journalFd = -1;
  let fds: number[] = [];
  const onPacket = (packet: Packet, received: number[]): void => {
    switch (packet.kind) {
      case PACKET.HELLO:
        hello = decodeJson<Hello>(packet.body);
        fds = received;
        if (hello === null || fds.length !== 2) abort("the first message of main is broken");
        return;
      case PACKET.LISTEN:
        listen.push(...pairSockets(packet.body, received));
        return;
      case PACKET.LOG_FILES:
        logFiles = pairFiles(packet.body, received);
        return;
      case PACKET.TICKET_KEYS:
        if (!takeTicketKeys(packet.body)) abort("main sent broken ticket keys");
        return;
      case PACKET.DOOR: {
        const place = decodeJson<Place>(packet.body);
        if (place === null || received.length !== 1) closeAll(received);
        else door = { fd: received[0] as number, place };
        return;
      }
      case PACKET.JOURNAL:
        closeAll(journalFd < 0 ? [] : [journalFd]);
        journalFd = received[0] ?? -1;
        return;
      case PACKET.RUN: {
        if (hello === null) abort("main sent no settings");
        unwatchFd(CHANNEL_FD);
        const [stateFd, statsFd] = fds;
        run({
          channelFd: CHANNEL_FD,
          hello,
          revision: packet.number,
          stateFd,
          statsFd,
          logFiles,
          listen,
          door,
          journalFd,
        });
        return;
      }
      case PACKET.SOFT_STOP:
      case PACKET.HARD_STOP:
        process.exit(0);
    }
  };
  watchFd(CHANNEL_FD, () => receive(onPacket));
}

/** Addresses and descriptors of a LISTEN packet with this body, in pairs; descriptors that have no address are closed. */
export function pairSockets(body: Uint8Array, fds: readonly number[]): { address: SocketAddress; fd: number }[] {
  const listen = decodeJson<Listen>(body);
  if (listen === null || listen.addresses.length !== fds.length) {
    closeAll(fds);
    return [];
  }
  return listen.addresses.map((address, i) => ({ address, fd: fds[i] }));
}

/** Targets and descriptors of a LOG_FILES packet with this body. */
export function pairFiles(body: Uint8Array, fds: readonly number[]): ReadonlyMap<string, number> {
  const targets = decodeJson<LogFiles>(body)?.targets ?? [];
  if (targets.length === fds.length) return new Map(targets.map((target, i) => [target, fds[i]]));
  closeAll(fds);
  return new Map();
}

// One packet per wake-up: the watch is level-triggered, and RUN hands the channel over.
function receive(onPacket: (packet: Packet, fds: number[]) => void): void {
  const received = recvFds(CHANNEL_FD, PACKET_BYTES_MAX, PACKET_FDS_MAX);
  if (received === -EAGAIN) return;
  if (typeof received === "number" || received.data.length === 0) process.exit(1);
  const packet = decodePacket(received.data);
  if (packet === null || packet.version !== WORKER_PROTOCOL_VERSION) {
    closeAll(received.fds);
    const spoken = packet === null ? "none" : packet.version;
    abort(`main speaks version ${spoken} of the worker protocol, this worker ${WORKER_PROTOCOL_VERSION}`);
  }
  onPacket(packet, received.fds);
}

function run(start: Start): void {
  try {
    new Worker(start).run();
  } catch (error) {
    abort(error instanceof Error ? error.message : String(error));
  }
}

function abort(reason: string): never {
  sendFds(CHANNEL_FD, encodeTextPacket(PACKET.FAILED, 0, reason), []);
  process.exit(1);
}

function ignore(): void {}
