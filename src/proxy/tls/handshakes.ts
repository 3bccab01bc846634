// TLS handshakes with clients: from the first byte of a ClientHello until requests can be read, or an alert.
//
// A handshake costs as much as a hundred requests, so handshakes wait in one line, first come, first served, and a pass of
// the loop serves them for about a millisecond: open connections are served in between, however many handshakes come
// (TLS-10, TLS-20). Half-open ones are bounded: at the bound, the one that is open for longest makes room.
// A session of OpenSSL exists from the first byte of a client on, until its connection closes.

import type { Deferrable } from "../../loop/event-loop.ts";
import { record } from "../../observe/histogram.ts";
import { METRIC_TLS_HANDSHAKES_EVICTED } from "../../observe/metrics-tls.ts";
import { TIME_TLS_HANDSHAKE } from "../../observe/stats-layout.ts";
import {
  ALERT_DECODE_ERROR,
  ALERT_HANDSHAKE_FAILURE,
  FACT_CIPHER,
  FACT_GROUP,
  FACT_RESUMED,
  FACT_VERSION,
  factWords,
  HANDSHAKE_DONE,
  HANDSHAKE_HELLO,
  HANDSHAKE_READ,
  HANDSHAKE_WRITE,
  handshake,
  helloLength,
  readFacts,
  refuse,
  tlsAccept,
} from "../../os/tls.ts";
import { ClientHello, decodeClientHello } from "../../wire/client-hello/decoder.ts";
import type { ClientConnection } from "../client-connection.ts";
import type { TrafficContext } from "../context.ts";
import { FAILED_EVICTED, FAILED_NO_SESSION, HandshakeFailures } from "./failures.ts";
import type { ListenerTls } from "./listener-tls.ts";

/** Microseconds of one pass of the loop that go to handshakes; one step is always made. */
const PASS_US = 1000;
/** Half-open handshakes at most: this share of `max_connections`, but not fewer than these. */
const OPEN_SHARE = 0.5;
const OPEN_MIN = 64;

export class Handshakes implements Deferrable {
  queued: boolean;
  readonly #context: TrafficContext;
  readonly #hello: ClientHello;
  readonly #failures: HandshakeFailures;
  /** Half-open ones and when they began, in microseconds of CLOCK_MONOTONIC; the oldest first. */
  readonly #open: Map<ClientConnection, number>;
  readonly #openMax: number;
  /** Those with something to do. */
  readonly #line: Set<ClientConnection>;

  constructor(context: TrafficContext) {
    this.queued = false;
    this.#context = context;
    this.#hello = new ClientHello();
    this.#failures = new HandshakeFailures(context);
    this.#open = new Map();
    this.#openMax = Math.max(OPEN_MIN, Math.floor(context.settings.maxConnections * OPEN_SHARE));
    this.#line = new Set();
  }

  /** Half-open handshakes. */
  get open(): number {
    return this.#open.size;
  }

  /** The client has sent something: [at, end) of it was read before, the rest lies in the socket. */
  begin(connection: ClientConnection, at: number, end: number): void {
    const { listener } = connection;
    const session = listener.tls === null ? -1 : tlsAccept(connection.fd, listener.tls.context, at, end - at);
    if (session < 0) {
      this.failed(connection, FAILED_NO_SESSION);
      return;
    }
    connection.tls = session;
    if (this.#open.size >= this.#openMax) this.#evict();
    this.#open.set(connection, this.#context.loop.nowUs);
    this.goOn(connection);
  }

  /** Something has happened on its socket. */
  goOn(connection: ClientConnection): void {
    this.#line.add(connection);
    this.#context.loop.runLater(this);
  }

  /** It ends here. `end`: one of the FAILED_ constants. */
  failed(connection: ClientConnection, end: number): void {
    this.#failures.note(connection, end);
    connection.handshakeFailed();
  }

  /** Its connection is closed. */
  forget(connection: ClientConnection): void {
    this.#open.delete(connection);
    this.#line.delete(connection);
  }

  /** From the ready list: serves the line for a while. */
  onReady(_events: number): void {
    const { loop } = this.#context;
    const until = loop.nowUs + PASS_US;
    for (const connection of this.#line) {
      this.#line.delete(connection);
      this.#step(connection);
      if (loop.nowUs >= until) break;
    }
    if (this.#line.size > 0) loop.runLater(this);
  }

  #step(connection: ClientConnection): void {
    const { scratch, scratchBytes } = this.#context;
    for (;;) {
      switch (handshake(connection.tls, scratch, scratchBytes)) {
        case HANDSHAKE_READ:
        case HANDSHAKE_WRITE:
          return;
        case HANDSHAKE_HELLO:
          this.#onHello(connection, helloLength());
          break;
        case HANDSHAKE_DONE:
          this.#done(connection);
          return;
        default:
          this.#failures.noteEngine(connection);
          connection.handshakeFailed();
          return;
      }
    }
  }

  #onHello(connection: ClientConnection, length: number): void {
    const { bytes, scratch } = this.#context;
    if (length === 0 || decodeClientHello(bytes, scratch, scratch + length, this.#hello) !== length) {
      refuse(connection.tls, ALERT_DECODE_ERROR);
      return;
    }
    const alert = (connection.listener.tls as ListenerTls).answer(connection, this.#hello, bytes);
    if (alert !== 0 && refuse(connection.tls, alert) < 0) refuse(connection.tls, ALERT_HANDSHAKE_FAILURE);
  }

  #done(connection: ClientConnection): void {
    const { loop, stats } = this.#context;
    const begunUs = this.#open.get(connection);
    const { secured } = connection;
    this.#open.delete(connection);
    if (begunUs !== undefined) record(stats.values, TIME_TLS_HANDSHAKE, Math.round(loop.nowUs - begunUs));
    readFacts(connection.tls);
    if (secured !== null) {
      secured.complete(
        factWords[FACT_VERSION],
        factWords[FACT_CIPHER],
        factWords[FACT_GROUP],
        factWords[FACT_RESUMED] === 1,
      );
      secured.count(stats.values);
      connection.listener.tls?.agreed(connection, secured);
    }
    connection.handshakeDone();
  }

  #evict(): void {
    for (const connection of this.#open.keys()) {
      this.#context.stats.values[METRIC_TLS_HANDSHAKES_EVICTED]++;
      this.failed(connection, FAILED_EVICTED);
      return;
    }
  }
}
