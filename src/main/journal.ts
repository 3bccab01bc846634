// What a main that takes over after a crash needs and the configuration file does not have (decisions 25): an append-only
// file in memory whose descriptor every worker holds, for reading only: a worker could not forge it. It begins with the
// whole state and goes on with each request as it was taken, so that nothing that was answered is lost with main. A record
// that was being written when main was killed is not there: its length reaches beyond the end of the file.

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { ObjectIndex } from "../command/object-index.ts";
import { ConfigState } from "../command/state.ts";
import type { GlobalSettings } from "../config/settings.ts";
import { describeErrno } from "../os/errno.ts";
import { fdSize, memfd } from "../os/shared.ts";
import { close } from "../os/sockets.ts";
import { readWhole, restoreBase } from "./carry.ts";
import { unpackItems } from "./packed-requests.ts";
import type { ConfigSource } from "./reload.ts";
import type { CarriedTicketKeys } from "./ticket-keys.ts";

/** Raised when a record changes its meaning. */
export const JOURNAL_VERSION = 1;
/** A journal that has grown by this and to twice its beginning is written anew. */
const GROWTH_MIN = 4 * 1024 * 1024;
/** u32 length of the body, u8 kind. */
const HEADER_BYTES = 5;
const KIND = { FACTS: 1, TAKEN: 2, UNDONE: 3, BASE: 4 } as const;
const FOR_READING = 0;
const ACCESS_MODE = 3;

/** What is told anew when it changes; the latest counts. */
export interface JournalFacts {
  readonly version: number;
  /** Of several journals the one with the highest is the present one. */
  readonly generation: number;
  readonly settings: GlobalSettings;
  readonly source: ConfigSource;
  readonly directives: string;
  readonly bootGeneration: number;
  readonly clientsSoFar: number;
  readonly nextId: number;
  readonly ticketKeys: CarriedTicketKeys;
  readonly maxConnectionsPerIp: number;
  readonly metricDetail: number | null;
  readonly revision: number;
  readonly counts: readonly (readonly [string, number])[];
}

/** The journal of a running main. */
export class Journal {
  /** For the workers; reads only. */
  readonly readFd: number;
  readonly generation: number;
  readonly #fd: number;
  #beginning: number;
  #size: number;

  /** @throws Error when there is no memory for it. */
  constructor(generation: number) {
    this.generation = generation;
    this.#fd = memfd("sozu-journal", 0);
    if (this.#fd < 0) throw new Error(`no memory file for the journal: ${describeErrno(-this.#fd)}`);
    // Opened anew, not duplicated: the workers' descriptors cannot write.
    this.readFd = openSync(`/proc/self/fd/${this.#fd}`, "r");
    this.#beginning = 0;
    this.#size = 0;
  }

  /** It has the whole state; what follows are changes. */
  begun(): void {
    this.#beginning = this.#size;
  }

  get isLong(): boolean {
    return this.#size - this.#beginning > Math.max(GROWTH_MIN, this.#beginning);
  }

  /** @throws Error of the system when there is no memory, as do the others. */
  note(facts: Partial<JournalFacts>): void {
    this.#append(KIND.FACTS, [Buffer.from(JSON.stringify(facts))]);
  }

  /** Requests that were taken as one change, which made this revision. */
  taken(items: readonly Uint8Array[], revision: number): void {
    this.#append(KIND.TAKEN, [wordOf(revision), ...items]);
  }

  /** The change that had made a revision was taken back. */
  undone(revision: number): void {
    this.#append(KIND.UNDONE, [wordOf(revision)]);
  }

  /** The objects of the file as it was last loaded. */
  base({ words }: ObjectIndex): void {
    this.#append(KIND.BASE, [new Uint8Array(words.buffer, words.byteOffset, words.byteLength)]);
  }

  close(): void {
    closeSync(this.readFd);
    close(this.#fd);
  }

  #append(kind: number, parts: readonly Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(length);
    header[4] = kind;
    const bytes = Buffer.concat([header, ...parts]);
    for (let at = 0; at < bytes.length; ) {
      const written = writeSync(this.#fd, bytes, at, bytes.length - at, this.#size);
      at += written;
      this.#size += written;
    }
  }
}

/** What a journal says. */
export interface JournalContent {
  readonly facts: JournalFacts;
  readonly state: ConfigState;
  /** null: main was killed before it knew. */
  readonly base: ObjectIndex | null;
  /** Requests that could not be taken once more. */
  readonly lost: number;
}

/** The facts alone, or null when the descriptor is none of a journal of this version that main made. */
export function readFacts(fd: number): JournalFacts | null {
  return isReadOnly(fd) && fdSize(fd) > 0 ? factsOf(readWhole(fd)) : null;
}

/** Everything. Only for a descriptor of which readFacts() knows something. */
export function readJournal(fd: number): JournalContent {
  const bytes = readWhole(fd);
  const facts = factsOf(bytes);
  if (facts === null) throw new Error("the journal of the last main cannot be read");
  const undone = new Set<number>();
  let base: ObjectIndex | null = null;
  let { revision } = facts;
  for (const { kind, start, end } of records(bytes)) {
    if (kind === KIND.UNDONE) undone.add(bytes.readUInt32LE(start));
    else if (kind === KIND.BASE) base = restoreBase(bytes.toString("base64", start, end));
  }
  const state = new ConfigState();
  let lost = 0;
  let counted = false;
  for (const { kind, start, end } of records(bytes)) {
    if (kind !== KIND.TAKEN) continue;
    const made = bytes.readUInt32LE(start);
    revision = Math.max(revision, made);
    // The beginning has no revisions; its requests are not those that were counted.
    if (made > 0 && !counted) setCounts(state, facts);
    if (made > 0) counted = true;
    if (made > 0 && undone.has(made)) continue;
    for (const { request, origin } of unpackItems(bytes, start + 4, end))
      if (!state.apply(request, origin).ok) lost += 1;
  }
  if (!counted) setCounts(state, facts);
  state.revision = revision + 1;
  return { facts, state, base, lost };
}

function setCounts(state: ConfigState, { counts }: JournalFacts): void {
  state.requestCounts.clear();
  for (const [name, count] of counts) state.requestCounts.set(name, count);
}

function factsOf(bytes: Buffer): JournalFacts | null {
  let facts: Partial<JournalFacts> = {};
  for (const { kind, start, end } of records(bytes)) {
    if (kind !== KIND.FACTS) continue;
    facts = { ...facts, ...(JSON.parse(bytes.toString("utf8", start, end)) as Partial<JournalFacts>) };
    if (facts.version !== JOURNAL_VERSION) return null;
  }
  return facts.settings === undefined ? null : (facts as JournalFacts);
}

function* records(bytes: Buffer): Generator<{ readonly kind: number; readonly start: number; readonly end: number }> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const start = at + HEADER_BYTES;
    const end = start + bytes.readUInt32LE(at);
    if (end > bytes.length) return;
    yield { kind: bytes[at + 4] as number, start, end };
    at = end;
  }
}

/** All other memory files that a worker holds are open for writing: only main can have made this one. */
function isReadOnly(fd: number): boolean {
  const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"));
  return flags !== null && (Number.parseInt(flags[1] as string, 8) & ACCESS_MODE) === FOR_READING;
}

function wordOf(value: number): Uint8Array {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value >>> 0);
  return word;
}
