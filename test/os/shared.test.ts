// Shared and anonymous memory.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { mapAnonymous, releasePages } from "../../src/os/arena.ts";
import { EBADF, EINVAL, OsError } from "../../src/os/errno.ts";
import { getCloexec } from "../../src/os/process.ts";
import { fdSize, mapShared, memfd, truncate } from "../../src/os/shared.ts";
import { close } from "../../src/os/sockets.ts";
import { arena } from "./descriptors.ts";

test("two maps of a memfd see each other's writes, also after the descriptor is closed", () => {
  const fd = memfd("stats", 8192);
  assert.equal(getCloexec(fd), 1);
  assert.equal(fdSize(fd), 8192);
  const one = new Float64Array(mapShared(fd, 8192));
  const two = new Float64Array(mapShared(fd, 4096));
  assert.equal(one[5], 0);
  one[5] = 1.5;
  assert.equal(two[5], 1.5);
  close(fd);
  two[6] = 2;
  assert.equal(one[6], 2);
});

test("another process sees the map", () => {
  const fd = memfd("seen", 100);
  new Uint8Array(mapShared(fd, 100)).set(Buffer.from("hello"));
  assert.equal(readFileSync(`/proc/${process.pid}/fd/${fd}`).subarray(0, 5).toString(), "hello");
  close(fd);
});

test("a file grows, and a map beyond its end is refused", () => {
  const fd = memfd("grow", 10);
  assert.throws(
    () => mapShared(fd, 11),
    (error) => error instanceof OsError && error.errno === EINVAL,
  );
  assert.equal(truncate(fd, 5_000_000_000), 0);
  assert.equal(fdSize(fd), 5_000_000_000);
  assert.equal(truncate(fd, -1), -EINVAL);
  assert.equal(truncate(fd, Number.NaN), -EINVAL);
  assert.throws(() => mapShared(fd, 0), OsError);
  assert.throws(
    () => mapShared(-1, 10),
    (error) => error instanceof OsError && error.errno === EBADF,
  );
  close(fd);
  assert.equal(fdSize(fd), -EBADF);
  assert.equal(memfd("a\0b", 1), -EINVAL);
});

test("released pages read as zeros, bytes around them stay", () => {
  arena.fill(1, 0, 16384);
  assert.equal(releasePages(100, 12288), 0);
  assert.equal(arena[4095], 1);
  assert.equal(arena[4096], 0);
  assert.equal(arena[12287], 0);
  assert.equal(arena[12288], 1);
  assert.equal(releasePages(1, 10), 0);
  arena.fill(0, 0, 16384);
});

test("anonymous memory is zeroed and committed only when touched", () => {
  const resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  const before = resident();
  const bytes = mapAnonymous(512 * 1024 * 1024);
  assert.equal(bytes[bytes.length - 1], 0);
  assert.ok(resident() - before < 100 * 1024);
  assert.throws(() => mapAnonymous(0), OsError);
});
