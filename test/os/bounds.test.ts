// Whatever offset, length or argument arrives, a call answers with an error: it never touches memory outside the arena.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { releasePages } from "../../src/os/arena.ts";
import { epollCreate, poll } from "../../src/os/epoll.ts";
import { EBUSY, EFAULT, EINVAL, ENOTCONN } from "../../src/os/errno.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { type Native, native } from "../../src/os/native.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { arena, runScript } from "./descriptors.ts";

const SIZE = arena.length;
const OUTSIDE: readonly (readonly [offset: number, length: number])[] = [
  [-1, 1],
  [0, -1],
  [0, SIZE + 1],
  [SIZE, 1],
  [1, SIZE],
  [2147483647, 1],
  [2147483647, 2147483647],
  [-2147483648, 2147483647],
  [-2147483648, -2147483648],
];

test("ranges outside the arena are EFAULT for every hot call", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  for (const [offset, length] of OUTSIDE) {
    assert.equal(s.recv(a, offset, length), -EFAULT);
    assert.equal(s.peek(a, offset, length), -EFAULT);
    assert.equal(s.send(a, offset, length), -EFAULT);
    assert.equal(s.connect(a, offset, length), -EFAULT);
    assert.equal(releasePages(offset, length), -EFAULT);
    s.iov.set([0, 1, offset, length]);
    assert.equal(s.writev(a, 2), -EFAULT);
  }
  assert.equal(s.send(a, SIZE - 1, 1), 1);
  assert.equal(s.recv(b, SIZE - 1, 1), 1);
  s.close(a);
  s.close(b);
});

test("ranges outside the arena are EFAULT for TLS calls, whatever the session", () => {
  const context = tls.createContext({}) as number;
  const [a, b] = socketpair(s.UNIX_STREAM);
  const session = tls.tlsAccept(a, context, 0, 0);
  for (const [offset, length] of OUTSIDE) {
    assert.equal(tls.tlsAccept(a, context, offset, length), -EFAULT);
    assert.equal(tls.handshake(session, offset, length), -EFAULT);
    assert.equal(tls.tlsRead(session, offset, length), -EFAULT);
    assert.equal(tls.tlsWrite(session, offset, length), -EFAULT);
    assert.equal(tls.peerCertificate(session, tls.PEER_DER, offset, length), -EFAULT);
    s.iov.set([0, 1, offset, length]);
    assert.equal(tls.tlsWritev(session, 2), -EFAULT);
  }
  assert.equal(tls.tlsRead(session, 0, 10), -ENOTCONN);
  assert.equal(tls.tlsWrite(session, 0, 10), -ENOTCONN);
  assert.equal(tls.tlsShutdown(session), -ENOTCONN);
  assert.equal(tls.readFacts(session), -ENOTCONN);
  for (const count of [-1, 65, 2147483647]) assert.equal(tls.tlsWritev(session, count), -EINVAL);
  assert.equal(tls.choose(session, context, 0, -1), -EINVAL);
  assert.equal(tls.refuse(session, 40), -EINVAL);
  tls.tlsFree(session);
  tls.destroyContext(context);
  for (const fd of [a, b]) s.close(fd);
});

test("counts out of range are EINVAL", () => {
  const epoll = epollCreate();
  for (const count of [-1, 65, 2147483647]) assert.equal(s.writev(0, count), -EINVAL);
  for (const count of [0, -1, 513]) assert.equal(poll(epoll, count, 0), -EINVAL);
  assert.equal(s.connect(epoll, 0, 1), -EFAULT);
  assert.equal(s.connect(epoll, 0, 4096), -EINVAL);
  s.close(epoll);
});

// Values of every type a confused caller could pass. Descriptors among them are no real ones.
const anything = fc.oneof(
  fc.constantFrom(undefined, null, true, "", "text", Number.NaN, Number.POSITIVE_INFINITY, -1, -1.5, 2 ** 31, 2 ** 53),
  fc.constantFrom(-(2 ** 40), 1e300, 10n, Symbol("s"), {}, [], () => {}),
  fc.constantFrom(
    new ArrayBuffer(8),
    new Uint8Array(0),
    new Int32Array(0),
    new Float64Array(2),
    new DataView(new ArrayBuffer(8)),
  ),
  fc.uint8Array({ maxLength: 40 }),
  fc.int32Array({ maxLength: 8, min: -5, max: -1 }),
);

const VALUE_CALLS = [
  "bindRegisters",
  "registerArena",
  "bind",
  "connectTo",
  "socketName",
  "steerReuseport",
  "startBridge",
  "mapShared",
  "sendFds",
  "recvFds",
  "spawn",
  "execve",
  "memfd",
  "tlsCreateContext",
  "tlsCreateIdentity",
  "tlsSetStaple",
  "tlsConnect",
  "tlsLastReason",
] as const satisfies readonly (keyof Native)[];

test("value calls answer wrong arguments with an error number", () => {
  const calls = VALUE_CALLS.filter((name) => name !== "registerArena" && name !== "memfd" && name !== "tlsLastReason");
  fc.assert(
    fc.property(fc.constantFrom(...calls), fc.array(anything, { maxLength: 7 }), (name, args) => {
      const call = native[name] as (...args: unknown[]) => unknown;
      const result = call(...args);
      assert.ok(typeof result === "number" && result < 0, `${name} -> ${String(result)}`);
    }),
    { numRuns: 3000 },
  );
});

test("the register block is bound once", () => {
  assert.equal(native.bindRegisters(new ArrayBuffer(8192)), -EBUSY);
  assert.equal(native.bindRegisters(new ArrayBuffer(8)), -EINVAL);
  assert.equal(native.registerArena(new Int32Array(8) as unknown as Uint8Array), -EINVAL);
  assert.equal(native.memfd(new Uint8Array([65])), -EINVAL);
});

test("a second thread is refused with a message", async () => {
  const { stdout } = await runScript(`
    import { native } from "os/native.ts";
    import { Worker } from "node:worker_threads";
    const code = 'import(' + JSON.stringify(process.argv[1]) + ')';
    const path = import.meta.url;
    const source = ${JSON.stringify(new URL("../../src/os/native.ts", import.meta.url).href)};
    const worker = new Worker("import(" + JSON.stringify(source) + ")", { eval: true });
    worker.on("error", (error) => console.log(typeof native.recv, error.message));
  `);
  assert.match(stdout, /^function the native layer of sozu can be used by one thread/);
});
