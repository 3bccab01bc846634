// What an exchange asks of its two sides and of those who give it one. A protocol takes part by implementing these.

import type { Backend } from "../balancing/backend.ts";
import type { Head } from "../wire/http1/head.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpListener } from "./http-listener.ts";
import type { Countable } from "./ip-limits.ts";
import type { RequestMessage, ResponseMessage } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { PublicPlace } from "./public-place.ts";
import type { Secured } from "./tls/secured.ts";

/** The client's side of an exchange. */
export interface FrontStream extends Countable {
  readonly listener: HttpListener;
  readonly place: PublicPlace;
  /** What was agreed with the client by TLS; null: nothing, it speaks plainly. */
  readonly secured: Secured | null;
  /** Round trip to the client in microseconds, -1 when unknown. */
  rtt(): number;
  /** False while earlier bytes wait for the client: the backend is not read then. */
  canSend(): boolean;
  sendInterim(message: ResponseMessage, base: number): void;
  sendHead(message: ResponseMessage, base: number): void;
  sendBody(offset: number, length: number): void;
  sendTrailers(head: Head, base: number): void;
  sendEnd(): void;
  /** Writes what was sent since the last flush. A failure ends in `exchange.frontGone`. */
  flush(): void;
  /** The answer to a local answer: may the connection live on, given what of the request is still to come? */
  mayKeepAlive(status: number): boolean;
  /** A whole local answer was encoded at `context.toFront.at`, ending at `end`. Sends it. */
  sendAnswer(end: number, close: boolean): void;
  /** The backend takes request body again. */
  resumeRequest(): void;
  /** The response cannot be completed: make the client see that. */
  abort(): void;
  /** A backend's 101 can be followed now. */
  canUpgrade(): boolean;
  /** The 101 was sent: this connection and `back` become a raw pipe, until `exchange.frontGone`. */
  beginTunnel(back: Connection): void;
  /** The exchange is over and forgotten; `complete`: the request was read to its end. */
  exchangeDone(complete: boolean): void;
}

/** The backend's side of an exchange. */
export interface BackStream {
  readonly backend: Backend;
  /** The connection had served another request before. */
  readonly reused: boolean;
  /** Bytes of this request that the kernel has taken. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  rtt(): number;
  /** Takes the request whose head lies in the exchange's slot. Nothing is written before `flush`. */
  begin(exchange: Exchange): void;
  /** Like begin, for a request whose first bytes were queued on a connection that failed before sending any. */
  beginQueued(exchange: Exchange, queued: Outbox): void;
  canSend(): boolean;
  sendBody(offset: number, length: number): void;
  sendTrailers(head: Head, base: number): void;
  sendEnd(): void;
  /** Writes what was sent since the last flush. A failure ends in `exchange.backLost`. */
  flush(): void;
  /** The client takes response bytes again. */
  resumeResponse(): void;
  /** Nobody waits for the response any more. */
  cancel(): void;
  /** The connection is not up yet. */
  readonly isConnecting: boolean;
  /** Bytes of the request that the backend's host has acknowledged. */
  takenBytes(): number;
}

/** Where exchanges get their back streams. */
export interface BackendConnector {
  /** A stream to this backend, or null when none can be had (no descriptor, no address): a failed attempt. */
  acquire(backend: Backend, exchange: Exchange): BackStream | null;
}

/** Writes a request's head, as the backend's protocol wants it, into a head slot and the exchange's spans. */
export interface RequestEncoder {
  /** False when no slot of that size is free. */
  encode(exchange: Exchange, message: RequestMessage, base: number): boolean;
}

/** Why a back stream was lost. */
export const LOST_CONNECT = 1;
export const LOST_CLOSED = 2;
export const LOST_MALFORMED = 3;
export const LOST_TIMEOUT = 4;
/** The response ended before its end. */
export const LOST_TRUNCATED = 5;
/** No pooled buffer for bytes that the backend did not take. */
export const LOST_BUFFERS = 6;
/** The backend says that it has not begun to process the request (HTTP/2: GOAWAY, REFUSED_STREAM). */
export const LOST_UNPROCESSED = 7;
