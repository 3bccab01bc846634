// A few requests on the command socket, encoded by hand on purpose: the tests that start a proxy must not depend on the
// client they would be testing. Framing: 8 bytes little-endian length, itself included (spec of the command protocol).

import { connect } from "node:net";

/** Fields of protobuf message Request.request_type. */
export const STATUS = 12;
export const SOFT_STOP = 39;
export const HARD_STOP = 40;

/** Values of ResponseStatus. */
const OK = 0;
const PROCESSING = 1;

/**
 * Sends one request whose body is an empty message and waits for its last answer.
 * Resolves with true for OK, false for FAILURE; rejects when the socket cannot be reached or closes.
 */
export function ask(socketPath: string, tag: number, timeoutMs = 2000): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let pending = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer on the command socket")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the command socket closed")));
    socket.on("connect", () => socket.write(frame(emptyRequest(tag))));
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 8 && pending.length >= Number(pending.readBigUInt64LE(0))) {
        const length = Number(pending.readBigUInt64LE(0));
        const status = responseStatus(pending.subarray(8, length));
        pending = pending.subarray(length);
        if (status === PROCESSING) continue;
        resolve(status === OK);
        socket.destroy();
        return;
      }
    });
  });
}

/** A message with its length prefix. */
export function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(message.length + 8));
  return Buffer.concat([prefix, message]);
}

/** Request { <tag>: {} }. */
export function emptyRequest(tag: number): Uint8Array {
  const key = (tag << 3) | 2;
  return key < 128 ? Uint8Array.of(key, 0) : Uint8Array.of((key & 127) | 128, key >> 7, 0);
}

/** Response.status is field 1, a varint, and comes first. */
function responseStatus(message: Uint8Array): number {
  return message[0] === 8 ? (message[1] as number) : OK;
}
