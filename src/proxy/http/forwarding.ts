// The fields that tell a backend whom the proxy speaks for (spec 5.3): X-Forwarded-For, Forwarded, X-Forwarded-Proto,
// X-Forwarded-Port, X-Real-IP, X-Request-Id.
//
// Of a client that sends none of them they are the same for all its requests: rendered once into its record, copied from
// there. Of one that does, the last X-Forwarded-For and Forwarded are extended and the others believed, if the listener
// trusts the client's network.

import {
  METRIC_HTTP_TRUSTING_X_PORT,
  METRIC_HTTP_TRUSTING_X_PORT_DIFF,
  METRIC_HTTP_TRUSTING_X_PROTO,
  METRIC_HTTP_TRUSTING_X_PROTO_DIFF,
  METRIC_HTTP_X_REQUEST_ID_GENERATED,
  METRIC_HTTP_X_REQUEST_ID_PROPAGATED,
} from "../../observe/metrics.ts";
import { ULID_LENGTH } from "../../observe/ulid.ts";
import { ascii } from "../../wire/http1/bytes.ts";
import { Constant, copySpan, encodeConstant, encodeLineEnd } from "../../wire/http1/encoder.ts";
import {
  DROP,
  equalsLowerCase,
  FIELD_STRIDE,
  FORWARDED,
  type Head,
  UNKNOWN,
  X_FORWARDED_FOR,
  X_FORWARDED_HOST,
  X_FORWARDED_PORT,
  X_FORWARDED_PROTO,
  X_REAL_IP,
  X_REQUEST_ID,
} from "../../wire/http1/head.ts";
import { BLOCK_BYTES_MAX } from "../client-records.ts";
import type { TrafficContext } from "../context.ts";
import type { Exchange } from "../exchange.ts";
import type { FrontStream } from "../streams.ts";

const FOR_NAME = new Constant("X-Forwarded-For: ");
const FORWARDED_NAME = new Constant("Forwarded: ");
const FORWARDED_BY = new Constant('";by=');
const PORT_NAME = new Constant("X-Forwarded-Port: ");
const REAL_IP_NAME = new Constant("X-Real-IP: ");
const REQUEST_ID_NAME = new Constant("X-Request-Id: ");
const SEPARATOR = new Constant(", ");

/** Fields of a client that change what we add. */
const FORWARDING =
  (1 << X_FORWARDED_FOR) | (1 << FORWARDED) | (1 << X_FORWARDED_PROTO) | (1 << X_FORWARDED_PORT) | (1 << X_REQUEST_ID);
/** Fields that this file writes: edits of a route take their place. */
const WRITTEN = FORWARDING | (1 << X_REAL_IP);
const REWRITTEN = (1 << X_FORWARDED_FOR) | (1 << FORWARDED) | (1 << X_REAL_IP);
/** What only a trusted client may say. */
const CLAIMS = [X_FORWARDED_FOR, FORWARDED, X_FORWARDED_PROTO, X_FORWARDED_PORT, X_FORWARDED_HOST, X_REAL_IP];
const CLAIM_BITS = CLAIMS.reduce((bits, id) => bits | (1 << id), 0);
const CLAIM_PREFIX = ascii("x-forwarded-");

export class Forwarding {
  readonly #context: TrafficContext;

  constructor(context: TrafficContext) {
    this.#context = context;
  }

