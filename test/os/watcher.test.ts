// Watching descriptors without an event loop.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOLLIN, EPOLLOUT } from "../../src/os/epoll.ts";
import { EBADF, EEXIST, ENOENT } from "../../src/os/errno.ts";
import { closeAll } from "../../src/os/fdpass.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { spawn, waitPid } from "../../src/os/process.ts";
import * as s from "../../src/os/sockets.ts";
import { changeWatch, unwatchFd, watchFd } from "../../src/os/watcher.ts";
import { runScript } from "./descriptors.ts";

test("a readable descriptor is reported until it is read", async () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const reads = await new Promise<number[]>((resolve) => {
    const list: number[] = [];
    watchFd(a, () => {
      list.push(s.recv(a, 0, 1));
      if (list.length === 3) resolve(list);
    });
    s.send(b, 0, 3);
  });
  assert.deepEqual(reads, [1, 1, 1]);
  assert.equal(unwatchFd(a), 0);
  assert.equal(unwatchFd(a), -ENOENT);
  closeAll([a, b]);
});

test("interest changes, and doubles and non-descriptors are refused", async () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const bits = await new Promise<number>((resolve) => {
    assert.equal(watchFd(a, resolve), 0);
    assert.equal(watchFd(a, resolve), -EEXIST);
    assert.equal(watchFd(-1, resolve), -EBADF);
    assert.equal(changeWatch(a, EPOLLIN | EPOLLOUT), 0);
  });
  assert.equal(bits, EPOLLOUT);
  unwatchFd(a);
  assert.equal(changeWatch(a, EPOLLIN), -ENOENT);
  closeAll([a, b]);
});

test("an event already collected is not delivered to a descriptor that was unwatched or replaced", async () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const [c, d] = socketpair(s.UNIX_STREAM);
  s.send(b, 0, 1);
  s.send(d, 0, 1);
  let calls = 0;
  await new Promise<void>((resolve) => {
    const first = (other: number) => () => {
      calls++;
      for (const fd of [a, c]) unwatchFd(fd);
      watchFd(other, () => assert.fail("nothing came since"), 0);
      setImmediate(() => setImmediate(resolve));
    };
    watchFd(a, first(c));
    watchFd(c, first(a));
  });
  assert.equal(calls, 1);
  unwatchFd(a);
  unwatchFd(c);
  closeAll([a, b, c, d]);
});

test("a pidfd tells that a process ended", async () => {
  const spawned = spawn({ file: "/bin/sh", args: ["sh", "-c", "exit 5"], env: {}, fds: [] });
  assert.ok(typeof spawned !== "number");
  await new Promise((resolve) => watchFd(spawned.pidfd, resolve));
  assert.deepEqual(waitPid(spawned.pidfd), { exitCode: 5, signal: 0 });
  unwatchFd(spawned.pidfd);
  s.close(spawned.pidfd);
});

test("the process ends when nothing is watched any more, and a throwing callback stops nobody", async () => {
  const { stdout, code } = await runScript(`
    import { watchFd, unwatchFd } from "os/watcher.ts";
    import { socketpair } from "os/listeners.ts";
    import { send, UNIX_STREAM } from "os/sockets.ts";
    import { mapAnonymous, registerArena } from "os/arena.ts";
    registerArena(mapAnonymous(4096));
    const pairs = [socketpair(UNIX_STREAM), socketpair(UNIX_STREAM)];
    process.on("uncaughtException", (error) => console.log(error.message));
    for (const [i, [a, b]] of pairs.entries()) {
      watchFd(a, () => { unwatchFd(a); throw new Error("bug " + i); });
      send(b, 0, 1);
    }
  `);
  assert.equal(code, 0);
  assert.deepEqual(stdout.trim().split("\n").sort(), ["bug 0", "bug 1"]);
});
