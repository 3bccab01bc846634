// Resumption by tickets that no process remembers: a ring of shared keys, rotation, and where a session must not go.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { EPOLLIN, EPOLLOUT } from "../../src/os/epoll.ts";
import { EAGAIN, EINVAL } from "../../src/os/errno.ts";
import { listenTcp } from "../../src/os/listeners.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { connectTcp, nameOf, ready } from "./descriptors.ts";
import { clientContext, leaf, Pair, type PairOptions, readAll, writeText } from "./tls-peers.ts";

/** Handshake, one exchange (a TLS 1.3 ticket comes with it), end. True when it was resumed. */
function visit(resumption: number, options: PairOptions = {}): boolean {
  const pair = new Pair({ ...options, resumption }).open();
  writeText(pair.server, "hi");
  assert.equal(readAll(pair.client).text, "hi");
  tls.readFacts(pair.server);
  const resumed = tls.factWords[tls.FACT_RESUMED] === 1;
  tls.readFacts(pair.client);
  assert.equal(tls.factWords[tls.FACT_RESUMED] === 1, resumed);
  pair.free();
  return resumed;
}

const first = randomBytes(tls.TICKET_KEY_BYTES);
const second = randomBytes(tls.TICKET_KEY_BYTES);

for (const maxVersion of [tls.TLS12, tls.TLS13]) {
  const options: PairOptions = { server: { maxVersion } };
  const version = tls.tlsVersionName(maxVersion);

  test(`TLS-14 a ticket is good until its key leaves the ring, over ${version}`, () => {
    assert.equal(tls.setTicketKeys([first]), 1);
    const place = tls.createResumption();
    assert.deepEqual([visit(place, options), visit(place, options), visit(place, options)], [false, true, true]);
    assert.equal(tls.setTicketKeys([second, first]), 2);
    assert.ok(visit(place, options), "an older key decrypts");
    assert.equal(tls.setTicketKeys([second]), 1);
    assert.ok(visit(place, options), "the ticket was renewed with the newest key");
    assert.equal(tls.setTicketKeys([first]), 1);
    assert.ok(!visit(place, options));
    tls.destroyResumption(place);
  });

  test(`TLS-14 a session is not resumed under another session-id context, over ${version}`, () => {
    tls.setTicketKeys([first]);
    const place = tls.createResumption();
    const at = (id: string): PairOptions => ({ server: { maxVersion, sessionIdContext: Buffer.from(id) } });
    assert.deepEqual(
      [visit(place, at("a")), visit(place, at("a")), visit(place, at("b")), visit(place, at("b"))],
      [false, true, false, true],
    );
    tls.destroyResumption(place);
  });

  test(`without keys or with zero tickets nothing is resumed, over ${version}`, () => {
    tls.setTicketKeys([]);
    const place = tls.createResumption();
    assert.deepEqual([visit(place, options), visit(place, options)], [false, false]);
    tls.setTicketKeys([first]);
    const none: PairOptions = { server: { maxVersion, tickets: 0 } };
    assert.deepEqual([visit(place, none), visit(place, none)], [false, false]);
    tls.destroyResumption(place);
  });
}

test("TLS-14 the policy chosen at the pause decides what is resumed, not that of the listener", () => {
  tls.setTicketKeys([first]);
  const place = tls.createResumption();
  const results: boolean[] = [];
  for (const id of ["x", "x", "y"]) {
    const chosen = tls.createContext({ sessionIdContext: Buffer.from(id) }) as number;
    const pair = new Pair({ resumption: place, server: { sessionIdContext: Buffer.from("listener") } });
    pair.decide = () => tls.choose(pair.server, chosen, tls.ALPN_NONE, pair.identity);
    pair.open();
    writeText(pair.server, "hi");
    readAll(pair.client);
    tls.readFacts(pair.server);
    results.push(tls.factWords[tls.FACT_RESUMED] === 1);
    pair.free();
    tls.destroyContext(chosen);
  }
  assert.deepEqual(results, [false, true, false]);
  tls.destroyResumption(place);
});

test("keys of a wrong size are refused and change nothing", () => {
  tls.setTicketKeys([first]);
  const place = tls.createResumption();
  visit(place);
  assert.equal(tls.setTicketKeys([randomBytes(79)]), -EINVAL);
  assert.equal(tls.setTicketKeys(Array.from({ length: 17 }, () => second)), -EINVAL);
  assert.ok(visit(place));
  tls.destroyResumption(place);
});

test("another process with the same keys resumes the session, one with other keys does not", () => {
  const place = tls.createResumption();
  const visits = [first, first, second].map((key) => visitProcess(key, place));
  assert.deepEqual(visits, [false, true, false]);
  tls.destroyResumption(place);
});

/** A client session with a process of its own that has this ticket key; true when it was resumed. */
function visitProcess(key: Buffer, place: number): boolean {
  const listener = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const setup = { key: key.toString("hex"), certificate: leaf.pem, private: leaf.key };
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", SERVER, JSON.stringify(setup)], {
    stdio: ["ignore", "inherit", "inherit", listener],
  });
  try {
    return visitListener(listener, place);
  } finally {
    s.close(listener);
    child.kill();
  }
}

function visitListener(listener: number, place: number): boolean {
  const fd = connectTcp(nameOf(listener));
  const context = clientContext();
  const session = tls.tlsConnect(fd, context, "example.com", "example.com", -1, place);
  let result: number = tls.HANDSHAKE_WRITE;
  for (let turn = 0; turn < 100 && result !== tls.HANDSHAKE_DONE; turn++) {
    ready(fd, result === tls.HANDSHAKE_WRITE ? EPOLLOUT : EPOLLIN);
    result = tls.handshake(session, 0, 0);
    assert.notEqual(result, tls.HANDSHAKE_FAILED);
  }
  let text = readAll(session);
  while (text.end === -EAGAIN && text.text === "") {
    ready(fd);
    text = readAll(session);
  }
  assert.equal(text.text, "hello");
  tls.readFacts(session);
  const resumed = tls.factWords[tls.FACT_RESUMED] === 1;
  tls.tlsFree(session);
  tls.destroyContext(context);
  s.close(fd);
  return resumed;
}

const ROOM = new URL("../../src/os/", import.meta.url).href;
const SERVER = `
  import { mapAnonymous, registerArena } from "${ROOM}arena.ts";
  import { EPOLLIN, epollAdd, epollCreate, poll } from "${ROOM}epoll.ts";
  import * as s from "${ROOM}sockets.ts";
  import * as tls from "${ROOM}tls.ts";
  const arena = mapAnonymous(65536);
  registerArena(arena);
  const setup = JSON.parse(process.argv[1]);
  tls.setTicketKeys([Buffer.from(setup.key, "hex")]);
  const context = tls.createContext({});
  const identity = tls.createIdentity(setup.certificate, "", setup.private);
  const epoll = epollCreate();
  epollAdd(epoll, 3, EPOLLIN, 0, 0);
  poll(epoll, 1, 10000);
  const fd = s.accept(3);
  const session = tls.tlsAccept(fd, context, 0, 0);
  epollAdd(epoll, fd, EPOLLIN, 0, 0);
  for (let turn = 0; turn < 50; turn++) {
    const result = tls.handshake(session, 1000, 16384);
    if (result === tls.HANDSHAKE_HELLO) tls.choose(session, context, tls.ALPN_NONE, identity);
    else if (result === tls.HANDSHAKE_READ) poll(epoll, 1, 10000);
    else break;
  }
  Buffer.from(arena.buffer).write("hello", 0);
  tls.tlsWrite(session, 0, 5);
  setTimeout(() => {}, 10000);
`;