  /**
   * What of the fields in `head.present` is believed. A client outside of the trusted networks (decisions 21) has no say
   * in who it is and what it spoke: its account is dropped.
   */
  believed(front: FrontStream, head: Head, bytes: Uint8Array, base: number): number {
    const { trusted } = front.listener;
    if (trusted === null || this.#context.records.isTrusted(front.record)) return head.present;
    for (const id of CLAIMS) head.drop(id);
    dropOtherClaims(head, bytes, base);
    return head.present & ~CLAIM_BITS;
  }

  /** Drops the fields that are written anew; returns the index of the X-Forwarded-For to extend, or -1. */
  takeLast(front: FrontStream, head: Head, present: number): number {
    if ((present & REWRITTEN) === 0) return -1;
    if (front.listener.config.elideXRealIp) head.drop(X_REAL_IP);
    if ((present & (1 << FORWARDED)) !== 0) head.dropIndex(head.lastIndexOf(FORWARDED));
    if ((present & (1 << X_FORWARDED_FOR)) === 0) return -1;
    const last = head.lastIndexOf(X_FORWARDED_FOR);
    head.dropIndex(last);
    return last;
  }

  /** The fields of a client that sends none of them, up to the request id: the same for all its requests. */
  #renderBlock(front: FrontStream, from: number): number {
    const { bytes, records } = this.#context;
    const { listener, record } = front;
    let at = encodeConstant(bytes, from, FOR_NAME);
    at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    at = encodeConstant(bytes, encodeConstant(bytes, at, FORWARDED_NAME), listener.texts.forwardedProtoFor);
    at = copySpan(bytes, at, records.addressAt(record), records.addressLength(record));
    at = encodeConstant(bytes, encodeConstant(bytes, at, FORWARDED_BY), front.place.publicIpQuoted);
    at = encodeConstant(bytes, encodeLineEnd(bytes, at), listener.texts.protoLine);
    at = encodeLineEnd(bytes, encodeConstant(bytes, encodeConstant(bytes, at, PORT_NAME), front.place.publicPort));
    if (listener.config.sendXRealIp) {
      at = encodeConstant(bytes, at, REAL_IP_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    }
    return encodeConstant(bytes, at, REQUEST_ID_NAME);
  }

  /** Writes them behind the client's own fields. `dropped`: ids that a route's edits keep us from writing. */
  add(
    exchange: Exchange,
    front: FrontStream,
    head: Head,
    from: number,
    base: number,
    present: number,
    forwardedFor: number,
    dropped: number,
  ): number {
    const { bytes, records, stats } = this.#context;
    const { record } = front;
    if ((present & FORWARDING) === 0 && (dropped & WRITTEN) === 0) {
      let length = records.blockLength(record);
      let at = from;
      if (length > 0) {
        at = copySpan(bytes, from, records.blockAt(record), length);
      } else {
        at = this.#renderBlock(front, from);
        length = at - from;
        if (length <= BLOCK_BYTES_MAX) {
          copySpan(bytes, records.blockAt(record), from, length);
          records.setBlockLength(record, length);
        }
      }
      stats.values[METRIC_HTTP_X_REQUEST_ID_GENERATED]++;
      return encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot.at, ULID_LENGTH));
    }
    return this.#merge(exchange, front, head, from, base, present, forwardedFor, dropped);
  }

  /** As above for a client that sends some of the fields, or a route that edits them: `dropped` ones are not written. */
  #merge(
    exchange: Exchange,
    front: FrontStream,
    head: Head,
    from: number,
    base: number,
    present: number,
    forwardedFor: number,
    dropped: number,
  ): number {
    const { bytes, records, stats } = this.#context;
    const { listener, record } = front;
    const there = present | dropped;
    let at = from;
    if ((dropped & (1 << X_FORWARDED_FOR)) === 0) {
      at = encodeConstant(bytes, at, FOR_NAME);
      if (forwardedFor !== -1) at = extend(bytes, at, base, head, forwardedFor);
      at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    }
    if ((dropped & (1 << FORWARDED)) === 0) {
      at = encodeConstant(bytes, at, FORWARDED_NAME);
      if ((present & (1 << FORWARDED)) !== 0) at = extend(bytes, at, base, head, head.lastIndexOf(FORWARDED));
      at = encodeConstant(bytes, at, listener.texts.forwardedProtoFor);
      at = copySpan(bytes, at, records.addressAt(record), records.addressLength(record));
      at = encodeConstant(bytes, at, FORWARDED_BY);
      at = encodeLineEnd(bytes, encodeConstant(bytes, at, front.place.publicIpQuoted));
    }
    if ((there & (1 << X_FORWARDED_PROTO)) === 0) at = encodeConstant(bytes, at, listener.texts.protoLine);
    if ((there & (1 << X_FORWARDED_PORT)) === 0) {
      at = encodeConstant(bytes, at, PORT_NAME);
      at = encodeLineEnd(bytes, encodeConstant(bytes, at, front.place.publicPort));
    }
    if (listener.config.sendXRealIp && (dropped & (1 << X_REAL_IP)) === 0) {
      at = encodeConstant(bytes, at, REAL_IP_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, records.ipAt(record), records.ipLength(record)));
    }
    countTrust(stats.values, front, bytes, base, head, present);
    if ((there & (1 << X_REQUEST_ID)) === 0) {
      at = encodeConstant(bytes, at, REQUEST_ID_NAME);
      at = encodeLineEnd(bytes, copySpan(bytes, at, exchange.slot.at, ULID_LENGTH));
    }
    return at;
  }
}

