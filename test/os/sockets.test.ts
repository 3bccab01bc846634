// Sockets over the real kernel: TCP on both families, unix sockets, errors, options.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { createServer, connect as netConnect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { clock } from "../../src/os/clock.ts";
import { EPOLLOUT } from "../../src/os/epoll.ts";
import {
  EADDRINUSE,
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  ENOENT,
  ENOPROTOOPT,
  ENOTCONN,
  EPIPE,
} from "../../src/os/errno.ts";
import {
  bindTcp,
  connectUnix,
  getpeername,
  listenTcp,
  listenUnix,
  peerCred,
  socketpair,
} from "../../src/os/listeners.ts";
import { getCloexec } from "../../src/os/process.ts";
import * as s from "../../src/os/sockets.ts";
import { connectTcp, nameOf, put, ready, tcpPair, temporaryFolder, textAt } from "./descriptors.ts";

for (const ip of ["127.0.0.1", "::1"]) {
  test(`bytes go both ways over TCP on ${ip}`, () => {
    const { client, server } = tcpPair(ip);
    assert.equal(s.send(client, 0, put(0, "ping")), 4);
    ready(server);
    assert.equal(s.recv(server, 100, 50), 4);
    assert.equal(textAt(100, 4), "ping");
    assert.equal(s.recv(server, 100, 50), -EAGAIN);
    assert.equal(s.send(server, 0, put(0, "pong!")), 5);
    ready(client);
    assert.equal(s.recv(client, 200, 50), 5);
    assert.equal(textAt(200, 5), "pong!");
    s.close(client);
    s.close(server);
  });

  test(`accept names the peer on ${ip}`, () => {
    const { client, server } = tcpPair(ip);
    const own = nameOf(client);
    assert.equal(s.formatPeer(s.peerAddress), ip === "::1" ? `[::1]:${own.port}` : `127.0.0.1:${own.port}`);
    assert.equal(s.peerAddress[0], ip === "::1" ? 6 : 4);
    assert.equal(s.peerAddress[1], own.port);
    assert.deepEqual(Array.from(s.peerAddress.subarray(2)), ip === "::1" ? [0, 0, 0, 1] : [0x7f000001, 0, 0, 0]);
    assert.deepEqual(getpeername(server), own);
    s.close(client);
    s.close(server);
  });
}

test("a client of node:net talks to our sockets", async () => {
  const listener = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: true });
  const client = netConnect(nameOf(listener).port, "127.0.0.1");
  await new Promise((resolve) => client.once("connect", resolve));
  const server = s.accept(listener);
  s.send(server, 0, put(0, "hello"));
  s.shutdown(server, s.SHUT_WR);
  const chunks: Buffer[] = [];
  for await (const chunk of client) chunks.push(chunk as Buffer);
  assert.equal(Buffer.concat(chunks).toString(), "hello");
  s.close(server);
  s.close(listener);
});

test("unix sockets carry bytes, have the asked mode, credentials and no IP name", () => {
  const path = join(temporaryFolder(), "a.sock");
  const listener = listenUnix(path, 0o600);
  assert.ok(listener >= 0);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const client = connectUnix(path);
  const server = s.accept(listener);
  assert.equal(s.peerAddress[0], 0);
  assert.equal(s.formatPeer(s.peerAddress), "unix");
  assert.equal(s.send(client, 0, put(0, "x")), 1);
  assert.equal(s.recv(server, 0, 10), 1);
  assert.deepEqual(peerCred(server), { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() });
  for (const fd of [client, server, listener]) s.close(fd);
});

test("the mode of a unix listener may be wider than the umask", () => {
  const path = join(temporaryFolder(), "wide.sock");
  const listener = listenUnix(path, 0o666);
  assert.equal(statSync(path).mode & 0o777, 0o666);
  s.close(listener);
});

test("a unix path that exists, is missing or too long is refused", () => {
  const path = join(temporaryFolder(), "b.sock");
  const listener = listenUnix(path, 0o600);
  assert.equal(listenUnix(path, 0o600), -EADDRINUSE);
  s.close(listener);
  assert.equal(connectUnix(path), -ECONNREFUSED);
  assert.equal(connectUnix(`${path}.none`), -ENOENT);
  assert.equal(listenUnix("x".repeat(108), 0o600), -EINVAL);
  assert.equal(listenUnix("a\0b", 0o600), -EINVAL);
});

