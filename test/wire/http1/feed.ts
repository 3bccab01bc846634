// Feeds bytes to a decoder in every way that must not matter: whole, byte by byte, in two pieces cut at each offset, with
// other bytes after the end, at another base, and moved between two calls. Returns one description of the outcome, after
// checking that all ways gave the same.

import assert from "node:assert/strict";

/** What every head decoder offers. */
export interface Decoder {
  decode(bytes: Uint8Array, base: number, from: number, to: number): number;
}

/** The bytes of a latin1 text. */
export function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** A byte that would be a visible change if a decoder looked at it: used around the message. */
const STALE = 0x3a;

/** `begin` resets the decoder; `describe` tells all facts after a positive result, free of positions in the array. */
export function feed<D extends Decoder>(
  decoder: D,
  begin: (decoder: D) => void,
  message: Uint8Array,
  describe: (decoder: D, bytes: Uint8Array, base: number) => unknown,
): { result: number; facts: unknown } {
  const once = (pieces: readonly number[], base: number, trailing: number, move: boolean) => {
    begin(decoder);
    return feedPieces(decoder, message, pieces, base, trailing, move, describe);
  };
  const whole = once([message.length], 0, 0, false);
  const check = (way: string, outcome: unknown) => assert.deepEqual(outcome, whole, way);
  check("at another base", once([message.length], 77, 0, false));
  // (An incomplete message would be continued by them.)
  if (whole.result !== 0) check("with bytes after it", once([message.length], 3, 40, false));
  check("byte by byte", once(new Array(message.length).fill(1), 5, 0, false));
  check("byte by byte, moved", once(new Array(message.length).fill(1), 5, 0, true));
  for (let cut = 1; cut < message.length; cut++) {
    check(`cut at ${cut}`, once([cut, message.length - cut], 9, 0, cut % 2 === 0));
  }
  return whole;
}

function feedPieces<D extends Decoder>(
  decoder: D,
  message: Uint8Array,
  pieces: readonly number[],
  base: number,
  trailing: number,
  move: boolean,
  describe: (decoder: D, bytes: Uint8Array, base: number) => unknown,
): { result: number; facts: unknown } {
  let bytes = new Uint8Array(base + message.length + trailing + 8).fill(STALE);
  let at = 0;
  for (const piece of pieces) {
    if (move && at > 0) {
      // Another array at another base, as when an incomplete head goes from the scratch area to a buffer.
      const moved = new Uint8Array(bytes.length + 3).fill(STALE);
      moved.set(bytes.subarray(base, base + at), base + 3);
      bytes = moved;
      base += 3;
    }
    bytes.set(message.subarray(at, at + piece), base + at);
    const extra = at + piece === message.length ? trailing : 0;
    const result = decoder.decode(bytes, base, base + at, base + at + piece + extra);
    if (result > 0) return { result, facts: describe(decoder, bytes, base) };
    if (result < 0) return { result, facts: null };
    at += piece;
  }
  return { result: 0, facts: null };
}
