// A log target under the test's control: writes wait until the test completes them, or complete at once.

import { KEPT, type LogTarget, type WriteDone } from "../../src/observe/target.ts";

export class MemoryTarget implements LogTarget {
  readonly name = "memory";
  /** Complete writes at once. */
  instant = true;
  /** What the next writes answer instead of success. */
  failures: string[] = [];
  /** Bytes that one write takes at most. */
  takes = Number.POSITIVE_INFINITY;
  /** Writes answer that there is nobody at present. */
  gone = false;
  reopened = 0;
  reopenError: string | null = null;
  closed = false;
  readonly writes: string[] = [];
  /** The same as bytes. */
  readonly chunks: Buffer[] = [];
  #waiting: { bytes: Uint8Array; offset: number; length: number; done: WriteDone } | null = null;

  /** A write was started and waits for complete(). */
  get waiting(): boolean {
    return this.#waiting !== null;
  }

  write(bytes: Uint8Array, offset: number, length: number, done: WriteDone): void {
    if (this.#waiting !== null) throw new Error("two writes at once");
    this.#waiting = { bytes, offset, length, done };
    if (this.instant) this.complete();
  }

  complete(): void {
    const write = this.#waiting;
    if (write === null) throw new Error("no write is under way");
    this.#waiting = null;
    if (this.gone) {
      write.done("EPIPE", KEPT);
      return;
    }
    const failure = this.failures.shift();
    if (failure !== undefined) {
      write.done(failure, 0);
      return;
    }
    const taken = Math.min(write.length, this.takes);
    const bytes = Buffer.from(write.bytes.subarray(write.offset, write.offset + taken));
    this.chunks.push(bytes);
    this.writes.push(bytes.toString("utf8"));
    write.done(null, taken);
  }

  writeSync(bytes: Uint8Array, offset: number, length: number): number {
    if (this.failures.shift() !== undefined) return -1;
    const taken = Math.min(length, this.takes);
    this.writes.push(Buffer.from(bytes.subarray(offset, offset + taken)).toString("utf8"));
    return taken;
  }

  reopen(done: (error: string | null) => void): void {
    this.reopened++;
    done(this.reopenError);
  }

  adopt(): void {
    this.reopened++;
  }

  close(): void {
    this.closed = true;
  }

  /** Everything that was written since the last call. */
  takeBytes(): Buffer {
    return Buffer.concat(this.chunks.splice(0));
  }

  /** Everything written since the last call. */
  takeText(): string {
    return this.writes.splice(0).join("");
  }
}
