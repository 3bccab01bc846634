// A main that starts and finds workers of an earlier one, which was killed (decisions 25): knocks at their doors, takes
// over what they hold, and knows from the journal what main knew. Nothing that a worker says is taken on trust which
// could hurt somebody else: its pid must be that of a worker of this command socket, and the journal one that it
// could not write.

import { unlinkSync } from "node:fs";
import {
  ADOPTION,
  type Adoptable,
  decodeJson,
  decodePacket,
  encodePacket,
  type Listen,
  PACKET_BYTES_MAX,
  PACKET_FDS_MAX,
  WORKER_PROTOCOL_VERSION,
} from "../command/worker-protocol.ts";
import { EAGAIN, ECONNREFUSED } from "../os/errno.ts";
import { closeAll, recvFds, sendFds } from "../os/fdpass.ts";
import { connectUnix, socketpair } from "../os/listeners.ts";
import { killPid, pidfdOpen } from "../os/process.ts";
import { close, UNIX_SEQPACKET } from "../os/sockets.ts";
import { unwatchFd, watchFd } from "../os/watcher.ts";
import { findDoors } from "./doors.ts";
import { type JournalFacts, readFacts } from "./journal.ts";
import { findOrphans, isWorker } from "./orphans.ts";

const SIGKILL = 9;
const SIGTERM = 15;
const SHUT = "it shut its door";

/** A worker that let this main in. */
export interface FoundWorker extends Adoptable {
  readonly pidfd: number;
  readonly pageFd: number;
  /** Its new channel; -1: it speaks another version of the protocol. */
  readonly channelFd: number;
  /** The connection through its door. */
  readonly doorFd: number;
}

/** A listening socket that a worker holds. */
export interface FoundSocket {
  readonly address: Listen["addresses"][number];
  readonly slot: number;
  readonly fd: number;
  /** The worker of another slot that accepts on it; null: its own. */
  readonly borrower: number | null;
}

/** Everything that was found. */
export interface Found {
  readonly workers: readonly FoundWorker[];
  readonly sockets: readonly FoundSocket[];
  /** The newest journal; -1: none. */
  readonly journalFd: number;
  /** What is wrong with those that could not be taken over, for the log. */
  readonly problems: readonly string[];
}

/** Knocks at every door; null: nobody is there. Workers that do not answer in time hang, and are killed. */
export async function findWorkers(commandSocket: string, timeoutMs: number): Promise<Found | null> {
  const visits = [...findDoors(commandSocket)].map(([id, path]) => new Visit(id, path, commandSocket));
  const outcomes = await Promise.all(visits.map((visit) => visit.go(timeoutMs)));
  const present = visits.filter((_visit, i) => outcomes[i] !== "nobody");
  if (present.length === 0) return null;
  const problems: string[] = [];
  const workers: FoundWorker[] = [];
  const sockets: FoundSocket[] = [];
  let newest: { readonly fd: number; readonly facts: JournalFacts } | null = null;
  for (const [i, visit] of visits.entries()) {
    const outcome = outcomes[i] as string | null;
    if (outcome === "nobody") continue;
    if (outcome !== null || visit.worker === null) {
      problems.push(`worker ${visit.id} cannot be adopted: ${outcome}`);
      continue;
    }
    workers.push(visit.worker);
    sockets.push(...visit.sockets);
    const facts = visit.journalFd < 0 ? null : readFacts(visit.journalFd);
    const isNewest = facts !== null && (newest === null || facts.generation > newest.facts.generation);
    if (isNewest && newest !== null) close(newest.fd);
    if (isNewest) newest = { fd: visit.journalFd, facts };
    else if (visit.journalFd >= 0) close(visit.journalFd);
  }
  return { workers, sockets, journalFd: newest?.fd ?? -1, problems };
}

/** One worker is visited. */
class Visit {
  readonly id: number;
  worker: FoundWorker | null;
  readonly sockets: FoundSocket[];
  journalFd: number;
  readonly #path: string;
  readonly #commandSocket: string;
  #doorFd: number;
  #channelFd: number;
  #onEnd: (problem: string | null) => void;

