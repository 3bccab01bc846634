// Batches of log lines into sockets. Nothing blocks; a peer that is gone is an error, never a signal.
// Ranges outside `bytes`, and empty ones, are -EINVAL.

import { native } from "./native.ts";

/**
 * Sends [from, to) as datagrams, at most 64 a call: one a line, line feed included, or one a record (a varint, as many
 * bytes, two zeros). Returns the bytes of those that were taken or, when not even the first was, -errno: -EAGAIN when the
 * receiver does not keep up.
 */
export function sendDatagrams(fd: number, bytes: Uint8Array, from: number, to: number, lines: boolean): number {
  return native.sendDatagrams(fd, bytes, from, to, lines ? 1 : 0);
}

/**
 * Sends what a stream takes of [from, to). Returns the bytes taken or -errno: -EAGAIN also while it is still being
 * connected, -EPIPE as soon as the peer has closed its side.
 */
export function sendStream(fd: number, bytes: Uint8Array, from: number, to: number): number {
  return native.sendStream(fd, bytes, from, to, 0);
}
