// Changes over the command socket while workers serve and die: every client gets an answer, and main and workers end in the
// same state.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { type Client, connect } from "../src/client/index.ts";
import { addressToMessage } from "../src/command/address.ts";
import { ListenerType, PathRuleKind, RequestSchema, ResponseStatus, RulePosition } from "../src/command/gen/sozu_pb.ts";
import { request } from "../src/command/messages.ts";
import { httpBackend } from "./lib/backend.ts";
import { hashes } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { frame } from "./lib/control.ts";
import { Load } from "./lib/load.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

function backendRequest(add: boolean, backendId: string, port: number) {
  const value = { clusterId: "app", backendId, address: addressToMessage({ ip: "127.0.0.1", port }) };
  return add ? request({ case: "addBackend", value }) : request({ case: "removeBackend", value });
}

test("CP-08 conflicting changes of many clients, with worker kills in between, leave everybody in step", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const churn = async (client: Client): Promise<number> => {
    let applied = 0;
    for (let i = 0; i < 150; i++) {
      const answer = await client.send(backendRequest(i % 2 === 0, `b${i % 6}`, backend.port));
      // A removal of what another client has removed already is refused; nothing else may fail.
      if (answer.status === ResponseStatus.OK) applied += 1;
      else assert.match(answer.message, /did not bring any change|Did not find/);
    }
    client.close();
    return applied;
  };
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect({ socketPath: proxy.socketPath })));
  const running = Promise.all(clients.map(churn));
  process.kill(proxy.workerPids[0], "SIGKILL");
  const applied = await running;
  assert.ok(applied.every((count) => count > 0));
  await until("the successor serves", () => /worker 2 serves/.test(proxy.output));
  const last = await connect({ socketPath: proxy.socketPath });
  const { status } = await last.send(backendRequest(true, "last", backend.port));
  last.close();
  assert.equal(status, ResponseStatus.OK);
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  assert.doesNotMatch(proxy.output, /differs|is being replaced|serves without/);
});

test("CP-07 clients that die in the middle of a command: what came whole is applied everywhere, the rest nowhere", async (t) => {
  const proxy = await startProxy(t, { workers: 2 });
  const add = (clusterId: string): Buffer => {
    const value = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
    return frame(toBinary(RequestSchema, request({ case: "addCluster", value })));
  };
  for (let i = 0; i < 20; i++) {
    const half = add(`half${i}`);
    const child = spawn(process.execPath, ["-e", DYING, proxy.socketPath], { stdio: ["pipe", "ignore", "ignore"] });
    child.stdin.end(Buffer.concat([add(`whole${i}`), half.subarray(0, 1 + ((half.length - 1) * i) / 20)]));
    await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(child.signalCode, "SIGKILL");
  }
  const expected = Array.from({ length: 20 }, (_, i) => `whole${i}`).sort();
  const inStep = async (): Promise<boolean> => {
    const found = [...(await hashes(proxy.socketPath)).values()].map((own) => Object.keys(own).sort().join());
    return found.length === 3 && found.every((names) => names === expected.join());
  };
  await until("main and both workers have the whole ones", inStep);
  assert.doesNotMatch(proxy.output, /differs|is being replaced/);
});

/** Sends what comes on stdin to the socket and is killed at once. */
const DYING = `
const bytes = require("node:fs").readFileSync(0);
const socket = require("node:net").connect(process.argv[1], () => socket.write(bytes, () => process.kill(process.pid, 9)));
`;

test("backends come and go under load without a failed request", async (t) => {
  const first = await httpBackend(t, (_request, response) => response.end("ok"));
  const second = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [first.port] } } });
  const load = new Load(proxy.port, { connections: 8 });
  const client = await connect({ socketPath: proxy.socketPath });
  for (let round = 0; round < 50; round++) {
    assert.equal((await client.send(backendRequest(true, "second", second.port))).status, ResponseStatus.OK);
    assert.equal((await client.send(backendRequest(false, "second", second.port))).status, ResponseStatus.OK);
  }
  client.close();
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  assert.ok(result.served > 50);
});

test("CP-10 a listener is activated on a port in use: refused, nothing changes, the others serve", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const client = await connect({ socketPath: proxy.socketPath });
  const listener = {
    address: addressToMessage({ ip: "127.0.0.1", port: backend.port }),
    expectProxy: false,
    stickyName: "S",
    frontTimeout: 1,
    backTimeout: 1,
    connectTimeout: 1,
    requestTimeout: 1,
    active: false,
  };
  assert.equal((await client.send(request({ case: "addHttpListener", value: listener }))).status, ResponseStatus.OK);
  const activation = { address: listener.address, proxy: ListenerType.HTTP, fromScm: false };
  const refused = await client.send(request({ case: "activateListener", value: activation }));
  assert.equal(refused.status, ResponseStatus.FAILURE);
  assert.match(refused.message, /another process uses this port/);
  const removal = { address: listener.address, proxy: ListenerType.HTTP };
  assert.equal((await client.send(request({ case: "removeListener", value: removal }))).status, ResponseStatus.OK);
  client.close();
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
  assert.doesNotMatch(proxy.output, /differs|is being replaced/);
});

test("a listener is added, serves, is deactivated and activated again at run time", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const spare = await freePort();
  const client = await connect({ socketPath: proxy.socketPath });
  const address = addressToMessage({ ip: "127.0.0.1", port: spare });
  const send = async (init: Parameters<typeof request>[0]): Promise<void> => {
    const { status, message } = await client.send(request(init));
    assert.equal(status, ResponseStatus.OK, message);
  };
  const timeouts = { frontTimeout: 5, backTimeout: 5, connectTimeout: 5, requestTimeout: 5 };
  const listener = { address, expectProxy: false, stickyName: "S", active: false, ...timeouts };
  await send({ case: "addHttpListener", value: listener });
  const path = { kind: PathRuleKind.PREFIX, value: "/" };
  const frontend = { clusterId: "app", address, hostname: "localhost", path, position: RulePosition.TREE };
  await send({ case: "addHttpFrontend", value: frontend });
  for (let round = 0; round < 3; round++) {
    await send({ case: "activateListener", value: { address, proxy: ListenerType.HTTP, fromScm: false } });
    for (let i = 0; i < 5; i++) assert.equal((await once(spare, REQUEST))?.status, 200);
    await send({ case: "deactivateListener", value: { address, proxy: ListenerType.HTTP, toScm: false } });
    await assert.rejects(once(spare, REQUEST), /ECONNREFUSED/);
  }
  client.close();
  assert.doesNotMatch(proxy.output, /differs|is being replaced/);
});