  constructor(id: number, path: string, commandSocket: string) {
    this.id = id;
    this.worker = null;
    this.sockets = [];
    this.journalFd = -1;
    this.#path = path;
    this.#commandSocket = commandSocket;
    this.#doorFd = -1;
    this.#channelFd = -1;
    this.#onEnd = () => undefined;
  }

  /** Resolves with null, `nobody` or why it did not let main in. */
  async go(timeoutMs: number): Promise<string | null> {
    this.#doorFd = connectUnix(this.#path, UNIX_SEQPACKET);
    if (this.#doorFd < 0) {
      if (this.#doorFd === -ECONNREFUSED) unlinkSync(this.#path);
      return "nobody";
    }
    const [mine, theirs] = socketpair(UNIX_SEQPACKET);
    this.#channelFd = mine;
    sendFds(this.#doorFd, encodePacket(ADOPTION.ASK, 0), [theirs]);
    close(theirs);
    const problem = await new Promise<string | null>((resolve) => {
      const timer = setTimeout(() => this.#onEnd(`it does not answer for ${timeoutMs / 1000} s`), timeoutMs);
      this.#onEnd = (reason) => {
        clearTimeout(timer);
        unwatchFd(this.#doorFd);
        this.#onEnd = () => undefined;
        resolve(reason);
      };
      watchFd(this.#doorFd, () => this.#hear());
    });
    if (problem !== null) this.#giveUp(problem !== SHUT);
    return problem;
  }

  #hear(): void {
    for (;;) {
      const received = recvFds(this.#doorFd, PACKET_BYTES_MAX, PACKET_FDS_MAX);
      if (received === -EAGAIN) return;
      const packet = typeof received === "number" ? null : decodePacket(received.data);
      if (typeof received === "number" || packet === null) {
        this.#onEnd(SHUT);
        return;
      }
      const { fds } = received;
      if (packet.kind === ADOPTION.WORKER) this.#meet(decodeJson<Adoptable>(packet.body), packet.version, fds);
      else if (packet.kind === ADOPTION.SOCKETS) this.#collect(decodeJson<Listen>(packet.body), fds);
      else closeAll(fds);
      if (packet.kind === ADOPTION.END) this.#onEnd(this.worker === null ? "it does not say who it is" : null);
      if (packet.kind === ADOPTION.END) return;
    }
  }

  #meet(told: Adoptable | null, version: number, fds: readonly number[]): void {
    const pidfd = told?.id === this.id && isWorker(told.pid, told.id, this.#commandSocket) ? pidfdOpen(told.pid) : -1;
    if (this.worker !== null || told === null || pidfd < 0 || fds.length < 1) {
      closeAll(fds);
      return;
    }
    const isOurs = version === WORKER_PROTOCOL_VERSION;
    if (!isOurs) close(this.#channelFd);
    const channelFd = isOurs ? this.#channelFd : -1;
    this.worker = { ...told, pidfd, pageFd: fds[0] as number, channelFd, doorFd: this.#doorFd };
    this.journalFd = fds[1] ?? -1;
  }

  #collect(listen: Listen | null, fds: readonly number[]): void {
    const { worker } = this;
    if (listen === null || worker === null || listen.addresses.length !== fds.length) {
      closeAll(fds);
      return;
    }
    const { lentBy } = listen;
    for (const [i, address] of listen.addresses.entries()) {
      const borrower = lentBy === null ? null : this.id;
      this.sockets.push({ address, slot: lentBy ?? worker.slot, fd: fds[i] as number, borrower });
    }
  }

  #giveUp(isHung: boolean): void {
    close(this.#doorFd);
    close(this.#channelFd);
    if (this.journalFd >= 0) close(this.journalFd);
    closeAll(this.sockets.map(({ fd }) => fd));
    if (this.worker !== null) closeAll([this.worker.pidfd, this.worker.pageFd]);
    for (const pid of findOrphans(this.#commandSocket)) {
      const pidfd = isWorker(pid, this.id, this.#commandSocket) ? pidfdOpen(pid) : -1;
      if (pidfd < 0) continue;
      killPid(pidfd, isHung ? SIGKILL : SIGTERM);
      close(pidfd);
    }
  }
}
