// The event loop over real descriptors.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { EventLoop, type Handler } from "../../src/loop/event-loop.ts";
import { Memory } from "../../src/loop/memory.ts";
import { Timed } from "../../src/loop/timer-wheel.ts";
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../src/os/epoll.ts";
import { EAGAIN, EBADF } from "../../src/os/errno.ts";
import { closeAll } from "../../src/os/fdpass.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { close, recv, send, UNIX_STREAM } from "../../src/os/sockets.ts";

const memory = new Memory(65536);

function makeLoop(): EventLoop {
  const loop = new EventLoop(memory);
  loop.start();
  after(() => loop.dispose());
  return loop;
}

function handler(onReady: (events: number) => void): Handler & { queued: boolean } {
  return { onReady, queued: false };
}

/** One round of Node's loop, its poll for events included. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits for a condition; the test runner's timeout is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

class Timeout extends Timed {
  readonly done: () => void;
  constructor(done: () => void) {
    super();
    this.done = done;
  }
  onReady(): void {
    this.done();
  }
  override onTimeout(): void {
    this.done();
  }
}

test("events reach the handler of their descriptor", async () => {
  const loop = makeLoop();
  const [a, b] = socketpair(UNIX_STREAM);
  const token = await new Promise<number>((resolve) => {
    const token = loop.register(
      a,
      handler((events) => {
        assert.ok(events & EPOLLIN);
        assert.equal(recv(a, 0, 10), 4);
        resolve(token);
      }),
      EPOLLIN | EPOLLRDHUP | EPOLLET,
    );
    assert.ok(token >= 0);
    send(b, 0, 4);
  });
  assert.ok(Math.abs(loop.realtimeMs - Date.now()) < 60_000);
  assert.equal(loop.nowMs, Math.floor(loop.nowUs / 1000));
  assert.equal(loop.unregister(token, a), 0);
  assert.equal(
    loop.register(
      -1,
      handler(() => {}),
      EPOLLIN,
    ),
    -EBADF,
  );
  closeAll([a, b]);
});

test("an event of a descriptor that was closed in the same batch is dropped, also when its token lives on", async () => {
  const loop = makeLoop();
  const pairs = [socketpair(UNIX_STREAM), socketpair(UNIX_STREAM)];
  const [c, d] = socketpair(UNIX_STREAM);
  const tokens: number[] = [];
  let calls = 0;
  const finished = new Promise<number>((resolve) => {
    for (const [i, [fd]] of pairs.entries()) {
      tokens[i] = loop.register(
        fd,
        handler(() => {
          calls++;
          const other = 1 - i;
          for (const each of [i, other]) {
            loop.unregister(tokens[each], pairs[each][0]);
            close(pairs[each][0]);
          }
          // Takes the other's token over while an event for the old registration is still in the batch.
          const heir = loop.register(
            c,
            handler(() => assert.fail("not for the heir")),
            EPOLLIN | EPOLLET,
          );
          assert.ok(tokens.includes(heir));
          loop.runLater(handler(() => resolve(heir)));
        }),
        EPOLLIN | EPOLLET,
      );
    }
    for (const [, fd] of pairs) send(fd, 0, 1);
  });
  const heir = await finished;
  assert.equal(calls, 1);
  loop.unregister(heir, c);
  closeAll([pairs[0][1], pairs[1][1], c, d]);
});

test("modify reports what is ready already; unregistering twice or an unknown token does no harm", async () => {
  const loop = makeLoop();
  const [a, b] = socketpair(UNIX_STREAM);
  const seen: number[] = [];
  await new Promise<void>((resolve) => {
    const token = loop.register(
      a,
      handler((events) => {
        seen.push(events);
        if (seen.length === 1) assert.equal(loop.modify(token, a, EPOLLOUT | EPOLLET), 0);
        else resolve();
      }),
      EPOLLOUT | EPOLLET,
    );
    const before = loop.registered;
    assert.ok(loop.unregister(-1, b) < 0);
    assert.ok(loop.unregister(9999, b) < 0);
    assert.equal(loop.registered, before);
  });
  assert.deepEqual(seen, [EPOLLOUT, EPOLLOUT]);
  closeAll([a, b]);
});

test("many registrations come and go with few tokens", () => {
  const loop = makeLoop();
  const fds = Array.from({ length: 100 }, () => socketpair(UNIX_STREAM)).flat();
  const nothing = handler(() => {});
  for (let round = 0; round < 3; round++) {
    const tokens = fds.map((fd) => loop.register(fd, nothing, EPOLLIN | EPOLLET));
    assert.equal(new Set(tokens).size, fds.length);
    assert.ok(Math.max(...tokens) < fds.length + 2);
    for (const [i, fd] of fds.entries()) assert.equal(loop.unregister(tokens[i], fd), 0);
  }
  assert.equal(loop.registered, 2);
  closeAll(fds);
});

test("connections that come and go leave no descriptor, no token and no timer", async () => {
  const loop = makeLoop();
  const openBefore = readdirSync("/proc/self/fd").length;
  let open = 0;
  class Connection extends Timed {
    readonly fd: number;
    readonly token: number;
    constructor(fd: number) {
      super();
      this.fd = fd;
      this.token = loop.register(fd, this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
      loop.wheel.arm(this, 60_000);
      open++;
    }
    onReady(): void {
      let length = recv(this.fd, 0, 16);
      for (; length > 0; length = recv(this.fd, 0, 16)) loop.wheel.arm(this, 90_000);
      if (length !== -EAGAIN) this.close();
    }
    override onTimeout(): void {
      assert.fail("too early");
    }
    close(): void {
      loop.wheel.cancel(this);
      assert.equal(loop.unregister(this.token, this.fd), 0);
      close(this.fd);
      open--;
    }
  }
  for (let round = 0; round < 20; round++) {
    const peers = Array.from({ length: 50 }, () => {
      const [a, b] = socketpair(UNIX_STREAM);
      new Connection(a);
      send(b, 0, 16);
      return b;
    });
    await nextTurn();
    closeAll(peers);
    await until(() => open === 0);
  }
  assert.equal(loop.wheel.count, 0);
  assert.equal(loop.registered, 2);
  assert.equal(readdirSync("/proc/self/fd").length, openBefore);
});

test("what is queued runs once per queueing round, in order, in the next pass, with 0 as events", async () => {
  const loop = makeLoop();
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    const last = handler(() => resolve());
    const second = handler(() => {
      order.push("second");
      loop.runLater(last);
    });
    const first = handler((events) => {
      order.push(`first ${events}`);
      if (order.length === 1) {
        loop.runLater(first);
        loop.runLater(second);
      }
    });
    const dropped = handler(() => assert.fail("was taken off"));
    loop.runLater(first);
    loop.runLater(first);
    loop.runLater(second);
    loop.runLater(second);
    loop.runLater(dropped);
    loop.cancelLater(dropped);
  });
  assert.deepEqual(order, ["first 0", "second", "first 0"]);
});

test("something queued from outside of a turn wakes the loop", async () => {
  const loop = makeLoop();
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => loop.runLater(new Timeout(resolve)));
  }
});

test("a handler that always queues itself starves neither Node's timers nor sockets", async () => {
  const loop = makeLoop();
  const [a, b] = socketpair(UNIX_STREAM);
  let spins = 0;
  let running = true;
  const greedy = handler(() => {
    spins++;
    if (running) loop.runLater(greedy);
  });
  loop.runLater(greedy);
  const event = new Promise<void>((resolve) => {
    const token = loop.register(
      a,
      handler(() => {
        loop.unregister(token, a);
        resolve();
      }),
      EPOLLIN | EPOLLET,
    );
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  send(b, 0, 1);
  await event;
  await new Promise((resolve) => setImmediate(resolve));
  running = false;
  assert.ok(spins > 1);
  closeAll([a, b]);
});

test("timeouts fire from the loop alone, and an idle loop stops ticking", async () => {
  const loop = makeLoop();
  const start = performance.now();
  await new Promise<void>((resolve) => loop.wheel.arm(new Timeout(resolve), 120));
  assert.ok(performance.now() - start >= 119);
  assert.ok(loop.isTicking);
  await until(() => !loop.isTicking);
  await new Promise<void>((resolve) => loop.wheel.arm(new Timeout(resolve), 1));
});

test("the end of a batch is announced after its handlers", async () => {
  const loop = makeLoop();
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    loop.onTurnEnd(() => {
      order.push("end");
      resolve();
    });
    loop.runLater(handler(() => order.push("ready")));
  });
  assert.deepEqual(order, ["ready", "end"]);
});

test("a stopped loop handles nothing until it is started again", async () => {
  const loop = makeLoop();
  loop.stop();
  loop.stop();
  let calls = 0;
  const done = new Promise<void>((resolve) =>
    loop.runLater(
      handler(() => {
        calls++;
        resolve();
      }),
    ),
  );
  for (let i = 0; i < 5; i++) await nextTurn();
  assert.equal(calls, 0);
  loop.start();
  await done;
});

test("stopping from within a handler leaves later events to the next start", async () => {
  const loop = makeLoop();
  const [a, b] = socketpair(UNIX_STREAM);
  let read = 0;
  loop.register(
    a,
    handler(() => {
      while (recv(a, 0, 1) > 0) read++;
      loop.stop();
    }),
    EPOLLIN | EPOLLET,
  );
  send(b, 0, 1);
  await until(() => read === 1);
  send(b, 0, 1);
  for (let i = 0; i < 5; i++) await nextTurn();
  assert.equal(read, 1);
  loop.start();
  await until(() => read === 2);
  assert.equal(recv(a, 0, 1), -EAGAIN);
  closeAll([a, b]);
});

test("RX-17 a loop that stood still says at its next tick by how much it is late", async () => {
  const loop = makeLoop();
  let worst = 0;
  loop.onLag = (lagMs) => {
    worst = Math.max(worst, lagMs);
  };
  const timed = new Timeout(() => {});
  loop.wheel.arm(timed, 60_000);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
  await until(() => worst >= 500);
  loop.wheel.cancel(timed);
});
