// Keeps the journal of this main (journal.ts): begins it with the whole state, appends what changes, and begins a new one
// when it has become long. While a beginning is written changes wait, so a journal never lacks one. Workers get the new
// one before the next change, and give up the old one.

import type { ObjectIndex } from "../command/object-index.ts";
import type { Logger } from "../observe/logger.ts";
import { JOURNAL_VERSION, Journal, type JournalFacts } from "./journal.ts";
import { packItem } from "./packed-requests.ts";
import type { ChangeJournal, StateKeeper } from "./state-keeper.ts";

/** Requests of a beginning that are written at once. */
const CHUNK = 256;
/** Journals of one main before the numbers of the next one begin. */
const PER_BOOT = 65_536;

/** What a journal is about. */
export interface JournalKeeperOptions {
  readonly keeper: StateKeeper;
  readonly logger: Logger;
  /** How often main has begun anew: later mains have later journals. */
  readonly bootGeneration: number;
  facts(): Omit<JournalFacts, "version" | "generation" | "revision" | "counts">;
  /** Hands the journal to the workers. */
  publish(readFd: number): void;
}

/** The journal, whichever it is. */
export class JournalKeeper implements ChangeJournal {
  readonly #options: JournalKeeperOptions;
  #journal: Journal | null;
  #base: ObjectIndex | null;
  #generation: number;
  #beginning: boolean;

  constructor(options: JournalKeeperOptions) {
    this.#options = options;
    this.#journal = null;
    this.#base = null;
    this.#generation = options.bootGeneration * PER_BOOT;
    this.#beginning = false;
  }

  /** Begins a journal. Until it is there no change is taken. */
  async begin(): Promise<void> {
    if (this.#beginning) return;
    this.#beginning = true;
    try {
      await this.#options.keeper.exclusively(this.#write());
    } catch (error) {
      this.#onTrouble(error);
    } finally {
      this.#beginning = false;
    }
  }

  taken(items: readonly Uint8Array[], revision: number): void {
    this.#append((journal) => journal.taken(items, revision));
    if (this.#journal?.isLong === true) void this.begin();
  }

  undone(revision: number): void {
    this.#append((journal) => journal.undone(revision));
  }

  /** Something of facts() has changed. */
  note(): void {
    this.#append((journal) => journal.note(this.#options.facts()));
  }

  /** The file was loaded. */
  base(base: ObjectIndex): void {
    this.#base = base;
    this.#append((journal) => journal.base(base));
  }

  close(): void {
    this.#journal?.close();
    this.#journal = null;
  }

  #append(write: (journal: Journal) => void): void {
    if (this.#journal === null) return;
    try {
      write(this.#journal);
    } catch (error) {
      this.#onTrouble(error);
    }
  }

  *#write(): Generator<void, void> {
    const { keeper, facts, publish } = this.#options;
    const { state } = keeper;
    this.#generation += 1;
    const journal = new Journal(this.#generation);
    try {
      const counts = [...state.requestCounts];
      const head = { version: JOURNAL_VERSION, generation: this.#generation, revision: state.revision, counts };
      journal.note({ ...facts(), ...head });
      let items: Uint8Array[] = [];
      for (const [request, origin] of state.entries()) {
        if (items.push(packItem(request, origin)) < CHUNK) continue;
        journal.taken(items, 0);
        items = [];
        yield;
      }
      journal.taken(items, 0);
      // What changed while this was written.
      journal.note(facts());
      if (this.#base !== null) journal.base(this.#base);
      journal.begun();
    } catch (error) {
      journal.close();
      throw error;
    }
    this.#journal?.close();
    this.#journal = journal;
    publish(journal.readFd);
  }

  #onTrouble(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.logger.error("main", `the journal for a main after a crash is not complete: ${reason}`);
  }
}
