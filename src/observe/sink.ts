// Lines collect in one half of a fixed buffer while the other half is being written (decisions 30): a request costs the
// copy of its line, never a system call. When both halves are full, lines are dropped and counted; the traffic does not
// wait for a disk. Lines are whole in every batch, so several workers can append to one file; only on a full pipe
// that several share can the kernel cut one.
// Flushed when 32 kB have collected, and by tick(), which the owner calls every 100 to 200 ms. Nothing here throws.
// Invariant: [fillStart, fillEnd) is the half being filled; while `writing`, the other half belongs to the target.

import { KEPT, type LogTarget } from "./target.ts";

/** Batches lines for one target. */
export class BatchSink {
  /** Both halves; lines are rendered at the offset that reserve() returns. Never replaced. */
  readonly bytes: Uint8Array;
  /** Lines dropped because both halves were full, since start. */
  dropped: number;
  /** Lines lost in writes that failed, since start (metric `unsent-access-logs`). */
  unsent: number;
  /** Called with the number of lost lines (dropped or unsent) once a write succeeds; every 50 ticks at most. */
  onRecovered: ((lines: number) => void) | null;
  /** Called when writing begins to fail, every 50 ticks at most; the argument says what and where. */
  onTrouble: ((message: string) => void) | null;
  private readonly target: LogTarget;
  private readonly half: number;
  private fillStart: number;
  private fillEnd: number;
  private fillLines: number;
  private writing: boolean;
  private writeAt: number;
  private writeEnd: number;
  private writeLines: number;
  /** The target was not ready (EAGAIN): the rest is tried again at the next tick. */
  private stalled: boolean;
  private failing: boolean;
  private lostReported: number;
  private ticks: number;
  /** Earliest ticks of the next report of each kind: a target that comes and goes must not fill the log with itself. */
  private troubleFrom: number;
  private lostFrom: number;
  private onDrained: (() => void) | null;
  private readonly done: (error: string | null, written: number) => void;

  /** `capacity`: bytes of the whole buffer, by default 512 kB (two halves of 256 kB). */
  constructor(target: LogTarget, capacity = CAPACITY_DEFAULT) {
    this.bytes = new Uint8Array(capacity);
    this.dropped = 0;
    this.unsent = 0;
    this.onRecovered = null;
    this.onTrouble = null;
    this.target = target;
    this.half = capacity >> 1;
    this.fillStart = 0;
    this.fillEnd = 0;
    this.fillLines = 0;
    this.writing = false;
    this.writeAt = 0;
    this.writeEnd = 0;
    this.writeLines = 0;
    this.stalled = false;
    this.failing = false;
    this.lostReported = 0;
    this.ticks = 0;
    this.troubleFrom = 0;
    this.lostFrom = 0;
    this.onDrained = null;
    this.done = (error, written) => this.written(error, written);
  }

  /**
   * Room for one line of at most `length` bytes: the offset in `bytes` to render at, or -1: dropped and counted.
   * Valid until the next call of any method; commit() makes what was rendered count.
   */
  reserve(length: number): number {
    if (this.fillEnd + length > this.fillStart + this.half) {
      if (this.writing || length > this.half) {
        this.dropped++;
        return -1;
      }
      this.flush();
    }
    return this.fillEnd;
  }

  /** Ends a line of `length` bytes at the offset of the last reserve(). */
  commit(length: number): void {
    this.fillEnd += length;
    this.fillLines++;
    if (this.stalled) {
      // A busy sink does not wait for the tick: whoever reads a pipe makes room many times between two.
      if ((this.fillLines & (RETRY_LINES - 1)) === 0) {
        this.retry();
      }
    } else if (this.fillEnd - this.fillStart >= FLUSH_BYTES && !this.writing && !this.failing) {
      this.flush();
    }
  }

  /** Copies a finished line; false: dropped and counted. */
  append(bytes: Uint8Array, start: number, end: number): boolean {
    const at = this.reserve(end - start);
    if (at === -1) {
      return false;
    }
    this.bytes.set(bytes.subarray(start, end), at);
    this.commit(end - start);
    return true;
  }

  /** Starts writing what has collected, unless a write is under way. */
  flush(): void {
    if (this.writing || this.fillEnd === this.fillStart) {
      return;
    }
    this.writing = true;
    this.writeAt = this.fillStart;
    this.writeEnd = this.fillEnd;
    this.writeLines = this.fillLines;
    this.fillStart = this.fillStart === 0 ? this.half : 0;
    this.fillEnd = this.fillStart;
    this.fillLines = 0;
    this.target.write(this.bytes, this.writeAt, this.writeEnd - this.writeAt, this.done);
  }