test("the end of the stream is 0, writing after it EPIPE, a reset ECONNRESET", () => {
  const first = tcpPair();
  s.close(first.client);
  ready(first.server);
  assert.equal(s.recv(first.server, 0, 10), 0);
  s.close(first.server);

  const [a, b] = socketpair(s.UNIX_STREAM);
  s.close(a);
  assert.equal(s.send(b, 0, 1), -EPIPE);
  s.close(b);

  const second = tcpPair();
  assert.equal(s.setLinger(second.client, 0), 0);
  s.close(second.client);
  ready(second.server);
  assert.equal(s.recv(second.server, 0, 10), -ECONNRESET);
  s.close(second.server);
});

test("a half-closed connection still carries the answer", () => {
  const { client, server } = tcpPair();
  s.send(client, 0, put(0, "q"));
  assert.equal(s.shutdown(client, s.SHUT_WR), 0);
  ready(server);
  assert.equal(s.recv(server, 0, 10), 1);
  assert.equal(s.recv(server, 0, 10), 0);
  assert.equal(s.send(server, 0, put(0, "answer")), 6);
  ready(client);
  assert.equal(s.recv(client, 0, 10), 6);
  s.close(client);
  s.close(server);
});

test("peek leaves the bytes, and sees the end of the stream", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  assert.equal(s.peek(b, 0, 10), -EAGAIN);
  s.send(a, 0, put(0, "abc"));
  assert.equal(s.peek(b, 10, 2), 2);
  assert.equal(s.unreadBytes(b), 3);
  assert.equal(s.recv(b, 10, 10), 3);
  s.close(a);
  assert.equal(s.peek(b, 0, 1), 0);
  s.close(b);
});

test("writev gathers spans in their order and stops at a full socket", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  put(0, "worldhello, ");
  s.iov.set([5, 7, 0, 5, 3, 0]);
  assert.equal(s.writev(a, 3), 12);
  assert.equal(s.recv(b, 100, 100), 12);
  assert.equal(textAt(100, 12), "hello, world");
  s.iov.set([0, 65536, 0, 65536]);
  let total = 0;
  let result = s.writev(a, 2);
  for (; result > 0; result = s.writev(a, 2)) total += result;
  assert.equal(result, -EAGAIN);
  assert.ok(total > 0);
  let read = 0;
  for (let n = s.recv(b, 0, 65536); n > 0; n = s.recv(b, 0, 65536)) read += n;
  assert.equal(read, total);
  s.close(a);
  s.close(b);
});

test("a refused connect is reported by the socket error", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const fd = connectTcp({ ip: "127.0.0.1", port: address.port });
  ready(fd, EPOLLOUT);
  assert.equal(s.takeSocketError(fd), -ECONNREFUSED);
  assert.equal(s.takeSocketError(fd), 0);
  s.close(fd);
});

test("a listener has its options, and accepted sockets inherit TCP_NODELAY", () => {
  const { client, server } = tcpPair();
  assert.equal(s.getsockopt(server, s.IPPROTO_TCP, s.TCP_NODELAY), 1);
  assert.ok(s.tcpInfo(server) > 0);
  s.close(client);
  s.close(server);
  const listener = listenTcp({ ip: "::1", port: 0 }, { reusePort: true });
  assert.equal(s.getsockopt(listener, s.SOL_SOCKET, s.SO_REUSEPORT), 1);
  assert.equal(s.getsockopt(listener, s.SOL_SOCKET, s.SO_REUSEADDR), 1);
  assert.equal(s.getsockopt(listener, s.SOL_SOCKET, s.SO_ACCEPTCONN), 1);
  assert.equal(s.getsockopt(listener, s.IPPROTO_IPV6, s.IPV6_V6ONLY), 1);
  assert.equal(s.getsockopt(listener, s.IPPROTO_TCP, 9999), -ENOPROTOOPT);
  s.close(listener);
});

test("the first bind without SO_REUSEPORT refuses a port in use, also by such a group", () => {
  const group = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: true });
  const address = nameOf(group);
  assert.equal(listenTcp(address, { reusePort: false }), -EADDRINUSE);
  const second = listenTcp(address, { reusePort: true });
  assert.ok(second >= 0);
  s.close(group);
  s.close(second);
});

