// epoll sets, timers and wake-ups, and the bridge into Node's loop.

import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, readClock } from "../../src/os/clock.ts";
import * as e from "../../src/os/epoll.ts";
import { EAGAIN, EBADF, EEXIST, EINVAL, ENOENT } from "../../src/os/errno.ts";
import { closeAll } from "../../src/os/fdpass.ts";
import { socketpair } from "../../src/os/listeners.ts";
import * as s from "../../src/os/sockets.ts";
import { eventfdCreate, eventfdRead, eventfdSignal, timerCreate, timerRead, timerSet } from "../../src/os/timerfd.ts";
import { ready, runScript } from "./descriptors.ts";

test("an event carries the index and the generation of its registration", () => {
  const epoll = e.epollCreate();
  const [a, b] = socketpair(s.UNIX_STREAM);
  assert.equal(e.epollAdd(epoll, a, e.EPOLLIN, 7, -2), 0);
  assert.equal(e.poll(epoll, 16, 0), 0);
  s.send(b, 0, 1);
  assert.equal(e.poll(epoll, 16, 0), 1);
  assert.deepEqual(Array.from(e.events.subarray(0, 3)), [e.EPOLLIN, 7, -2]);
  assert.equal(e.epollMod(epoll, a, e.EPOLLIN | e.EPOLLOUT, 2147483647, 2147483647), 0);
  assert.equal(e.poll(epoll, 16, 0), 1);
  assert.deepEqual(Array.from(e.events.subarray(0, 3)), [e.EPOLLIN | e.EPOLLOUT, 2147483647, 2147483647]);
  assert.equal(e.epollDel(epoll, a), 0);
  assert.equal(e.poll(epoll, 16, 0), 0);
  closeAll([a, b, epoll]);
});

test("edge-triggered registrations report once per edge, level-triggered ones as long as it lasts", () => {
  const epoll = e.epollCreate();
  const [a, b] = socketpair(s.UNIX_STREAM);
  const [c, d] = socketpair(s.UNIX_STREAM);
  e.epollAdd(epoll, a, e.EPOLLIN | e.EPOLLET, 1, 0);
  e.epollAdd(epoll, c, e.EPOLLIN, 2, 0);
  s.send(b, 0, 1);
  s.send(d, 0, 1);
  assert.equal(e.poll(epoll, 16, 0), 2);
  assert.equal(e.poll(epoll, 16, 0), 1);
  assert.equal(e.events[1], 2);
  s.send(b, 0, 1);
  assert.equal(e.poll(epoll, 16, 0), 2);
  closeAll([a, b, c, d, epoll]);
});

test("no more events than asked for, and errors for what is none", () => {
  const epoll = e.epollCreate();
  const pairs = Array.from({ length: 5 }, () => socketpair(s.UNIX_STREAM));
  for (const [i, [a]] of pairs.entries()) e.epollAdd(epoll, a, e.EPOLLOUT, i, 0);
  assert.equal(e.poll(epoll, 3, 0), 3);
  assert.equal(e.epollAdd(epoll, pairs[0][0], e.EPOLLOUT, 0, 0), -EEXIST);
  assert.equal(e.epollDel(epoll, pairs[0][1]), -ENOENT);
  assert.equal(e.epollAdd(epoll, -1, e.EPOLLIN, 0, 0), -EBADF);
  assert.equal(e.poll(-1, 1, 0), -EBADF);
  assert.equal(e.poll(pairs[0][0], 1, 0), -EINVAL);
  closeAll([epoll, ...pairs.flat()]);
});

test("a duplicate keeps a registration alive until EPOLL_CTL_DEL", () => {
  const epoll = e.epollCreate();
  const event = eventfdCreate();
  e.epollAdd(epoll, event, e.EPOLLIN, 3, 0);
  eventfdSignal(event);
  assert.equal(e.poll(epoll, 1, 0), 1);
  assert.equal(e.epollDel(epoll, event), 0);
  assert.equal(e.poll(epoll, 1, 0), 0);
  closeAll([epoll, event]);
});

test("poll refreshes both clocks", () => {
  const epoll = e.epollCreate();
  clock[0] = 0;
  clock[1] = 0;
  e.poll(epoll, 1, 0);
  assert.ok(clock[0] > 0);
  assert.ok(Math.abs(clock[1] / 1000 - Date.now()) < 60_000);
  const before = clock[0];
  assert.ok(readClock() >= before);
  s.close(epoll);
});

test("a timer fires, goes on after each read, and stops", () => {
  const timer = timerCreate();
  assert.equal(timerRead(timer), -EAGAIN);
  assert.equal(timerSet(timer, 1), 0);
  ready(timer);
  assert.ok(timerRead(timer) >= 1);
  ready(timer);
  assert.ok(timerRead(timer) >= 1);
  assert.equal(timerSet(timer, 0), 0);
  assert.equal(timerRead(timer), -EAGAIN);
  assert.equal(timerSet(timer, -1), -EINVAL);
  s.close(timer);
});