  /** To be called every 100 to 200 ms: flushes, and tries a target again that was not ready. */
  tick(): void {
    this.ticks++;
    if (this.stalled) {
      this.retry();
    } else {
      this.flush();
    }
  }

  /** Whether lines wait to be written. */
  get pending(): boolean {
    return this.writing || this.fillEnd > this.fillStart;
  }

  /** Flushes all and then calls `onDrained` (at once when nothing waits). For an orderly end. */
  drain(onDrained: () => void): void {
    this.onDrained = onDrained;
    this.flush();
    this.drained();
  }

  /**
   * Writes what has collected before the process ends. Does nothing behind a write that is still under way: it could
   * block for ever on the same target; those lines count as dropped.
   */
  flushSync(): void {
    if (this.stalled) {
      this.finishWrite(!this.writeSyncAll(this.writeAt, this.writeEnd));
    }
    if (this.writing) {
      this.dropped += this.fillLines;
    } else if (!this.writeSyncAll(this.fillStart, this.fillEnd)) {
      this.unsent += this.fillLines;
    }
    this.fillEnd = this.fillStart;
    this.fillLines = 0;
  }

  /** Opens the file anew after log rotation. Failure is reported through `onTrouble`; the old file stays in use. */
  reopen(): void {
    this.target.reopen((error) => {
      if (error !== null) {
        this.trouble(`cannot reopen: ${error}`);
      }
    });
  }

  /** Goes on with a descriptor that somebody else opened for the target. */
  adopt(fd: number): void {
    this.target.adopt(fd);
  }

  /** Closes the target; lines that wait are lost unless drain() came before. */
  close(): void {
    this.target.close();
  }

  private retry(): void {
    this.stalled = false;
    this.target.write(this.bytes, this.writeAt, this.writeEnd - this.writeAt, this.done);
  }

  private writeSyncAll(at: number, end: number): boolean {
    while (at < end) {
      const written = this.target.writeSync(this.bytes, at, end - at);
      if (written <= 0) {
        return false;
      }
      at += written;
    }
    return true;
  }

  private written(error: string | null, written: number): void {
    if (error === "EAGAIN" || written === KEPT) {
      if (written === KEPT) {
        this.trouble(`cannot write: ${error}`);
        this.failing = true;
      }
      this.stalled = true;
      return;
    }
    if (error !== null) {
      this.trouble(`cannot write: ${error}`);
      this.failing = true;
      this.target.reopen(ignore);
      this.finishWrite(true);
    } else if (this.writeAt + written < this.writeEnd) {
      this.writeAt += written;
      this.target.write(this.bytes, this.writeAt, this.writeEnd - this.writeAt, this.done);
      return;
    } else {
      this.failing = false;
      this.finishWrite(false);
      this.reportLost();
    }
    // A target that fails is tried once per tick, not in a circle.
    if ((this.fillEnd - this.fillStart >= FLUSH_BYTES && !this.failing) || this.onDrained !== null) {
      this.flush();
    }
    this.drained();
  }

  private finishWrite(failed: boolean): void {
    if (failed) {
      this.unsent += this.writeLines;
    }
    this.writing = false;
    this.stalled = false;
    this.writeLines = 0;
  }

  private reportLost(): void {
    const lines = this.dropped + this.unsent - this.lostReported;
    if (lines > 0 && this.ticks >= this.lostFrom) {
      this.lostFrom = this.ticks + REPORT_TICKS;
      this.lostReported += lines;
      this.onRecovered?.(lines);
    }
  }

  private drained(): void {
    const callback = this.onDrained;
    if (callback !== null && !this.pending) {
      this.onDrained = null;
      callback();
    }
  }

  private trouble(what: string): void {
    if (!this.failing && this.ticks >= this.troubleFrom) {
      this.troubleFrom = this.ticks + REPORT_TICKS;
      this.onTrouble?.(`log target ${this.target.name}: ${what}`);
    }
  }
}

const CAPACITY_DEFAULT = 512 * 1024;
const FLUSH_BYTES = 32 * 1024;
/** 5 to 10 s between two reports. */
const REPORT_TICKS = 50;
/** Lines between two tries of a target that was not ready; a power of two. */
const RETRY_LINES = 16;

/** The failed write was reported already; the next one tries the new descriptor, or fails again. */
function ignore(): void {}
