// A soft stop of the whole proxy (spec 1.6): what is idle closes at once, what is under way is finished, and both the
// operator and a deadline know how much is left.

import assert from "node:assert/strict";
import { connect as open, type Socket } from "node:net";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function startWithRequests(scope: Scope, settings: Readonly<Record<string, number>>) {
  const answers: (() => void)[] = [];
  const backend = await httpBackend(scope, (asked, response) => {
    if (asked.headers["x-wait"] === undefined) response.end("ok");
    else answers.push(() => response.end("late"));
  });
  const proxy = await startProxy(scope, { workers: 2, clusters: { app: { backends: [backend.port] } }, settings });
  const idle = await dial(scope, proxy.port);
  idle.socket.write(REQUEST);
  await until("an answer", () => idle.said().includes("ok"));
  const busy = await dial(scope, proxy.port);
  busy.socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-Wait: 1\r\n\r\n");
  await until("the backend has it", () => answers.length === 1);
  return { proxy, idle, busy, answers };
}

async function dial(scope: Scope, port: number) {
  const socket: Socket = open({ port, host: "127.0.0.1", allowHalfOpen: false });
  scope.after(() => void socket.destroy());
  socket.on("error", () => undefined);
  let text = "";
  let closed = false;
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  socket.on("close", () => {
    closed = true;
  });
  await until("it is connected", () => !socket.connecting);
  return { socket, said: () => text, isClosed: () => closed };
}

test("UP-16 idle connections close at once, a request is finished, the command says what is left", async (t) => {
  const { proxy, idle, busy, answers } = await startWithRequests(t, {});
  const shutdown = proxy.run("shutdown");
  await until("the idle one is closed", idle.isClosed);
  assert.equal(busy.isClosed(), false);
  // Several looks of the command, each half a second.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  answers[0]?.();
  const { code, stderr } = await shutdown;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^1 connection left$/m);
  assert.match(busy.said(), /late/);
});

test("UP-16 stop_timeout cuts what is left", async (t) => {
  const { proxy, busy } = await startWithRequests(t, { stop_timeout: 1 });
  const { code, stderr } = await proxy.run("shutdown");
  assert.equal(code, 0, stderr + proxy.output);
  await until("it is cut", busy.isClosed);
  assert.match(proxy.output, /stop_timeout: 1 connections are cut/);
});
