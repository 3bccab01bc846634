// Lists that a worker answers with (what it knows of backends, its certificates), on their way to main: as many packets as
// it takes. Body: u8 1 in the last packet else 0, then a JSON array. Asked for by people, so it need not be compact.

import { decodeJson, encodePacket, PACKET_BYTES_MAX, PACKET_HEADER_BYTES } from "./worker-protocol.ts";

/** Some of an answer. */
export interface ListPart<T> {
  readonly last: boolean;
  readonly items: readonly T[];
}

/** The packets of this kind that answer query `number`; at least one. */
export function* encodeList(kind: number, number: number, items: readonly object[]): Generator<Uint8Array> {
  let texts: string[] = [];
  let size = 0;
  for (const each of items) {
    const text = JSON.stringify(each);
    // Three bytes of UTF-8 for a UTF-16 unit at most.
    if (size + 3 * text.length + 1 > BODY_BYTES_MAX) {
      yield encodePart(kind, number, texts, false);
      texts = [];
      size = 0;
    }
    texts.push(text);
    size += 3 * text.length + 1;
  }
  yield encodePart(kind, number, texts, true);
}

/** Takes a body apart; null when it is none. */
export function decodeList<T>(body: Uint8Array): ListPart<T> | null {
  if (body.length < 1) return null;
  const items = decodeJson<readonly T[]>(body.subarray(1));
  return Array.isArray(items) ? { last: body[0] === 1, items } : null;
}

function encodePart(kind: number, number: number, texts: readonly string[], last: boolean): Uint8Array {
  const array = encoder.encode(`[${texts.join(",")}]`);
  const body = new Uint8Array(1 + array.length);
  body[0] = last ? 1 : 0;
  body.set(array, 1);
  return encodePacket(kind, number, body);
}

/** Half of what a packet may hold: a slice of work, not only of bytes. */
const BODY_BYTES_MAX = PACKET_BYTES_MAX / 2 - PACKET_HEADER_BYTES;
const encoder: TextEncoder = new TextEncoder();
