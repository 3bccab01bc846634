// Load shedding: when it begins, what it does to clients, and that it ends by itself.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  METRIC_ACCEPT_QUEUE_BACKPRESSURE,
  METRIC_EVENT_LOOP_OVERLOAD,
  METRIC_HTTP_REQUESTS_SHED,
} from "../../src/observe/metrics.ts";
import { IN_TIME, LATE, LoadShedder, OVERLOADED } from "../../src/proxy/load-shedder.ts";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/** A shedder whose lines and acts are collected. */
function shedder(): { shedder: LoadShedder; acts: string[]; lines: string[] } {
  const acts: string[] = [];
  const lines: string[] = [];
  const target = {
    setLate: (late: boolean) => acts.push(late ? "pause" : "resume"),
    setOverloaded: (overloaded: boolean) => acts.push(overloaded ? "shed" : "serve"),
  };
  const logger = { warn: (_module: string, line: string) => lines.push(line) } as never;
  return { shedder: new LoadShedder(target, new Float64Array(1024), logger), acts, lines };
}

test("500 ms of lag stop accepting, 2 s shed requests; it ends below 1 s and after three calm ticks", () => {
  const { shedder: it, acts, lines } = shedder();
  let nowMs = 0;
  const lag = (ms: number): number => {
    nowMs += 100 + ms;
    it.onLag(ms, nowMs);
    return it.state;
  };
  assert.deepEqual([lag(0), lag(499), lag(500), lag(1999), lag(2000)], [IN_TIME, IN_TIME, LATE, LATE, OVERLOADED]);
  assert.deepEqual([lag(1000), lag(999), lag(400), lag(0), lag(0)], [OVERLOADED, LATE, LATE, LATE, LATE]);
  assert.deepEqual([lag(250), lag(0), lag(249), lag(0)], [LATE, LATE, LATE, IN_TIME]);
  assert.deepEqual(acts, ["pause", "shed", "serve", "resume"]);
  assert.equal(lines.length, 2);
  assert.match(lines[0], /500 ms late/);
  assert.match(lines[1], /in time again after \d+\.\d s: up to 2000 ms late, 0 requests/);
  // Once more within ten seconds: done, but not said.
  assert.deepEqual([lag(600), lag(0), lag(0), lag(0)], [LATE, LATE, LATE, IN_TIME]);
  assert.equal(lines.length, 2);
  nowMs += 10_000;
  assert.deepEqual([lag(3000), lag(0), lag(0), lag(0)], [OVERLOADED, LATE, LATE, IN_TIME]);
  assert.equal(lines.length, 4);
});

// Simulated time: clients come at three times the rate that the worker can serve, then at half of it.
test("a simulated flood: the wait stays bounded while it lasts, and the worker serves all after it", () => {
  const { shedder: it, acts } = shedder();
  const serveMs = 1;
  const shedMs = 0.05;
  let nowMs = 0;
  let queue: number[] = [];
  let worst = 0;
  let served = 0;
  for (let tick = 0; tick < 600; tick++) {
    const perTick = tick < 200 ? 300 : 50;
    for (let i = 0; i < perTick; i++) queue.push(nowMs + (100 * i) / perTick);
    // What is ready is handled in its order; the timer's event is behind it.
    let done = nowMs + 100;
    for (const came of queue) {
      worst = Math.max(worst, done - came);
      done += it.state === OVERLOADED ? shedMs : serveMs;
      if (it.state !== OVERLOADED) served++;
    }
    queue = [];
    const lag = Math.max(0, done - nowMs - 100);
    // What comes meanwhile waits for the next round.
    for (let i = 0; i < (perTick * lag) / 100; i++) queue.push(nowMs + 100 + (100 * i) / perTick);
    nowMs = done;
    it.onLag(lag, nowMs);
  }
  assert.ok(acts.includes("shed"));
  assert.equal(it.state, IN_TIME, "it returns by itself");
  assert.deepEqual(acts.slice(-2), ["serve", "resume"]);
  assert.ok(worst < 20_000, `${worst} ms`);
  assert.ok(served > 10_000);
});

test("an overloaded worker answers 503 at once and keeps the connection; a late one accepts nobody", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const { values } = rig.stats;
  const client = await connect(port);
  client.send(GET);
  const carrier = await backend.connection();
  await carrier.has("\r\n\r\n");
  const measure = rig.loop.onLag;
  rig.loop.onLag = () => {};
  measure(2500);
  assert.equal(values[METRIC_EVENT_LOOP_OVERLOAD], OVERLOADED);
  assert.equal(values[METRIC_ACCEPT_QUEUE_BACKPRESSURE], 1);
  carrier.send(OK); // in flight: not hurt
  await client.has("hi");
  client.clear();
  client.send(GET);
  const answer = await client.has("\r\n\r\n");
  assert.match(answer, /^HTTP\/1\.1 503 Service Unavailable\r\n[\s\S]*\r\nRetry-After: 1\r\n/);
  assert.doesNotMatch(answer, /Connection: close/);
  assert.equal(values[METRIC_HTTP_REQUESTS_SHED], 1);
  const sessions = rig.proxy.sessions;
  const waiting = await connect(port);
  waiting.send(GET);
  client.clear();
  client.send(GET);
  await client.has("\r\n\r\n");
  assert.equal(rig.proxy.sessions, sessions, "who comes now waits in the kernel's queue");
  for (let i = 0; i < 3; i++) measure(0);
  assert.equal(values[METRIC_EVENT_LOOP_OVERLOAD], IN_TIME);
  rig.loop.onLag = measure;
  carrier.clear();
  await carrier.has("\r\n\r\n");
  carrier.send(OK);
  await waiting.has("hi");
  for (const peer of [client, waiting]) peer.socket.destroy();
  backend.close();
});
