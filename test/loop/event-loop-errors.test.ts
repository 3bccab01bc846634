// A handler that throws is a bug of ours: it must not wedge the loop, lose edges of others or starve Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runScript } from "../os/descriptors.ts";

const PRELUDE = `
  import { EventLoop } from "loop/event-loop.ts";
  import { Memory } from "loop/memory.ts";
  import { Timed } from "loop/timer-wheel.ts";
  import { socketpair } from "os/listeners.ts";
  import { EPOLLIN, EPOLLET } from "os/epoll.ts";
  import { recv, send, UNIX_STREAM } from "os/sockets.ts";
  const loop = new EventLoop(new Memory(65536));
  const log: string[] = [];
  process.on("uncaughtException", (error) => log.push(error.message));
  loop.start();
`;

test("edges of other descriptors in the batch survive a throw", async () => {
  const { stdout, code } = await runScript(`${PRELUDE}
    let left = 10;
    for (let i = 0; i < 10; i++) {
      const [a, b] = socketpair(UNIX_STREAM);
      const token = loop.register(a, { onReady() {
        recv(a, 0, 1);
        loop.unregister(token, a);
        if (--left === 0) setImmediate(() => { loop.stop(); console.log(log.length, new Set(log).size); });
        throw new Error("bug " + i);
      } }, EPOLLIN | EPOLLET);
      send(b, 0, 1);
    }
  `);
  assert.deepEqual([stdout, code], ["10 10\n", 0]);
});

test("the ready list, timers and Node's own timers go on after throws", async () => {
  const { stdout, code } = await runScript(`${PRELUDE}
    class Entry extends Timed {
      onTimeout() { throw new Error("timer"); }
      onReady() { throw new Error("ready"); }
    }
    for (let i = 0; i < 3; i++) {
      const entry = new Entry();
      loop.wheel.arm(entry, 1);
      loop.runLater(entry);
    }
    setTimeout(() => { loop.stop(); console.log(log.join()); }, 450);
  `);
  assert.deepEqual([stdout, code], ["ready,ready,ready,timer,timer,timer\n", 0]);
});

test("a handler that throws for ever leaves time for the rest", async () => {
  const { stdout, code } = await runScript(`${PRELUDE}
    const [a, b] = socketpair(UNIX_STREAM);
    loop.register(a, { onReady() { throw new Error("again"); } }, EPOLLIN);
    send(b, 0, 1);
    setTimeout(() => { loop.stop(); console.log(log.length > 1); }, 20);
  `);
  assert.deepEqual([stdout, code], ["true\n", 0]);
});
