// Changes bytes of a message: single bytes, runs, pieces of other messages, and the words that HTTP parsers trip over.

import type { Random } from "./random.ts";

const WORDS = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  "\x0b",
  "\x0c",
  "\x7f",
  "\x85",
  "\xa0",
  "\xff",
  ":",
  ";",
  ",",
  "0\r\n\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Connection: close\r\n",
  "Host: b\r\n",
  "Transfer-Encoding",
  "chunked",
  "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.1",
  "_",
  "-",
  "%0d%0a",
];

/** A mutation of `text`; `other` lends pieces. */
export function mutate(random: Random, text: string, other: string): string {
  let result = text;
  const rounds = random.pick([1, 1, 1, 2, 3, 8]);
  for (let i = 0; i < rounds; i++) result = once(random, result, other);
  return result;
}

function once(random: Random, text: string, other: string): string {
  const at = random.below(text.length + 1);
  const length = 1 + random.below(random.pick([1, 2, 8, 40]));
  switch (random.below(9)) {
    case 0:
      return text.slice(0, at) + random.byte() + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + random.byte() + text.slice(at);
    case 2:
      return text.slice(0, at) + text.slice(at + length);
    case 3:
    case 4:
      return text.slice(0, at) + random.pick(WORDS) + text.slice(random.once(2) ? at : at + 1);
    case 5:
      return text.slice(0, at) + text.slice(at, at + length) + text.slice(at);
    case 6: {
      const from = random.below(other.length + 1);
      return text.slice(0, at) + other.slice(from, from + length * 4) + text.slice(at);
    }
    case 7:
      return (
        text.slice(0, at) +
        String.fromCharCode((text.charCodeAt(at) ^ (1 << random.below(8))) & 0xff) +
        text.slice(at + 1)
      );
    default:
      return text.slice(0, at);
  }
}

/** Where to cut `length` bytes into pieces: nowhere, here and there, or everywhere. Ascending, without 0 and `length`. */
export function cuts(random: Random, length: number): number[] {
  if (length < 2) return [];
  if (length <= 400 && random.once(20)) return Array.from({ length: length - 1 }, (_, i) => i + 1);
  const places = new Set<number>();
  for (let i = 1 + random.below(6); i > 0; i--) places.add(1 + random.below(length - 1));
  return [...places].sort((a, b) => a - b);
}