test("an unread event descriptor gives an edge for each signal", () => {
  const epoll = e.epollCreate();
  const event = eventfdCreate();
  e.epollAdd(epoll, event, e.EPOLLIN | e.EPOLLET, 0, 0);
  assert.equal(eventfdRead(event), -EAGAIN);
  for (let i = 0; i < 3; i++) {
    assert.equal(eventfdSignal(event), 0);
    assert.equal(e.poll(epoll, 1, 0), 1);
    assert.equal(e.poll(epoll, 1, 0), 0);
  }
  assert.equal(eventfdRead(event), 3);
  closeAll([event, epoll]);
});

test("the bridge calls back with its receiver, again while the set is ready, and not after it was stopped", async () => {
  const epoll = e.epollCreate();
  const event = eventfdCreate();
  e.epollAdd(epoll, event, e.EPOLLIN, 0, 0);
  const receiver = { calls: 0 };
  const { promise, resolve } = Promise.withResolvers<void>();
  function callback(this: typeof receiver): void {
    if (++this.calls === 3) {
      assert.equal(e.stopBridge(epoll), 0);
      resolve();
    }
  }
  assert.equal(e.startBridge(epoll, callback, receiver), 0);
  assert.equal(e.startBridge(epoll, callback, receiver), -EEXIST);
  eventfdSignal(event);
  await promise;
  await new Promise((done) => setImmediate(() => setImmediate(done)));
  assert.equal(receiver.calls, 3);
  assert.equal(e.stopBridge(epoll), -ENOENT);
  assert.equal(e.startBridge(event, "no" as unknown as () => void), -EINVAL);
  assert.equal(e.startBridge(-1, callback), -EBADF);
  closeAll([event, epoll]);
});

test("promises and ticks of a bridge callback run before the next callback", async () => {
  const epoll = e.epollCreate();
  const event = eventfdCreate();
  e.epollAdd(epoll, event, e.EPOLLIN, 0, 0);
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  e.startBridge(epoll, () => {
    order.push("call");
    process.nextTick(() => order.push("tick"));
    void Promise.resolve().then(() => order.push("promise"));
    if (order.length > 3) {
      e.stopBridge(epoll);
      resolve();
    }
  });
  eventfdSignal(event);
  await promise;
  assert.deepEqual(order.slice(0, 4), ["call", "tick", "promise", "call"]);
  closeAll([event, epoll]);
});

test("what a bridge callback throws is an uncaught exception, and the bridge goes on", async () => {
  const { stdout, code } = await runScript(`
    import { epollCreate, epollAdd, startBridge, stopBridge, EPOLLIN } from "os/epoll.ts";
    import { eventfdCreate, eventfdSignal } from "os/timerfd.ts";
    const epoll = epollCreate();
    const event = eventfdCreate();
    epollAdd(epoll, event, EPOLLIN, 0, 0);
    let calls = 0;
    const caught: string[] = [];
    process.on("uncaughtException", (error) => caught.push(error.message));
    startBridge(epoll, () => {
      calls++;
      void Promise.resolve().then(() => { if (calls === 3) { stopBridge(epoll); console.log(caught.join()); } });
      throw new Error("bug " + calls);
    });
    eventfdSignal(event);
    setTimeout(() => console.log("timers run"), 1);
  `);
  assert.equal(code, 0);
  assert.match(stdout, /bug 1,bug 2(,bug 3)?\n/);
  assert.match(stdout, /timers run\n/);
});

test("without a handler the exception ends the process with its stack", async () => {
  const { stderr, code } = await runScript(`
    import { epollCreate, epollAdd, startBridge, EPOLLIN } from "os/epoll.ts";
    import { eventfdCreate, eventfdSignal } from "os/timerfd.ts";
    const epoll = epollCreate();
    const event = eventfdCreate();
    epollAdd(epoll, event, EPOLLIN, 0, 0);
    startBridge(epoll, () => { throw new Error("nobody catches this"); });
    eventfdSignal(event);
  `);
  assert.notEqual(code, 0);
  assert.match(stderr, /nobody catches this/);
});

test("a bridge callback may end the process", async () => {
  const { stdout, code } = await runScript(`
    import { epollCreate, epollAdd, startBridge, EPOLLIN } from "os/epoll.ts";
    import { eventfdCreate, eventfdSignal } from "os/timerfd.ts";
    const epoll = epollCreate();
    const event = eventfdCreate();
    epollAdd(epoll, event, EPOLLIN, 0, 0);
    startBridge(epoll, () => { console.log("leaving"); process.exit(4); });
    eventfdSignal(event);
  `);
  assert.deepEqual([stdout, code], ["leaving\n", 4]);
});

test("a process with a running bridge can exit", async () => {
  const { stdout, code } = await runScript(`
    import { epollCreate, startBridge } from "os/epoll.ts";
    startBridge(epollCreate(), () => {});
    setImmediate(() => { console.log("leaving"); process.exit(3); });
  `);
  assert.deepEqual([stdout, code], ["leaving\n", 3]);
});
