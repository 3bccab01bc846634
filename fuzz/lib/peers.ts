// Sockets of the fuzzer's clients and backends, in the process of the proxy under test and driven by hand: one step reads
// and writes what is there, nothing waits. Text is latin1: a character is a byte.

import { EAGAIN } from "../../src/os/errno.ts";
import * as sockets from "../../src/os/sockets.ts";

/** Where bytes cross the arena; shared by all peers, used within one call. */
export interface Area {
  readonly buffer: Buffer;
  readonly at: number;
  readonly length: number;
}

export class PeerSocket {
  fd: number;
  received: string;
  /** The other side sends no more: FIN or reset. */
  ended: boolean;
  reset: boolean;
  /** Not written yet. */
  queue: string;
  /** Bytes that one step reads at most. */
  appetite: number;
  readonly #area: Area;
  #finishes: boolean;

  constructor(area: Area, fd: number) {
    this.#area = area;
    this.fd = fd;
    this.received = "";
    this.ended = false;
    this.reset = false;
    this.queue = "";
    this.#finishes = false;
    this.appetite = area.length;
  }

  send(text: string): void {
    this.queue += text;
    this.#write();
  }

  /** Writes and reads what can be; true when anything moved. */
  step(): boolean {
    if (this.fd === -1) return false;
    const wrote = this.queue !== "" && this.#write();
    return this.#read() || wrote;
  }

  /** Ends our side once everything is written. */
  finishBehind(): void {
    this.#finishes = true;
    if (this.queue === "") this.finish();
  }

  finish(): void {
    if (this.fd !== -1) sockets.shutdown(this.fd, sockets.SHUT_WR);
  }

  /** Closes behind everything that was sent. */
  leave(): void {
    if (this.fd === -1) return;
    sockets.close(this.fd);
    this.fd = -1;
  }

  /** Closes with a reset: no port is left waiting, and the other side sees the hardest end there is. */
  close(): void {
    if (this.fd === -1) return;
    sockets.setLinger(this.fd, 0);
    sockets.close(this.fd);
    this.fd = -1;
  }

  #write(): boolean {
    const { buffer, at, length } = this.#area;
    let moved = false;
    while (this.queue !== "" && this.fd !== -1) {
      const part = Math.min(length, this.queue.length);
      buffer.write(this.queue, at, part, "latin1");
      const sent = sockets.send(this.fd, at, part);
      if (sent < 0) {
        if (sent !== -EAGAIN) this.queue = "";
        return moved;
      }
      moved = true;
      this.queue = this.queue.slice(sent);
    }
    if (this.#finishes && this.queue === "") this.finish();
    return moved;
  }

  #read(): boolean {
    const { buffer, at } = this.#area;
    const length = this.appetite;
    let moved = false;
    while (!this.ended) {
      const got = sockets.recv(this.fd, at, length);
      if (got > 0) {
        this.received += buffer.toString("latin1", at, at + got);
        moved = true;
        if (got < length || length < this.#area.length) return true;
        continue;
      }
      if (got === -EAGAIN) return moved;
      this.ended = true;
      this.reset = got < 0;
      return true;
    }
    return moved;
  }
}
