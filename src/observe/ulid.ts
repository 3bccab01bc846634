// ULIDs: 48 bits of milliseconds and 80 random bits as 26 Crockford base32 characters, sortable as text. Sessions and
// requests are named by them in logs and in the correlation header, so one is made per request: the text is written
// straight into the caller's bytes, nothing is allocated, and random bytes are only drawn once per millisecond.
// Invariants: every ULID of a source is greater than the one before, also within a millisecond (the random part counts
// up) and when the clock steps back by less than a second; a larger step back is followed.

/** Characters of a ULID. */
export const ULID_LENGTH = 26;

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARACTERS = 10;
const RANDOM_BATCH_BYTES = 1024;
const STEP_BACK_HELD_MS = 1000;

/** Makes monotonic ULIDs. One per worker. */
export class UlidSource {
  private readonly randomBytes: (target: Uint8Array) => void;
  private readonly random: Uint8Array;
  private randomUsed: number;
  private lastMs: number;
  private readonly text: Uint8Array;
  private readonly textView: DataView;
  /** Word access to the bytes of the last call: made anew only when another array arrives. */
  private viewed: Uint8Array;
  private view: DataView;

  /** `randomBytes` fills its argument with random bytes (`crypto.randomFillSync`, or a fixed source in tests). */
  constructor(randomBytes: (target: Uint8Array) => void) {
    this.randomBytes = randomBytes;
    this.random = new Uint8Array(RANDOM_BATCH_BYTES);
    this.randomUsed = RANDOM_BATCH_BYTES;
    this.lastMs = -1;
    this.text = new Uint8Array(ULID_LENGTH);
    this.textView = new DataView(this.text.buffer);
    this.viewed = this.text;
    this.view = this.textView;
  }

  /**
   * Writes the next ULID at `offset` (26 bytes). `nowMs` is wall clock time in milliseconds; a fraction is cut off.
   * The caller guarantees the room; throws a RangeError when there is none.
   */
  next(nowMs: number, bytes: Uint8Array, offset: number): void {
    const ms = Math.floor(nowMs);
    if (ms > this.lastMs || ms < this.lastMs - STEP_BACK_HELD_MS) {
      this.begin(ms);
    } else {
      this.increment();
    }
    this.copy(bytes, offset);
  }

  /** Four words of eight bytes, the last of which overlaps the one before it: a loop over bytes costs 430 instructions. */
  private copy(bytes: Uint8Array, offset: number): void {
    if (bytes !== this.viewed) {
      this.viewed = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const from = this.textView;
    const to = this.view;
    to.setBigUint64(offset, from.getBigUint64(0));
    to.setBigUint64(offset + 8, from.getBigUint64(8));
    to.setBigUint64(offset + 16, from.getBigUint64(16));
    to.setBigUint64(offset + 18, from.getBigUint64(18));
  }

  private begin(ms: number): void {
    this.lastMs = ms;
    this.renderTime(ms);
    const text = this.text;
    // A byte gives five bits: 16 characters take 16 bytes, which is simpler than packing and costs nothing.
    if (this.randomUsed + ULID_LENGTH - TIME_CHARACTERS > RANDOM_BATCH_BYTES) {
      this.randomBytes(this.random);
      this.randomUsed = 0;
    }
    for (let i = TIME_CHARACTERS; i < ULID_LENGTH; i++) {
      text[i] = DIGITS[this.random[this.randomUsed++] & 31];
    }
  }

  private increment(): void {
    const text = this.text;
    for (let i = ULID_LENGTH - 1; i >= TIME_CHARACTERS; i--) {
      const value = VALUES[text[i]] + 1;
      if (value < 32) {
        text[i] = DIGITS[value];
        return;
      }
      text[i] = DIGITS[0];
    }
    // All 80 bits were used up within a millisecond: borrow the next one.
    this.lastMs++;
    this.renderTime(this.lastMs);
  }

  private renderTime(ms: number): void {
    let rest = ms;
    for (let i = TIME_CHARACTERS - 1; i >= 0; i--) {
      const next = Math.floor(rest / 32);
      this.text[i] = DIGITS[rest - next * 32];
      rest = next;
    }
  }
}

const DIGITS = new Uint8Array(32);
const VALUES = new Uint8Array(256);
for (let i = 0; i < 32; i++) {
  DIGITS[i] = ALPHABET.charCodeAt(i);
  VALUES[ALPHABET.charCodeAt(i)] = i;
}