test("a bound socket that does not listen yet refuses connections", () => {
  const fd = bindTcp({ ip: "127.0.0.1", port: 0 }, true);
  const client = connectTcp(nameOf(fd));
  ready(client, EPOLLOUT);
  assert.equal(s.takeSocketError(client), -ECONNREFUSED);
  s.close(client);
  s.close(fd);
});

test("an address that is none is refused without a socket", () => {
  assert.equal(listenTcp({ ip: "localhost", port: 80 }, { reusePort: false }), -EINVAL);
  assert.equal(listenTcp({ ip: "127.0.0.1", port: 65536 }, { reusePort: false }), -EINVAL);
});

test("every new descriptor is close-on-exec and non-blocking", () => {
  const { client, server } = tcpPair();
  const pair = socketpair(s.UNIX_STREAM);
  for (const fd of [client, server, ...pair]) {
    assert.equal(getCloexec(fd), 1);
    assert.equal(s.recv(fd, 0, 1), -EAGAIN);
  }
  for (const fd of [client, server, ...pair]) s.close(fd);
});

test("closed and foreign descriptors are errors", () => {
  const fd = s.socket(s.TCP4);
  assert.equal(s.recv(fd, 0, 1), -ENOTCONN);
  assert.equal(s.close(fd), 0);
  assert.equal(s.close(fd), -EBADF);
  for (const result of [s.recv(fd, 0, 1), s.send(fd, 0, 1), s.accept(fd), s.shutdown(fd, 1), s.tcpInfo(fd)]) {
    assert.equal(result, -EBADF);
  }
  assert.equal(s.close(-1), -EBADF);
});

test("a full accept queue keeps connections in order, and accept drains it to EAGAIN", () => {
  const listener = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const clients = Array.from({ length: 20 }, () => connectTcp(nameOf(listener)));
  for (const client of clients) ready(client, EPOLLOUT);
  const accepted: number[] = [];
  for (let fd = s.accept(listener); fd >= 0; fd = s.accept(listener)) accepted.push(fd);
  assert.equal(accepted.length, 20);
  assert.equal(s.accept(listener), -EAGAIN);
  for (const fd of [...clients, ...accepted, listener]) s.close(fd);
});

test("steering sends new connections to the chosen sockets of a group only", () => {
  const first = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: true });
  const address = nameOf(first);
  const group = [first, ...[1, 2].map(() => listenTcp(address, { reusePort: true }))];
  const countAfter = (positions: number[]) => {
    assert.equal(s.steerReuseport(first, positions), 0);
    const clients = Array.from({ length: 60 }, () => connectTcp(address));
    for (const client of clients) ready(client, EPOLLOUT);
    const counts = group.map((listener) => {
      let count = 0;
      for (let fd = s.accept(listener); fd >= 0; fd = s.accept(listener)) {
        count++;
        s.close(fd);
      }
      return count;
    });
    for (const client of clients) s.close(client);
    return counts;
  };
  assert.deepEqual(countAfter([1]), [0, 60, 0]);
  const two = countAfter([0, 2]);
  assert.equal(two[1], 0);
  assert.ok(two[0] > 0 && two[2] > 0 && two[0] + two[2] === 60, `${two}`);
  assert.equal(
    countAfter([]).reduce((sum, count) => sum + count),
    60,
  );
  assert.equal(s.steerReuseport(first, new Array(1001).fill(0)), -EINVAL);
  for (const fd of group) s.close(fd);
});

test("reads, writes, accept and connect refresh the monotonic clock, and only that", () => {
  const [a, b] = socketpair(s.UNIX_STREAM);
  s.iov.set([0, 1]);
  const calls = [
    () => s.recv(a, 0, 1),
    () => s.send(a, 0, 1),
    () => s.writev(a, 1),
    () => s.accept(b),
    () => s.connect(a, 0, 16),
  ];
  for (const call of calls) {
    clock.fill(0);
    call();
    assert.ok(clock[0] > 0, String(call));
    assert.equal(clock[1], 0);
  }
  s.close(a);
  s.close(b);
});
