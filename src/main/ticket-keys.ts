// The keys of session tickets (RFC 5077 4, RFC 8446 4.6.1). Main makes them and hands them to every worker, so that a
// session that began in one worker goes on in any other, also in one that is started later. The newest seals tickets; the
// one before it still opens them, for longer than any ticket lives. They are in memory alone: when main ends, so do they,
// and clients make a full handshake once.

/** Bytes of one key: a name, a key for AES-256 and one for HMAC-SHA256, all random. */
export const TICKET_KEY_BYTES = 80;
/** A key seals tickets for so long: who steals it can read the sessions of that time only. */
export const TICKET_ROTATION_MS: number = 12 * 3_600_000;
/** Keys that are kept. A ticket lives for two hours, so it meets its key again in one rotation or the next. */
const KEPT = 2;

/** The ring as one main gives it to the next. */
export interface CarriedTicketKeys {
  readonly keys: readonly string[];
  readonly rotateInMs: number;
}

/** The ring of keys. The clock and the random source are the caller's. */
export class TicketKeys {
  readonly #random: (bytes: number) => Uint8Array;
  #keys: Uint8Array[];
  #rotateAtMs: number;

  constructor(random: (bytes: number) => Uint8Array, nowMs: number) {
    this.#random = random;
    this.#keys = [random(TICKET_KEY_BYTES)];
    this.#rotateAtMs = nowMs + TICKET_ROTATION_MS;
  }

  /** For the next main: the keys, and how long the newest still seals. */
  carry(nowMs: number): CarriedTicketKeys {
    const keys = this.#keys.map((key) => Buffer.from(key).toString("base64"));
    return { keys, rotateInMs: this.#rotateAtMs - nowMs };
  }

  /** The other way: sessions go on. */
  resume({ keys, rotateInMs }: CarriedTicketKeys, nowMs: number): void {
    this.#keys = keys.map((key) => Buffer.from(key, "base64"));
    this.#rotateAtMs = nowMs + rotateInMs;
  }

  /** All of them, newest first, one behind the other. */
  get bytes(): Uint8Array {
    return Buffer.concat(this.#keys);
  }

  /** Rotates when it is time; true when it did, so that the workers have to hear of it. */
  tick(nowMs: number): boolean {
    if (nowMs < this.#rotateAtMs) return false;
    this.#keys = [this.#random(TICKET_KEY_BYTES), ...this.#keys].slice(0, KEPT);
    this.#rotateAtMs = nowMs + TICKET_ROTATION_MS;
    return true;
  }
}
