// Log lines for people (spec 12.1): `<time>Z <epoch ns> <pid> <LEVEL> <TAG>\t<message>\n`.
// Ask enabled() before building an expensive message. A message is one line whatever it quotes: line feeds are
// printed as `\n`, other control characters as `?`, so nothing a peer sends can forge a line. Lines go to a BatchSink
// and are dropped there, not queued, when the target cannot keep up.

import { type LogFilter, parseFilter } from "./filter.ts";
import { LEVEL_DEBUG, LEVEL_ERROR, LEVEL_INFO, LEVEL_LABELS, LEVEL_TRACE, LEVEL_WARN } from "./levels.ts";
import { LOG_TIME_LENGTH, LogTime } from "./log-time.ts";
import type { BatchSink } from "./sink.ts";

/** How a logger is set up. */
export interface LoggerOptions {
  /** `MAIN`, `WRK-00`, `CTL`. */
  readonly tag: string;
  readonly pid: number;
  readonly sink: BatchSink;
  /** Filter directives, e.g. `info,http=debug`. Wrong ones are reported as an error line and `info` is used. */
  readonly directives: string;
  readonly colored: boolean;
  /** Wall clock in microseconds; by default `Date.now()`. */
  readonly nowUs?: () => number;
}

/** Writes filtered lines. One per process. */
export class Logger {
  readonly tag: string;
  readonly pid: number;
  private readonly sink: BatchSink;
  private readonly colored: boolean;
  private readonly nowUs: () => number;
  private readonly time: LogTime;
  private readonly timeBytes: Uint8Array;
  private filter: LogFilter;
  /** The filter as text. */
  directives: string;

  constructor(options: LoggerOptions) {
    this.tag = options.tag;
    this.pid = options.pid;
    this.sink = options.sink;
    this.colored = options.colored;
    this.nowUs = options.nowUs ?? wallClockUs;
    this.timeBytes = new Uint8Array(LOG_TIME_LENGTH);
    this.time = new LogTime(this.timeBytes);
    const parsed = parseFilter(options.directives);
    this.filter = parsed.filter ?? DEFAULT_FILTER;
    this.directives = options.directives;
    for (const error of parsed.errors ?? []) {
      this.error("log", `${error}; using "info"`);
    }
  }

  /** Whether a line of this level would be written for a module. */
  enabled(module: string, level: number): boolean {
    return level <= this.filter.highest && level <= this.filter.levelOf(module);
  }

  /** Replaces the filter. Returns null, or the reasons why nothing changed. */
  setDirectives(directives: string): string | null {
    const parsed = parseFilter(directives);
    if (parsed.filter === null) {
      return parsed.errors.join("; ");
    }
    this.filter = parsed.filter;
    this.directives = directives;
    return null;
  }

  error(module: string, message: string): void {
    this.log(LEVEL_ERROR, module, message);
  }

  warn(module: string, message: string): void {
    this.log(LEVEL_WARN, module, message);
  }

  info(module: string, message: string): void {
    this.log(LEVEL_INFO, module, message);
  }

  debug(module: string, message: string): void {
    this.log(LEVEL_DEBUG, module, message);
  }

  trace(module: string, message: string): void {
    this.log(LEVEL_TRACE, module, message);
  }

  private log(level: number, module: string, message: string): void {
    if (!this.enabled(module, level)) {
      return;
    }
    this.time.render(this.nowUs());
    let label = LEVEL_LABELS[level];
    if (this.colored) {
      label = `\x1b[${COLORS[level]}m${label}\x1b[0m`;
    }
    const line = `${this.pid} ${label} ${this.tag}\t${oneLine(message)}\n`;
    const at = this.sink.reserve(LOG_TIME_LENGTH + line.length * 3);
    if (at === -1) {
      return;
    }
    const bytes = this.sink.bytes;
    bytes.set(this.timeBytes, at);
    const { written } = ENCODER.encodeInto(line, bytes.subarray(at + LOG_TIME_LENGTH));
    this.sink.commit(LOG_TIME_LENGTH + written);
  }
}

function oneLine(message: string): string {
  const cut = message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX)}...` : message;
  return UNSAFE.test(cut) ? cut.replaceAll("\n", "\\n").replaceAll(UNSAFE_ALL, "?") : cut;
}

function wallClockUs(): number {
  return Date.now() * 1000;
}

/** Characters of a message. */
const MESSAGE_MAX = 8192;
// C0 but tab, DEL and C1, line and paragraph separators, bidi controls, BOM.
const UNSAFE = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
const UNSAFE_ALL = new RegExp(UNSAFE, "g");
const COLORS: readonly string[] = ["0", "31", "33", "32", "34", "90"];
const ENCODER = new TextEncoder();
const DEFAULT_FILTER = parseFilter("info").filter as LogFilter;
