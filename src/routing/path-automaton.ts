// A regular expression over the bytes of a path, without making a string of them. re2js makes the states of its
// automaton as texts ask for them; here each state gets a row of 128 numbers, one per ASCII byte, so a byte of a path
// that went the same way before costs one load. What is not known yet is asked from re2js, once.
// The rows are bounded: when they are used up, paths that need more are matched by re2js itself, and after some of
// those all rows are forgotten, because the clients who choose the paths may have changed their ways.
// Measured by callgrind, 19 bytes against `^/api/v[0-9]+/users/[a-z]+$`: 12,400 instructions by way of a string and
// RE2JS.test(), 1,200 this way (50 ns).
// Invariant: the answer is that of RE2JS.test() (a property test says so). The parts of re2js that this leans on are
// typed by it but not promised, so its version is pinned.

import type { Regex } from "../command/pattern.ts";

/** What we use of an automaton of re2js. */
interface Automaton {
  readonly failed: boolean;
  start(input: object, at: number): State | null;
  runeClass(rune: number): number;
  stepOrReset(state: State, cls: number, rune: number, anchor: number, at: number, search: object): State | null;
  run(input: object, at: number, anchor: number, state: State, onMatch: () => boolean): boolean | null;
}

interface State {
  readonly isMatch: boolean;
}

/** Searches for a pattern in paths. */
export class PathAutomaton {
  private readonly regex: Regex;
  private readonly automaton: Automaton;
  /** Large patterns have large states, so fewer of them. */
  private readonly statesMax: number;
  private states: State[];
  private ids: Map<State, number>;
  /** A row per state: the id of the next state, FOUND, or UNKNOWN. */
  private rows: Int16Array;
  /** Per state, what the end of the path means: 1 a match, 0 none, UNKNOWN. */
  private ends: Int8Array;
  /** Paths that had no room since the rows were last forgotten. */
  private missed: number;
  /** Where walk() stopped, and in which state. */
  private stoppedAt: number;
  private stoppedIn: number;

  constructor(regex: Regex) {
    this.regex = regex;
    this.automaton = regex.re2().dfa;
    this.statesMax = Math.max(STATES_MIN, Math.min(STATES_MAX, Math.floor(STEPS_KEPT / regex.programSize())));
    this.states = [];
    this.ids = new Map();
    this.rows = NO_ROWS;
    this.ends = NO_ENDS;
    this.missed = 0;
    this.stoppedAt = 0;
    this.stoppedIn = 0;
  }

  /** States that are kept. */
  get size(): number {
    return this.states.length;
  }

  /** Whether [start, end) of the bytes has a match. */
  test(bytes: Uint8Array, start: number, end: number): boolean {
    let state = this.states.length === 0 ? this.begin() : 0;
    if (state < 0) {
      return this.testAsText(bytes, start, end);
    }
    for (let at = start; at < end; ) {
      const stopped = this.walk(this.rows, bytes, state, at, end);
      if (stopped >= 0) {
        state = stopped;
        break;
      }
      at = this.stoppedAt;
      const byte = bytes[at++];
      const next = stopped === UNKNOWN ? this.learn(this.stoppedIn, byte) : stopped;
      if (next < 0) {
        return next === FOUND || this.testAsText(bytes, start, end);
      }
      state = next;
    }
    const matched = this.ends[state];
    return matched === UNKNOWN ? this.learnEnd(state) : matched === 1;
  }

  /**
   * Follows known ways. Returns the state behind the last byte, or UNKNOWN, FOUND or NO_ROOM, and where that was. A loop
   * without calls: 48 instructions a byte instead of 78.
   */
  private walk(rows: Int16Array, bytes: Uint8Array, from: number, start: number, end: number): number {
    let state = from;
    for (let i = start; i < end; i++) {
      const byte = bytes[i];
      const next = byte < 0x80 ? rows[(state << 7) | byte] : NO_ROOM;
      if (next < 0) {
        this.stoppedAt = i;
        this.stoppedIn = state;
        return next;
      }
      state = next;
    }
    return state;
  }

  /** Makes the first state. Returns its id, 0, or NO_ROOM. */
  private begin(): number {
    const first = this.automaton.failed ? null : this.automaton.start(TEXT_START, 0);
    return first === null ? NO_ROOM : this.idOf(first);
  }

  private learn(from: number, byte: number): number {
    const { automaton } = this;
    const cls = automaton.runeClass(byte);
    const next = automaton.stepOrReset(this.states[from], cls, byte, UNANCHORED, 0, { resetPos: -1 });
    if (next === null) {
      return NO_ROOM;
    }
    const id = next.isMatch ? FOUND : this.idOf(next);
    if (id !== NO_ROOM) {
      this.rows[(from << 7) | byte] = id;
    }
    return id;
  }

  private learnEnd(state: number): boolean {
    const matched = this.automaton.run(TEXT_END, 0, UNANCHORED, this.states[state], accept) === true;
    this.ends[state] = matched ? 1 : 0;
    return matched;
  }

  private idOf(state: State): number {
    const known = this.ids.get(state);
    if (known !== undefined) {
      return known;
    }
    const id = this.states.length;
    if (id === this.statesMax) {
      return NO_ROOM;
    }
    if (id === this.ends.length) {
      this.grow(id === 0 ? STATES_FIRST : id * 2);
    }
    this.states.push(state);
    this.ids.set(state, id);
    return id;
  }

  private grow(count: number): void {
    const rows = new Int16Array(count << 7).fill(UNKNOWN);
    rows.set(this.rows);
    this.rows = rows;
    const ends = new Int8Array(count).fill(UNKNOWN);
    ends.set(this.ends);
    this.ends = ends;
  }

  private testAsText(bytes: Uint8Array, start: number, end: number): boolean {
    this.missed++;
    if (this.missed === MISSED_MAX) {
      this.missed = 0;
      this.states = [];
      this.ids = new Map();
      this.rows = NO_ROWS;
      this.ends = NO_ENDS;
    }
    let text = "";
    for (let i = start; i < end; i++) {
      text += String.fromCharCode(bytes[i]);
    }
    return this.regex.test(text);
  }
}

function accept(): boolean {
  return true;
}

/** 64 kB of rows. */
export const STATES_MAX = 256;
const STATES_MIN = 32;
/** States times the steps of the pattern. */
const STEPS_KEPT = 32_768;
const STATES_FIRST = 8;
const MISSED_MAX = 64;
const UNKNOWN = -1;
const FOUND = -2;
const NO_ROOM = -3;
/** Where a match may begin, as re2js numbers it. */
const UNANCHORED = 0;
/** A text as re2js asks for it: at its start, with every condition of a start true. */
const TEXT_START = { context: () => -1 };
/** A text that has ended. */
const TEXT_END = { endPos: () => 0 };
const NO_ROWS = new Int16Array(0);
const NO_ENDS = new Int8Array(0);
