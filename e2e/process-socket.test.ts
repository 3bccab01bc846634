// The command socket against whatever comes: garbage, fragments, silence, clients that never read, second starts. Main and
// workers survive, other clients are served, descriptors come back.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { ask, emptyRequest, frame, STATUS } from "./lib/control.ts";
import { descriptorCount, isAlive } from "./lib/processes.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** Everything the other side sends until it closes or is silent for `quietMs`. */
function collect(socket: Socket, quietMs = 300): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const finish = (): void => resolve(Buffer.concat(parts));
    let timer = setTimeout(finish, quietMs);
    socket.on("data", (chunk: Buffer) => {
      parts.push(chunk);
      clearTimeout(timer);
      timer = setTimeout(finish, quietMs);
    });
    socket.on("close", finish);
  });
}

function countOk(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (bytes[at + 8] === 8 && bytes[at + 9] === 0) count++;
    at += length;
  }
  return count;
}

test("CP-01 CP-02 CP-24 random bytes, impossible lengths and truncated messages", async (t) => {
  const proxy = await startProxy(t, {});
  const before = descriptorCount(proxy.pid);
  const hostile: Buffer[] = [];
  for (let length = 0; length < 8; length++) {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(length));
    hostile.push(prefix);
  }
  for (const length of [2n ** 63n, 2n ** 32n, 2_000_001n]) {
    const prefix = Buffer.alloc(16);
    prefix.writeBigUInt64LE(length);
    hostile.push(prefix);
  }
  for (let i = 0; i < 200; i++) hostile.push(randomBytes(1 + (i % 300)));
  for (let i = 0; i < 50; i++) hostile.push(frame(randomBytes(1 + i)));
  for (const bytes of hostile) {
    const socket = await open(proxy.socketPath);
    socket.resume();
    socket.end(bytes);
  }
  assert.equal(await ask(proxy.socketPath, STATUS), true);
  await until("descriptors are back", () => descriptorCount(proxy.pid) <= before);
  assert.equal(proxy.exited, false);
});

test("CP-01 after a length below 8 the next message is answered", async (t) => {
  const proxy = await startProxy(t, {});
  const socket = await open(proxy.socketPath);
  socket.write(Buffer.concat([Buffer.alloc(8), frame(emptyRequest(STATUS))]));
  assert.equal(countOk(await collect(socket)), 1);
  socket.destroy();
});

test("CP-04 frames byte by byte, and many in one write, are answered in order", async (t) => {
  const proxy = await startProxy(t, {});
  const slow = await open(proxy.socketPath);
  for (const byte of frame(emptyRequest(STATUS))) slow.write(Buffer.of(byte));
  assert.equal(countOk(await collect(slow)), 1);
  slow.destroy();
  const many = await open(proxy.socketPath);
  many.write(Buffer.concat(Array.from({ length: 50 }, () => frame(emptyRequest(STATUS)))));
  assert.equal(countOk(await collect(many)), 50);
  many.destroy();
});

test("CP-05 CP-06 silent clients and clients that never read do not delay others", async (t) => {
  const proxy = await startProxy(t, {});
  const before = descriptorCount(proxy.pid);
  const silent = await Promise.all(Array.from({ length: 300 }, () => open(proxy.socketPath)));
  const deaf = await open(proxy.socketPath);
  deaf.pause();
  const flood = Buffer.concat(Array.from({ length: 2000 }, () => frame(emptyRequest(STATUS))));
  for (let i = 0; i < 20; i++) deaf.write(flood);
  assert.equal(await ask(proxy.socketPath, STATUS), true);
  const { code } = await proxy.run("status");
  assert.equal(code, 0);
  for (const socket of [...silent, deaf]) socket.destroy();
  await until("descriptors are back", () => descriptorCount(proxy.pid) <= before);
});

test("a request that is not built yet, and an empty one, are refused by name", async (t) => {
  const proxy = await startProxy(t, {});
  assert.equal(await ask(proxy.socketPath, 43), false, "ReturnListenSockets (decisions 6)");
  const socket = await open(proxy.socketPath);
  socket.write(frame(new Uint8Array(0)));
  const answer = await collect(socket);
  assert.match(answer.toString("latin1"), /empty or of a kind/);
  socket.destroy();
});

test("CP-15 the socket is for its owner only", async (t) => {
  const proxy = await startProxy(t, {});
  assert.equal(statSync(proxy.socketPath).mode & 0o777, 0o600);
});

test("CP-16 a user who is not allowed is refused", async (t) => {
  const uid = process.getuid?.() ?? 0;
  const toml = `command_socket = "$FOLDER/sozu.sock"\ncommand_allowed_uids = [${uid + 1}]\nworker_count = 1\n`;
  // `ask` never gets an OK, so the library gives up; the proxy serves all the same.
  await assert.rejects(startProxy(t, { toml, readyTimeoutMs: 1500 }), /not ready/);
});

test("decisions 29: a second start is refused with the pid of the first, which goes on", async (t) => {
  const proxy = await startProxy(t, {});
  const { code, stderr } = await proxy.run("start");
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`already running, pid ${proxy.pid}`));
  assert.equal(await ask(proxy.socketPath, STATUS), true);
});

test("CP-15 a file or a link in the place of the socket is left alone", async (t) => {
  const proxy = await startProxy(t, {});
  const config = (name: string): string => {
    const path = join(proxy.folder, `${name}.toml`);
    writeFileSync(path, `command_socket = "${name}.sock"\nworker_count = 1\n`);
    return path;
  };
  writeFileSync(join(proxy.folder, "file.sock"), "somebody's");
  symlinkSync(proxy.socketPath, join(proxy.folder, "link.sock"));
  for (const name of ["file", "link"]) {
    const { code, stderr } = await proxy.run("start", "-c", config(name));
    assert.equal(code, 1);
    assert.match(stderr, /exists and is no socket/);
    assert.ok(existsSync(join(proxy.folder, `${name}.sock`)));
  }
});

test("CP-15 the socket of a dead main is replaced", async (t) => {
  const proxy = await startProxy(t, {});
  const workers = proxy.workerPids;
  proxy.kill("SIGKILL");
  await proxy.waitForExit();
  for (const pid of workers) process.kill(pid, "SIGTERM");
  await until("the workers end", () => workers.every((pid) => !isAlive(pid)));
  assert.ok(existsSync(proxy.socketPath));
  const second = proxy.run("start");
  await until("the second main answers", () => ask(proxy.socketPath, STATUS).catch(() => false));
  assert.equal((await proxy.run("shutdown")).code, 0);
  assert.equal((await second).code, 0);
});