/** Counts what is believed of a client's own account, and where it differs from what this proxy sees (spec 5.3). */
function countTrust(
  values: Float64Array,
  front: FrontStream,
  bytes: Uint8Array,
  base: number,
  head: Head,
  present: number,
): void {
  if ((present & (1 << X_FORWARDED_PROTO)) !== 0) {
    values[METRIC_HTTP_TRUSTING_X_PROTO]++;
    if (!valueIs(bytes, base, head, head.lastIndexOf(X_FORWARDED_PROTO), front.listener.texts.proto))
      values[METRIC_HTTP_TRUSTING_X_PROTO_DIFF]++;
  }
  if ((present & (1 << X_FORWARDED_PORT)) !== 0) {
    values[METRIC_HTTP_TRUSTING_X_PORT]++;
    if (!valueIs(bytes, base, head, head.lastIndexOf(X_FORWARDED_PORT), front.place.publicPort))
      values[METRIC_HTTP_TRUSTING_X_PORT_DIFF]++;
  }
  if (head.has(X_REQUEST_ID)) values[METRIC_HTTP_X_REQUEST_ID_PROPAGATED]++;
  else values[METRIC_HTTP_X_REQUEST_ID_GENERATED]++;
}

/** Whether the value of a field is this text (lower case), letters compared without case. */
function valueIs(bytes: Uint8Array, base: number, head: Head, index: number, text: Constant): boolean {
  const start = head.valueStart(index);
  return head.valueEnd(index) - start === text.length && equalsLowerCase(bytes, base + start, text.bytes);
}

/** The value that the client sent and `, `. An empty one is left out. */
function extend(bytes: Uint8Array, at: number, base: number, head: Head, index: number): number {
  const length = head.valueEnd(index) - head.valueStart(index);
  if (length === 0) return at;
  at = copySpan(bytes, at, base + head.valueStart(index), length);
  return encodeConstant(bytes, at, SEPARATOR);
}

/** `X-Forwarded-*` of any other name, also spelt with `_`, which some servers take for `-`. */
function dropOtherClaims(head: Head, bytes: Uint8Array, base: number): void {
  const { fields } = head;
  const end = head.count * FIELD_STRIDE;
  for (let row = 0; row < end; row += FIELD_STRIDE) {
    if (fields[row + 4] === UNKNOWN && isClaim(bytes, base + fields[row], fields[row + 1] - fields[row])) {
      fields[row + 5] |= DROP;
    }
  }
}

function isClaim(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < CLAIM_PREFIX.length) return false;
  for (let i = 0; i < CLAIM_PREFIX.length; i++) {
    const c = bytes[at + i];
    const wanted = CLAIM_PREFIX[i];
    if (wanted === 0x2d ? c !== 0x2d && c !== 0x5f : (c | 0x20) !== wanted) return false;
  }
  return true;
}
