import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openCommandSocket, removeCommandSocket } from "../../src/main/command-socket.ts";
import { ListenSockets } from "../../src/main/listen-sockets.ts";
import { removePidFile, writePidFile } from "../../src/main/pid-file.ts";
import { recvFds, sendFds } from "../../src/os/fdpass.ts";
import { bindTcp, getsockname, socketpair } from "../../src/os/listeners.ts";
import { accept, close, UNIX_SEQPACKET } from "../../src/os/sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "sozu-main-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A port that was free a moment ago. */
function freePort(): number {
  const fd = bindTcp({ ip: "127.0.0.1", port: 0 }, false);
  const name = getsockname(fd);
  close(fd);
  return typeof name === "object" && name !== null ? name.port : 0;
}

test("CP-15 a command socket has mode 0600, answers 'already running', and a dead one is replaced", () => {
  const path = join(folder, "a.sock");
  const first = openCommandSocket(path);
  assert.equal(first.problem, null);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(openCommandSocket(path).problem ?? "", new RegExp(`^already running, pid ${process.pid} `));
  close(first.fd);
  const second = openCommandSocket(path);
  assert.equal(second.problem, null);
  close(second.fd);
  removeCommandSocket(path);
  assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
});

test("CP-15 whatever else lies at that path is left alone", () => {
  const file = join(folder, "file");
  writeFileSync(file, "mine");
  const link = join(folder, "link");
  symlinkSync(join(folder, "nowhere"), link);
  assert.match(openCommandSocket(file).problem ?? "", /is no socket/);
  assert.match(openCommandSocket(link).problem ?? "", /is no socket/);
  removeCommandSocket(file);
  assert.equal(readFileSync(file, "utf8"), "mine");
  assert.match(openCommandSocket(join(folder, "no/such/x")).problem ?? "", /folder .* does not exist/);
});

test("one listening socket per slot, all on one address; connections reach one of them", async () => {
  const sockets = new ListenSockets(3);
  const address = { ip: "127.0.0.1", port: freePort() };
  assert.equal(sockets.open(address), null);
  assert.equal(sockets.open(address), null, "open already");
  const fds = [0, 1, 2].map((slot) => sockets.fd(address, slot));
  assert.equal(new Set(fds).size, 3);
  assert.deepEqual(sockets.ofSlot(1), { addresses: [address], fds: [fds[1]] });
  const client = connect(address.port, address.ip);
  await new Promise<void>((resolve) => client.once("connect", resolve));
  const accepted = fds.map((fd) => accept(fd)).filter((fd) => fd >= 0);
  assert.equal(accepted.length, 1);
  close(accepted[0]);
  client.destroy();
  sockets.closeAll();
  assert.equal(sockets.has(address), false);
});

test("a closed listener frees its port at once, even when somebody still holds a duplicate", () => {
  const sockets = new ListenSockets(1);
  const address = { ip: "127.0.0.1", port: freePort() };
  assert.equal(sockets.open(address), null);
  const [mine, theirs] = socketpair(UNIX_SEQPACKET);
  assert.ok(sendFds(mine, Uint8Array.of(1), [sockets.fd(address, 0)]) > 0);
  sockets.close(address);
  assert.equal(sockets.open(address), null);
  sockets.close(address);
  const received = recvFds(theirs, 8, 1);
  assert.ok(typeof received === "object" && received.fds.length === 1);
  for (const fd of [...received.fds, mine, theirs]) close(fd);
});

test("UP-21 decisions 29: a port that somebody listens on is refused, and nothing stays open", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const sockets = new ListenSockets(2);
  assert.match(sockets.open({ ip: "127.0.0.1", port }) ?? "", /another process uses this port/);
  assert.equal(sockets.fd({ ip: "127.0.0.1", port }, 0), -1);
  assert.match(sockets.open({ ip: "192.0.2.1", port }) ?? "", /no interface of this machine/);
});

test("the pid file holds the pid alone, and only its owner removes it", () => {
  const path = join(folder, "pid");
  writePidFile(path);
  assert.equal(readFileSync(path, "utf8"), String(process.pid));
  writeFileSync(path, "1");
  removePidFile(path);
  assert.equal(readFileSync(path, "utf8"), "1");
  writePidFile(path);
  removePidFile(path);
  removePidFile(path);
  assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
});
