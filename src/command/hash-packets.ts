// Hashes per cluster on their way from a worker to main: as many packets as it takes, each small enough for the channel,
// so that a worker with 100,000 clusters answers in slices. Body: u8 1 in the last packet else 0, then entries of u32 low,
// u32 high, u16 length of the id, the id in UTF-8; little-endian.

import type { ClusterHash } from "./mirror.ts";
import { encodePacket, PACKET, PACKET_BYTES_MAX, PACKET_HEADER_BYTES } from "./worker-protocol.ts";

/** Some hashes of an answer. */
export interface HashesPart {
  readonly last: boolean;
  readonly hashes: readonly ClusterHash[];
}

/** The packets that answer query `number`; at least one. Each call of next() costs at most a millisecond or so. */
export function* encodeHashes(number: number, hashes: readonly ClusterHash[]): Generator<Uint8Array> {
  const body = new Uint8Array(BODY_BYTES_MAX);
  const view = new DataView(body.buffer);
  let at = 1;
  for (const { id, low, high } of hashes) {
    // Three bytes of UTF-8 for a UTF-16 unit at most.
    if (at + ENTRY_BYTES + id.length * 3 > BODY_BYTES_MAX) {
      yield encodePacket(PACKET.HASHES, number, body.subarray(0, at));
      at = 1;
    }
    const { written } = encoder.encodeInto(id, body.subarray(at + ENTRY_BYTES));
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
    view.setUint16(at + 8, written, true);
    at += ENTRY_BYTES + written;
  }
  body[0] = 1;
  yield encodePacket(PACKET.HASHES, number, body.subarray(0, at));
}

/** Takes a body apart; null when it is none. */
export function decodeHashes(body: Uint8Array): HashesPart | null {
  if (body.length < 1) return null;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const hashes: ClusterHash[] = [];
  let at = 1;
  while (at < body.length) {
    if (at + ENTRY_BYTES > body.length) return null;
    const end = at + ENTRY_BYTES + view.getUint16(at + 8, true);
    if (end > body.length) return null;
    const id = decoder.decode(body.subarray(at + ENTRY_BYTES, end));
    hashes.push({ id, low: view.getUint32(at, true), high: view.getUint32(at + 4, true) });
    at = end;
  }
  return { last: body[0] === 1, hashes };
}

const ENTRY_BYTES = 10;
/** Half of what a packet may hold: a slice of work, not only of bytes. */
const BODY_BYTES_MAX = PACKET_BYTES_MAX / 2 - PACKET_HEADER_BYTES;
const encoder: TextEncoder = new TextEncoder();
const decoder: TextDecoder = new TextDecoder();
