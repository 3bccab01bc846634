// Connections cut or half-closed in the middle of something: what was sent is delivered, nothing that is cut looks whole,
// and the other side is free at once (hardening UP-18, UP-19, BE-03, BE-04).

import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { Rig } from "./rig.ts";
import { connect, type Peer, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

let backend: RawBackend;
let front: Peer;

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive ";
const CHUNK = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfive ";
const UNTIL_CLOSE = "HTTP/1.1 200 OK\r\n\r\nfive ";

beforeEach(async () => {
  backend = await RawBackend.start();
  front = await connect(rig.listen([backend.port]));
});

afterEach(async () => {
  front.socket.destroy();
  backend.close();
  await freed();
});

/** Everything is given back, long before any timeout. */
async function freed(): Promise<void> {
  for (let i = 0; i < 200 && rig.proxy.sessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(rig.proxy.sessions, 0);
  assert.equal(rig.proxy.http.exchanges.active, 0);
  assert.equal(rig.proxy.context.buffers.inUse, 0);
  assert.equal(rig.proxy.context.slots.inUse, 0);
}

for (const how of ["FIN", "RST"] as const) {
  const cut = (peer: Peer): void => {
    if (how === "FIN") peer.socket.end();
    else peer.socket.resetAndDestroy();
  };

  test(`UP-18 a backend's ${how} in the middle of a head is a 502`, async () => {
    front.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send("HTTP/1.1 200 OK\r\nContent-");
    await new Promise((resolve) => setTimeout(resolve, 50));
    cut(back);
    assert.match(await front.has("</html>"), /^HTTP\/1.1 502 /);
  });

  for (const [name, start] of [
    ["a body with a length", LENGTH],
    ["a chunk", CHUNK],
  ] as const) {
    test(`UP-18 a backend's ${how} in the middle of ${name} is seen by the client`, async () => {
      front.send(GET);
      const back = await backend.connection();
      await back.has("\r\n\r\n");
      back.send(start);
      await front.has("five ");
      cut(back);
      assert.match(await front.end(), /five $|five \r\n$/);
    });
  }

  for (const [name, start] of [
    ["a head", "GET / HTTP/1.1\r\nHo"],
    ["a body with a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfive "],
    ["a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfive "],
  ] as const) {
    test(`UP-18 a client's ${how} in the middle of ${name} frees the backend at once`, async () => {
      front.send(start);
      if (name === "a head") {
        await new Promise((resolve) => setTimeout(resolve, 50));
        cut(front);
        await freed();
        assert.equal(backend.accepted.length, 0);
        return;
      }
      const back = await backend.connection();
      const text = await back.has("five ");
      cut(front);
      await back.end();
      assert.ok(!text.endsWith("0\r\n\r\n"));
      await freed();
    });
  }

  test(`UP-18 a client's ${how} in the middle of an answer frees the backend ${how === "RST" ? "at once" : "at its end"}`, async () => {
    front.send(GET);
    const back = await backend.connection();
    await back.has("\r\n\r\n");
    back.send(LENGTH);
    await front.has("five ");
    cut(front);
    if (how === "RST") await back.end();
    else {
      back.send("more.");
      assert.match(await front.end(), /five more\.$/);
    }
  });
}

test("UP-19 a client's FIN behind its request: the whole answer is delivered", async () => {
  front.send(GET);
  front.socket.end();
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.send(LENGTH);
  await front.has("five ");
  back.send("more.");
  assert.match(await front.end(), /five more\.$/);
});

test("UP-19 a backend's FIN is the end of an answer without a length", async () => {
  front.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.socket.end(UNTIL_CLOSE);
  assert.match(await front.has("0\r\n\r\n"), /5\r\nfive \r\n0\r\n\r\n$/);
});

test("UP-19 a backend's FIN behind an early answer: it is delivered although the upload goes on", async () => {
  front.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
  const back = await backend.connection();
  await back.has("some");
  back.socket.end("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
  assert.match(await front.end(), /^HTTP\/1.1 413 [\s\S]*no$/);
});

test("UP-19 a backend's FIN before its answer is a 502", async () => {
  front.send(GET);
  const back = await backend.connection();
  await back.has("\r\n\r\n");
  back.socket.end();
  assert.match(await front.has("</html>"), /^HTTP\/1.1 502 /);
});
