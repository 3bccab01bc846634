// The facts of a request and of a response that cross the exchange, whatever protocol they came in.
//
// A codec's decoder has these members, so it is passed as it is: nothing is copied. Positions are relative to the `base`
// that travels with the message; they are valid only during the call they are passed to.

import type { Head } from "../wire/http1/head.ts";

export interface RequestMessage {
  readonly head: Head;
  /** Numeric method, METHOD_OTHER for unknown ones. */
  readonly method: number;
  readonly methodStart: number;
  readonly methodEnd: number;
  /** Path and query as forwarded; empty for an absolute-form target without a path. */
  readonly pathStart: number;
  readonly pathEnd: number;
  /** Position of the `?`, or -1. */
  readonly queryStart: number;
  /** host[:port] as forwarded. */
  readonly authorityStart: number;
  readonly authorityEnd: number;
  readonly hostStart: number;
  readonly hostEnd: number;
  /** Host is missing or differs from the target's authority: write it from `authority`. */
  readonly hostRewrite: boolean;
  /** Bytes of the body, or -1 when the message does not say. */
  readonly contentLength: number;
  readonly hasBody: boolean;
  readonly teTrailers: boolean;
  /** The client offers to switch protocols; the offer is the value of its one Upgrade field. */
  readonly upgrade: boolean;
  /** NTLM or Negotiate: the backend connection belongs to this client (decisions 19). */
  readonly connectionAuth: boolean;
}

export interface ResponseMessage {
  readonly head: Head;
  readonly status: number;
  readonly reasonStart: number;
  readonly reasonEnd: number;
  readonly contentLength: number;
  /** 0: no body follows (HEAD, 204, 304, length 0); anything else: one does, of `contentLength` bytes or until its end. */
  readonly bodyKind: number;
  /** A 101 that names the one protocol it switches to. */
  readonly upgrade: boolean;
}
