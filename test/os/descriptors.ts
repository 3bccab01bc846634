// What the tests of the native layer share: an arena, waiting for readiness without sleeping, and scripts in a child.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { SocketAddress } from "../../src/command/objects.ts";
import { mapAnonymous, registerArena } from "../../src/os/arena.ts";
import { EPOLLIN, epollAdd, epollCreate, events, poll } from "../../src/os/epoll.ts";
import { EINPROGRESS } from "../../src/os/errno.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { accept, close, connect, encodeSockaddr, socket, TCP4, TCP6 } from "../../src/os/sockets.ts";

/** 64 kB, the arena of the test process. */
export const arena: Uint8Array = mapAnonymous(65536);
registerArena(arena);

/** Blocks until the descriptor has one of the events (the kernel's work goes on); returns the bits. */
export function ready(fd: number, interest: number = EPOLLIN): number {
  const epoll = epollCreate();
  assert.equal(epollAdd(epoll, fd, interest, 0, 0), 0);
  let count = 0;
  // A signal (the end of a child) interrupts the wait.
  for (let tries = 0; tries < 10 && count === 0; tries++) count = poll(epoll, 1, 2000);
  close(epoll);
  assert.equal(count, 1, `descriptor ${fd} did not become ready`);
  return events[0];
}

/** A connected pair over TCP, and the listener's address. */
export function tcpPair(ip = "127.0.0.1"): { client: number; server: number; address: SocketAddress } {
  const listener = listenTcp({ ip, port: 0 }, { reusePort: false });
  assert.ok(listener >= 0, `listen: ${listener}`);
  const address = nameOf(listener);
  const client = connectTcp(address);
  ready(listener);
  const server = accept(listener);
  assert.ok(server >= 0, `accept: ${server}`);
  close(listener);
  return { client, server, address };
}

/** A TCP socket that is connecting; the sockaddr lies at the end of the arena. */
export function connectTcp(address: SocketAddress): number {
  const offset = arena.length - 128;
  const length = encodeSockaddr(address, arena, offset);
  const fd = socket(address.ip.includes(":") ? TCP6 : TCP4);
  const result = connect(fd, offset, length);
  assert.ok(result === 0 || result === -EINPROGRESS, `connect: ${result}`);
  return fd;
}

export function nameOf(fd: number): SocketAddress {
  const name = getsockname(fd);
  assert.ok(name !== null && typeof name !== "number", `getsockname: ${name}`);
  return name;
}

/** Writes latin1 text into the arena; returns its length. */
export function put(offset: number, text: string): number {
  return Buffer.from(arena.buffer).write(text, offset, "latin1");
}

/** Text of the arena. */
export function textAt(offset: number, length: number): string {
  return Buffer.from(arena.subarray(offset, offset + length)).toString("latin1");
}

/** A folder that is removed after the tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sozu-os-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface ScriptResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | string | null;
}

/** Runs TypeScript in a child; `os/x.ts` and `loop/x.ts` in import statements mean the rooms under src/. */
export function runScript(code: string): Promise<ScriptResult> {
  const source = new URL("../../src/", import.meta.url).href;
  const resolved = code.replaceAll(/from "((?:os|loop)\/)/g, `from "${source}$1`);
  const args = ["--input-type=module-typescript", "-e", resolved];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ stdout, stderr, code: error === null ? 0 : (error.code ?? null) });
    });
  });
}
