// Handshakes that came to nothing: counted by cause (spec 8.6), and logged with the client's address.
//
// Anybody can fail as many handshakes as he likes, so lines are bounded: ten a second, then a sum. What peers do in good
// order (an alert, a close) is of interest to those who look for it; faults of protocol are warnings, our own are errors.

import {
  METRIC_TLS_HANDSHAKE_FAILED_ALERT_RECEIVED,
  METRIC_TLS_HANDSHAKE_FAILED_INVALID_MESSAGE,
  METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN,
  METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT,
  METRIC_TLS_HANDSHAKE_FAILED_OTHER,
} from "../../observe/metrics-tls.ts";
import {
  ALERT_DECODE_ERROR,
  ALERT_NO_APPLICATION_PROTOCOL,
  ALERT_UNRECOGNIZED_NAME,
  FAILURE_ALERT_RECEIVED,
  FAILURE_ALERT_SENT,
  FAILURE_CAUSE,
  failureWords,
  TLS_CAUSES,
  tlsAlertName,
} from "../../os/tls.ts";
import { latin1 } from "../../wire/http1/bytes.ts";
import type { ClientConnection } from "../client-connection.ts";
import type { TrafficContext } from "../context.ts";
import { LineLimit } from "./line-limit.ts";

/** What ends a handshake without a word of OpenSSL. */
export const FAILED_RESET = 0;
export const FAILED_TIMEOUT = 1;
export const FAILED_EVICTED = 2;
export const FAILED_NO_SESSION = 3;
const ENDS: readonly string[] = [
  "the client has closed the connection",
  "it took too long",
  "too many handshakes are open: the oldest made room",
  "there is no memory for its session",
];

/** The first causes of TLS_CAUSES are counted one by one, in the order of their counters. */
const CAUSE_FIRST = 1;
const CAUSE_LAST = TLS_CAUSES.indexOf("other");
const CAUSE_REFUSED = TLS_CAUSES.indexOf("refused");
/** Causes that are no fault of the protocol. */
const QUIET: ReadonlySet<number> = new Set([TLS_CAUSES.indexOf("alert_received"), TLS_CAUSES.indexOf("closed")]);
const OURS: ReadonlySet<number> = new Set([TLS_CAUSES.indexOf("no_certificates_present"), TLS_CAUSES.indexOf("other")]);

const MODULE = "https";

export class HandshakeFailures {
  readonly #context: TrafficContext;
  readonly #lines: LineLimit;

  constructor(context: TrafficContext) {
    this.#context = context;
    this.#lines = new LineLimit(context.logger, MODULE, "more TLS handshakes failed");
  }

  /** Right after a failed call of the TLS engine: its words tell why. */
  noteEngine(connection: ClientConnection): void {
    const cause = failureWords[FAILURE_CAUSE];
    const sent = failureWords[FAILURE_ALERT_SENT];
    const received = failureWords[FAILURE_ALERT_RECEIVED];
    this.#context.stats.values[placeOf(cause, sent)]++;
    if (!this.#mayLog()) return;
    const alerts =
      (sent < 0 ? "" : `, alert sent: ${tlsAlertName(sent)}`) + (received < 0 ? "" : receivedText(received));
    const line = this.#lineOf(connection, `${TLS_CAUSES[cause] ?? "other"}${alerts}`);
    const { logger } = this.#context;
    if (QUIET.has(cause)) logger.debug(MODULE, line);
    else if (OURS.has(cause)) logger.error(MODULE, line);
    else logger.warn(MODULE, line);
  }

  /** `end`: one of the FAILED_ constants. */
  note(connection: ClientConnection, end: number): void {
    this.#context.stats.values[METRIC_TLS_HANDSHAKE_FAILED_OTHER]++;
    if (this.#mayLog()) this.#context.logger.info(MODULE, this.#lineOf(connection, ENDS[end]));
  }

  #lineOf(connection: ClientConnection, why: string): string {
    const { bytes, records } = this.#context;
    const at = records.addressAt(connection.record);
    const peer = latin1(bytes, at, at + records.addressLength(connection.record));
    const name = connection.secured?.serverName ?? null;
    const asked = name === null ? "" : ` for ${name}`;
    return `TLS handshake of ${peer}${asked} on ${connection.listener.name} failed: ${why}`;
  }

  #mayLog(): boolean {
    return this.#lines.take(this.#context.loop.nowMs);
  }
}

function receivedText(alert: number): string {
  return `, alert received: ${tlsAlertName(alert)}`;
}

/** The counter of a cause; what TypeScript refused is told apart by the alert. */
function placeOf(cause: number, alert: number): number {
  if (cause >= CAUSE_FIRST && cause <= CAUSE_LAST) {
    return METRIC_TLS_HANDSHAKE_FAILED_ALERT_RECEIVED + cause - CAUSE_FIRST;
  }
  if (cause !== CAUSE_REFUSED) return METRIC_TLS_HANDSHAKE_FAILED_OTHER;
  switch (alert) {
    case ALERT_UNRECOGNIZED_NAME:
      return METRIC_TLS_HANDSHAKE_FAILED_NO_CERTIFICATES_PRESENT;
    case ALERT_NO_APPLICATION_PROTOCOL:
      return METRIC_TLS_HANDSHAKE_FAILED_NO_ALPN;
    case ALERT_DECODE_ERROR:
      return METRIC_TLS_HANDSHAKE_FAILED_INVALID_MESSAGE;
    default:
      return METRIC_TLS_HANDSHAKE_FAILED_OTHER;
  }
}
