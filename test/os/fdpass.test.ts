// Descriptors over unix sockets: what is announced arrives, anything else is refused without a leak (CP-22).

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { EAGAIN, EBADF, EFAULT, EINVAL, EMSGSIZE } from "../../src/os/errno.ts";
import { closeAll, passedFds, type Received, recvFds, recvPacket, sendFds } from "../../src/os/fdpass.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { getCloexec } from "../../src/os/process.ts";
import * as s from "../../src/os/sockets.ts";
import { eventfdCreate } from "../../src/os/timerfd.ts";
import { put, textAt } from "./descriptors.ts";

const openDescriptors = () => readdirSync("/proc/self/fd").length;

function received(result: Received | number): Received {
  assert.ok(typeof result !== "number", `recvFds: ${result}`);
  return result;
}

for (const kind of [s.UNIX_STREAM, s.UNIX_SEQPACKET, s.UNIX_DGRAM]) {
  test(`a descriptor and its bytes cross a pair of kind ${kind}, both ways, close-on-exec`, () => {
    const [a, b] = socketpair(kind);
    const [inner, outer] = socketpair(s.UNIX_STREAM);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.equal(sendFds(from, Buffer.from("take"), [inner]), 4);
      const { data, fds } = received(recvFds(to, 100, 1));
      assert.equal(Buffer.from(data).toString(), "take");
      assert.equal(fds.length, 1);
      assert.equal(getCloexec(fds[0]), 1);
      assert.equal(s.send(outer, 0, put(0, "through")), 7);
      assert.equal(s.recv(fds[0], 0, 100), 7);
      closeAll(fds);
    }
    closeAll([a, b, inner, outer]);
  });
}

test("CP-22 more descriptors than announced: an error, and all are closed", () => {
  const [a, b] = socketpair(s.UNIX_SEQPACKET);
  const before = openDescriptors();
  for (const [sent, accepted] of [
    [1, 0],
    [2, 1],
    [3, 2],
    [200, 199],
  ]) {
    assert.equal(sendFds(a, Buffer.from("x"), new Array(sent).fill(a)), 1);
    assert.equal(recvFds(b, 10, accepted), -EMSGSIZE);
    assert.equal(openDescriptors(), before);
  }
  closeAll([a, b]);
});

test("CP-22 200 descriptors fit, 201 are refused at the sender", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const before = openDescriptors();
  assert.equal(sendFds(a, Buffer.from("x"), new Array(200).fill(a)), 1);
  const { fds } = received(recvFds(b, 10, 200));
  assert.equal(fds.length, 200);
  assert.equal(openDescriptors(), before + 200);
  closeAll(fds);
  assert.equal(sendFds(a, Buffer.from("x"), new Array(201).fill(a)), -EINVAL);
  assert.equal(recvFds(b, 10, 201), -EINVAL);
  closeAll([a, b]);
});

test("CP-22 fewer descriptors, none, and the end of the stream are told apart", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  assert.equal(recvFds(b, 10, 5), -EAGAIN);
  sendFds(a, Buffer.from("one"), [a]);
  const one = received(recvFds(b, 10, 5));
  assert.equal(one.fds.length, 1);
  closeAll(one.fds);
  sendFds(a, Buffer.from("none"), []);
  assert.deepEqual(received(recvFds(b, 10, 5)).fds, []);
  s.close(a);
  const end = received(recvFds(b, 10, 5));
  assert.equal(end.data.length, 0);
  s.close(b);
});

test("a packet longer than the buffer is an error, and its descriptors are closed", () => {
  const [a, b] = socketpair(s.UNIX_SEQPACKET);
  const before = openDescriptors();
  sendFds(a, Buffer.alloc(100), [a]);
  assert.equal(recvFds(b, 99, 1), -EMSGSIZE);
  assert.equal(openDescriptors(), before);
  closeAll([a, b]);
});

test("descriptors of two messages are not mixed", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  const event = eventfdCreate();
  sendFds(a, Buffer.from("12"), [event]);
  sendFds(a, Buffer.from("34"), [event, event]);
  const first = received(recvFds(b, 100, 10));
  const second = received(recvFds(b, 100, 10));
  assert.deepEqual([first.fds.length, second.fds.length], [1, 2]);
  assert.equal(Buffer.concat([first.data, second.data]).toString(), "1234");
  closeAll([...first.fds, ...second.fds, event, a, b]);
});

test("bad descriptors and descriptors without bytes are refused", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  assert.equal(sendFds(a, Buffer.from("x"), [-1]), -EBADF);
  assert.equal(sendFds(a, new Uint8Array(0), [a]), -EINVAL);
  assert.equal(recvFds(b, 0, 1), -EINVAL);
  assert.equal(recvFds(-1, 10, 1), -EBADF);
  closeAll([a, b]);
});

test("a packet into the arena: bytes, descriptors, refusals and the end as recvFds has them", () => {
  const [a, b] = socketpair(s.UNIX_SEQPACKET);
  const before = openDescriptors();
  put(0, "................");
  assert.equal(recvPacket(b, 4, 8, 2), -EAGAIN);
  sendFds(a, Buffer.from("abc"), []);
  assert.equal(recvPacket(b, 4, 8, 2), 3);
  assert.deepEqual(passedFds(), []);
  assert.equal(textAt(0, 16), "....abc.........");
  sendFds(a, Buffer.from("12345678"), [a, b]);
  assert.equal(recvPacket(b, 0, 8, 2), 8);
  const fds = passedFds();
  assert.equal(fds.length, 2);
  assert.ok(fds.every((fd) => getCloexec(fd) === 1));
  closeAll(fds);
  sendFds(a, Buffer.from("x"), [a, a, a]);
  assert.equal(recvPacket(b, 0, 8, 2), -EMSGSIZE);
  sendFds(a, Buffer.from("123456789"), [a]);
  assert.equal(recvPacket(b, 0, 8, 2), -EMSGSIZE);
  assert.equal(openDescriptors(), before);
  assert.equal(recvPacket(b, 1_000_000_000, 8, 2), -EFAULT);
  assert.equal(recvPacket(b, 0, 8, 129), -EINVAL);
  s.close(a);
  assert.equal(recvPacket(b, 0, 8, 2), 0);
  s.close(b);
});
