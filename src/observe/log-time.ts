// The time at the head of a log line: `2026-11-20T17:56:51.123456Z 1795197411123456000 ` (spec 12.1).
// The part that changes once a second is rendered once a second; per line only the digits of the microseconds change.

/** Bytes of the rendered time, with the space behind it. */
export const LOG_TIME_LENGTH = 48;

const MICROS_AT = 20;
const EPOCH_MICROS_AT = 38;
const ZERO = 48;

/** Renders times into a buffer that holds the rest of the prefix too. */
export class LogTime {
  private second: number;

  constructor() {
    this.second = -1;
  }

  /** Puts the time `realtimeUs` (CLOCK_REALTIME, microseconds) at the start of `bytes`, LOG_TIME_LENGTH bytes. */
  render(bytes: Uint8Array, realtimeUs: number): void {
    const second = Math.floor(realtimeUs / 1e6);
    if (second !== this.second) {
      this.second = second;
      renderSecond(bytes, second);
    }
    let micros = (realtimeUs - second * 1e6) | 0;
    for (let i = 5; i >= 0; i--) {
      const rest = (micros / 10) | 0;
      const digit = ZERO + micros - rest * 10;
      bytes[MICROS_AT + i] = digit;
      bytes[EPOCH_MICROS_AT + i] = digit;
      micros = rest;
    }
  }
}

function renderSecond(bytes: Uint8Array, second: number): void {
  const iso = new Date(second * 1000).toISOString().slice(0, 19);
  const text = `${iso}.000000Z ${String(second).padStart(10, "0")}000000000 `;
  for (let i = 0; i < LOG_TIME_LENGTH; i++) {
    bytes[i] = text.charCodeAt(i);
  }
}
