// The time at the head of a log line: `2026-11-20T17:56:51.123456Z 1795197411123456000 ` (spec 12.1).
// The part that changes once a second is rendered once a second; per line only the digits of the microseconds change.

import { TextWriter } from "./text-writer.ts";

/** Bytes of the rendered time, with the space behind it. */
export const LOG_TIME_LENGTH = 48;

const MICROS_AT = 20;
const EPOCH_MICROS_AT = 38;
const LETTER_Z = 0x5a;
const ZERO = 0x30;

/** Renders times into a buffer that holds the rest of a prefix too. */
export class LogTime {
  private readonly writer: TextWriter;
  private second: number;

  /** `bytes`: where the time is kept, at the start; at least LOG_TIME_LENGTH bytes. */
  constructor(bytes: Uint8Array) {
    this.writer = new TextWriter(bytes, bytes);
    this.second = -1;
  }

  /** Renews the time: `realtimeUs` is CLOCK_REALTIME in microseconds. */
  render(realtimeUs: number): void {
    const second = Math.floor(realtimeUs / 1e6);
    if (second !== this.second) {
      this.second = second;
      renderSecond(this.writer.bytes, second);
    }
    const micros = (realtimeUs - second * 1e6) | 0;
    this.writer.sixDigits(MICROS_AT, micros, LETTER_Z);
    this.writer.sixDigits(EPOCH_MICROS_AT, micros, ZERO);
  }
}

function renderSecond(bytes: Uint8Array, second: number): void {
  const iso = new Date(second * 1000).toISOString().slice(0, 19);
  const text = `${iso}.000000Z ${String(second).padStart(10, "0")}000000000 `;
  for (let i = 0; i < LOG_TIME_LENGTH; i++) {
    bytes[i] = text.charCodeAt(i);
  }
}
