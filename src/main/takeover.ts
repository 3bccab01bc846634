// Makes of the workers that were found (adopt.ts) and their journal what a main needs to go on, in the form in which a main
// that is upgraded leaves it (carry.ts). The settings are those the workers run with; where there is no journal, or it
// cannot be read, state and settings are the file's, and workers that differ are replaced.

import { formatAddress } from "../command/address.ts";
import { tablesOf } from "../command/diff.ts";
import { indexing, type ObjectIndex } from "../command/object-index.ts";
import type { SocketAddress } from "../command/objects.ts";
import type { ConfigState } from "../command/state.ts";
import { ADOPTION, encodePacket } from "../command/worker-protocol.ts";
import type { GlobalSettings } from "../config/settings.ts";
import { closeAll, sendFds } from "../os/fdpass.ts";
import { close } from "../os/sockets.ts";
import type { Found, FoundSocket, FoundWorker } from "./adopt.ts";
import { CARRY_HEADER, type CarriedSlot, type CarriedWorker, type Carry } from "./carry.ts";
import { type JournalContent, readJournal } from "./journal.ts";
import { ownRelease } from "./release.ts";
import { type ConfigSource, settingsThatDiffer } from "./reload.ts";
import { inSlices } from "./slices.ts";
import { WORKER } from "./worker-process.ts";

/** The sockets of one listener, by slot; -1: nobody has one. */
export interface AdoptedListener {
  readonly address: SocketAddress;
  readonly held: number[];
}

/** What is left to do once main goes on. */
export interface Adoption {
  /** Ids of workers whose state is not main's. */
  readonly outOfStep: readonly number[];
  readonly listeners: ReadonlyMap<string, AdoptedListener>;
  /** Connections to workers of another version: they are told to leave when successors serve. */
  readonly foreignFds: readonly number[];
  readonly problems: readonly string[];
}

/** What main was about to start with. */
export interface OwnStart {
  readonly settings: GlobalSettings;
  readonly source: ConfigSource;
  readonly state: ConfigState;
  readonly commandFd: number;
}

/** What a main goes on with. */
export interface Takeover {
  readonly carry: Carry;
  readonly state: ConfigState;
  readonly base: ObjectIndex;
  readonly adoption: Adoption;
}

/** Joins everything. Descriptors that are of no use are closed. */
export async function takeOver(found: Found, own: OwnStart): Promise<Takeover> {
  const problems = [...found.problems];
  const journal = read(found.journalFd, problems);
  const facts = journal?.facts ?? null;
  const settings = { ...(facts?.settings ?? own.settings), commandSocket: own.settings.commandSocket };
  if (facts === null) problems.push("no journal of the last main was found: the state is that of the file");
  const differing = facts === null ? [] : settingsThatDiffer(settings, own.settings);
  if (differing.length > 0) problems.push(`effective at the next start only: ${differing.join(", ")}`);
  const state = journal?.state ?? own.state;
  const base = journal?.base ?? (await inSlices(indexing(tablesOf(own.state))));
  const { hashLow, hashHigh } = state.mirror;
  const ours = found.workers.filter(({ channelFd }) => channelFd >= 0);
  const outOfStep = ours.filter((each) => each.hashLow !== hashLow || each.hashHigh !== hashHigh);
  const nextId = Math.max(facts?.nextId ?? 0, ...found.workers.map(({ id }) => id + 1));
  const slotCount = Math.max(settings.workerCount, ...ours.map(({ slot }) => slot + 1));
  const slots = Array.from({ length: slotCount }, (_, slot) => slotOf(slot, ours, found.sockets));
  const carry: Carry = {
    ...CARRY_HEADER,
    from: ownRelease(),
    settings,
    source: own.source,
    directives: facts?.directives ?? settings.logLevel,
    bootGeneration: (facts?.bootGeneration ?? 0) + 1,
    commandFd: own.commandFd,
    pidWritten: false,
    keptFds: [],
    // They go along as they are.
    state: { requests: "", revision: 0, hash: [0, 0], counts: [] },
    base: "",
    sockets: { listeners: [], inherited: [] },
    supervisor: {
      nextId,
      ticketKeys: facts?.ticketKeys ?? null,
      maxConnectionsPerIp: facts?.maxConnectionsPerIp ?? settings.maxConnectionsPerIp,
      // Nobody holds the leases any more; that nothing was to be recorded stays.
      metricDetail: facts?.metricDetail === 0 ? 0 : null,
      slots,
      workers: ours.map(workerOf),
    },
    clientsSoFar: facts?.clientsSoFar ?? 0,
    clients: [],
  };
  const foreign = found.workers.filter(({ channelFd }) => channelFd < 0);
  for (const { doorFd } of ours) close(doorFd);
  for (const { pageFd, pidfd } of foreign) closeAll([pageFd, pidfd]);
  const adoption = {
    outOfStep: outOfStep.filter(({ leaving }) => !leaving).map(({ id }) => id),
    listeners: listenersOf(found.sockets),
    foreignFds: foreign.map(({ doorFd }) => doorFd),
    problems,
  };
  return { carry, state, base, adoption };
}

/** Tells workers of another version that successors serve. */
export function dismissForeign(fds: readonly number[], timeoutSeconds: number): void {
  for (const fd of fds) {
    sendFds(fd, encodePacket(ADOPTION.LEAVE, timeoutSeconds), []);
    close(fd);
  }
}

function read(fd: number, problems: string[]): JournalContent | null {
  if (fd < 0) return null;
  try {
    const journal = readJournal(fd);
    if (journal.lost > 0) problems.push(`${journal.lost} changes of the journal could not be made once more`);
    return journal;
  } catch (error) {
    problems.push(`the journal of the last main is of no use: ${error instanceof Error ? error.message : error}`);
    return null;
  } finally {
    close(fd);
  }
}

/** The youngest that does not leave has the slot; the others leave. */
function slotOf(slot: number, workers: readonly FoundWorker[], sockets: readonly FoundSocket[]): CarriedSlot {
  const mine = workers.filter((worker) => worker.slot === slot).sort((a, b) => a.id - b.id);
  const present = mine.findLast(({ leaving }) => !leaving) ?? null;
  const borrower = sockets.find((each) => each.slot === slot && each.borrower !== null)?.borrower ?? null;
  return {
    pageFd: present?.pageFd ?? -1,
    release: present?.release ?? ownRelease(),
    worker: present?.id ?? null,
    leaving: mine.filter((worker) => worker !== present).map(({ id }) => [id, false]),
    lentTo: borrower,
    earlyDeaths: 0,
  };
}

function workerOf(found: FoundWorker): CarriedWorker {
  const { id, slot, pid, pidfd, channelFd, pageFd, livedMs, leaving, drainLeftMs, sandbox } = found;
  const state = leaving ? WORKER.STOPPING : WORKER.SERVING;
  const common = { id, slot, pid, pidfd, channelFd, pageFd, livedMs, drainLeftMs, sandbox, state };
  return { ...common, waiting: [], expected: leaving, stateBytes: 0 };
}

function listenersOf(sockets: readonly FoundSocket[]): Map<string, AdoptedListener> {
  const listeners = new Map<string, AdoptedListener>();
  for (const { address, slot, fd } of sockets) {
    const name = formatAddress(address);
    const listener = listeners.get(name) ?? { address, held: [] };
    listeners.set(name, listener);
    while (listener.held.length <= slot) listener.held.push(-1);
    // Both workers of an upgrade hold the sockets of their slot.
    if (listener.held[slot] === -1) listener.held[slot] = fd;
    else close(fd);
  }
  return listeners;
}
