// State files with real processes: saved under change, loaded into another proxy, read at start, written by itself; and
// whatever a path, a file or a request can hold that it should not.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import tls from "node:tls";
import { connect, decodeRecords, ResponseStatus } from "../src/client/index.ts";
import { ListenerType } from "../src/command/gen/sozu_pb.ts";
import { request } from "../src/command/messages.ts";
import { encodeRecord } from "../src/command/records.ts";
import { makeCertificate } from "../test/command/certs.ts";
import { httpBackend } from "./lib/backend.ts";
import { Dice, hashes, httpListener, local, order, randomChange, send } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { Load } from "./lib/load.ts";
import { freePort } from "./lib/ports.ts";
import { residentBytes } from "./lib/processes.ts";
import { startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Records of 1.1.1 (decisions 4), for a listener on this port and a backend on that one. */
function olderState(port: number, backendPort: number): string {
  const at = (number: number): string => `{"ip":{"inner":{"V4":2130706433}},"port":${number}}`;
  return [
    '{"id":"P-1","content":{"request_type":{"ADD_CLUSTER":{"cluster_id":"app-1","sticky_session":false,"https_redirect":false,"proxy_protocol":null,"load_balancing":0,"answer_503":null,"load_metric":0}}}}',
    `{"id":"P-2","content":{"request_type":{"ADD_HTTP_FRONTEND":{"cluster_id":"app-1","address":${at(port)},"hostname":"localhost","path":{"kind":0,"value":"/"},"method":null,"position":2,"tags":{}}}}}`,
    `{"id":"P-3","content":{"request_type":{"ADD_BACKEND":{"cluster_id":"app-1","backend_id":"b0","address":${at(backendPort)},"sticky_id":null,"load_balancing_parameters":null,"backup":null}}}}`,
  ]
    .map((record) => `${record}\n\0`)
    .join("");
}

test("CP-18 a state saved while it changes loads into another proxy, which has the same hashes", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const first = await startProxy(t, { workers: 1 });
  const ground = { port: first.port, spares: [await freePort()], backendPorts: [backend.port] };
  const client = await connect({ socketPath: first.socketPath, timeoutMs: 10_000 });
  const dice = new Dice(3);
  const path = join(first.folder, "state.json");
  for (let round = 0; round < 20; round++) {
    const saving = order(first.socketPath, { case: "saveState", value: path });
    for (let i = 0; i < 20; i++) await send(client, randomChange(dice, ground));
    await saving;
    const { broken, requests } = decodeRecords(readFileSync(path));
    assert.deepEqual(broken, []);
    assert.ok(requests.length > 0);
  }
  client.close();
  const { code, stdout } = await first.run("state", "save", "--file", "state.json");
  assert.equal(code, 0);
  assert.match(stdout, /^Success: Saved \d+ config messages to \/.*\/state\.json\nNo content\n$/);
  const wanted = (await hashes(first.socketPath)).get("main");
  await first.stop();
  const second = await startProxy(t, { workers: 2, toml: 'command_socket = "$FOLDER/sozu.sock"\n' });
  const loaded = await second.run("state", "load", "--file", path);
  assert.equal(loaded.code, 0, loaded.stderr);
  assert.match(loaded.stdout, /Successfully loaded state from path .*, \d+ ok messages, 0 errors/);
  for (const [name, own] of await hashes(second.socketPath)) assert.deepEqual(own, wanted, name);
});

test("decisions 4: a state of an older version serves, loaded and read at start", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("old"));
  const proxy = await startProxy(t, {});
  const path = join(proxy.folder, "old.json");
  writeFileSync(path, olderState(proxy.port, backend.port));
  const { code, stderr } = await proxy.run("state", "load", "-f", path);
  assert.equal(code, 0, stderr);
  assert.equal((await once(proxy.port, REQUEST))?.body.toString(), "old");
  const port = await freePort();
  const again = await startProxy(t, {
    toml: `command_socket = "$FOLDER/sozu.sock"\nsaved_state = "old.json"\n[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:${port}"\n`,
    before: (folder) => writeFileSync(join(folder, "old.json"), olderState(port, backend.port)),
  });
  assert.equal((await once(port, REQUEST))?.body.toString(), "old");
  await until("it says so", () => /3 records applied/.test(again.output));
});

test("decisions 11: broken records are kept aside at start and the rest serves; --strict refuses", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("rest"));
  const port = await freePort();
  const toml = `command_socket = "$FOLDER/sozu.sock"\nsaved_state = "s.json"\n[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:${port}"\n`;
  const before = (folder: string): void => {
    writeFileSync(join(folder, "s.json"), `{"broken":\n\0${olderState(port, backend.port)}{"id":"cut`);
  };
  const proxy = await startProxy(t, { toml, before });
  assert.equal((await once(port, REQUEST))?.body.toString(), "rest");
  assert.equal(readdirSync(proxy.folder).filter((name) => name.startsWith("s.json.broken-")).length, 1);
  await until("it says so", () => /ERROR.*2 broken records are not served/.test(proxy.output));
  await proxy.stop();
  const strict = await proxy.run("start", "--strict");
  assert.equal(strict.code, 1);
  assert.match(strict.stderr, /2 broken records: record 1 \(line 1\).*; record 5/);
});

test("automatic_state_save: what was changed is there after a stop", async (t) => {
  const settings = { saved_state: "state.json", automatic_state_save: true };
  const proxy = await startProxy(t, { settings, clusters: { app: {} } });
  const path = join(proxy.folder, "state.json");
  const add = (clusterId: string) =>
    order(proxy.socketPath, {
      case: "addCluster",
      value: { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 },
    });
  const saved = (): string => (existsSync(path) ? readFileSync(path, "utf8") : "");
  await add("soon");
  await until("it is saved", () => saved().includes('"soon"'));
  await add("late");
  assert.equal((await proxy.run("shutdown")).code, 0);
  await proxy.waitForExit();
  assert.ok(saved().includes('"late"'));
  assert.deepEqual(decodeRecords(readFileSync(path)).broken, []);
  const started = proxy.run("start");
  const main = await until("it serves again", async () => {
    return (await hashes(proxy.socketPath).catch(() => null))?.get("main");
  });
  assert.deepEqual(Object.keys(main).sort(), ["app", "late", "soon"]);
  assert.equal((await proxy.run("shutdown")).code, 0);
  assert.equal((await started).code, 0);
});

test("decisions 11: at start the file comes first, then the saved state: clusters as saved, listeners as in the file", async (t) => {
  const settings = { saved_state: "state.json" };
  const proxy = await startProxy(t, { settings, listener: { front_timeout: 50 }, clusters: { app: {} } });
  const spare = await freePort();
  const timeouts = async (): Promise<Map<number, number>> => {
    const { content } = await order(proxy.socketPath, { case: "listListeners", value: {} });
    const held = content?.contentType;
    assert.ok(held?.case === "listenersList");
    const found = Object.entries(held.value.httpListeners);
    return new Map(found.map(([at, { frontTimeout }]) => [Number(at.split(":")[1]), frontTimeout]));
  };
  await order(proxy.socketPath, { case: "addHttpListener", value: httpListener(spare) });
  for (const port of [proxy.port, spare]) {
    await order(proxy.socketPath, { case: "updateHttpListener", value: { address: local(port), frontTimeout: 7 } });
  }
  const cluster = { clusterId: "app", stickySession: true, httpsRedirect: false, loadBalancing: 0 } as const;
  await order(proxy.socketPath, { case: "addCluster", value: cluster });
  const before = (await hashes(proxy.socketPath)).get("main");
  assert.equal((await proxy.run("state", "save", "--file", "state.json")).code, 0);
  assert.equal((await proxy.run("shutdown")).code, 0);
  await proxy.waitForExit();
  const started = proxy.run("start");
  const after = await until("it serves again", async () => {
    return (await hashes(proxy.socketPath).catch(() => null))?.get("main");
  });
  assert.deepEqual(after, before);
  assert.deepEqual(
    await timeouts(),
    new Map([
      [proxy.port, 50],
      [spare, 7],
    ]),
  );
  assert.equal((await proxy.run("shutdown")).code, 0);
  const { stdout, stderr } = await started;
  assert.match(stdout + stderr, new RegExp(`HttpListener 127.0.0.1:${proxy.port} is as the configuration file has it`));
  assert.match(stdout + stderr, /Cluster app is as it was saved/);
});

test("CP-18 main is killed while it saves: the file is the old or the new one", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: {} } });
  const path = join(proxy.folder, "state.json");
  const workers = proxy.workerPids;
  const saves = Array.from({ length: 50 }, () =>
    order(proxy.socketPath, { case: "saveState", value: path }).catch(() => null),
  );
  await Promise.race(saves);
  proxy.kill("SIGKILL");
  await Promise.all(saves);
  for (const pid of workers) process.kill(pid, "SIGTERM");
  const { broken, requests } = decodeRecords(readFileSync(path));
  assert.deepEqual(broken, []);
  assert.ok(requests.length >= 4);
});

test("a path that cannot be written or read is refused with the reason, and nothing changes", async (t) => {
  const proxy = await startProxy(t, { clusters: { app: {} } });
  const before = await hashes(proxy.socketPath);
  mkdirSync(join(proxy.folder, "folder"));
  const cases: [string[], RegExp][] = [
    [["state", "save", "-f", "no/such/file"], /there is no such file or folder\n {2}next: /],
    [["state", "save", "-f", "folder"], /it exists and is not a file/],
    [["state", "save", "-f", "/dev/full"], /it exists and is not a file/],
    [["state", "load", "-f", "absent"], /Cannot find file at path absent/],
    [["state", "load", "-f", "folder"], /is not a file/],
    [["state", "load", "-f", "/dev/zero"], /is not a file/],
    [["state", "load", "-f", "config.toml"], /Error consuming load state message: record 1/],
  ];
  for (const [args, expected] of cases) {
    const { code, stderr } = await proxy.run(...args);
    assert.equal(code, 1, args.join(" "));
    assert.match(stderr, expected);
  }
  assert.deepEqual(await hashes(proxy.socketPath), before);
});

test("CP-20 odd names in requests are data or refusals, never effects", async (t) => {
  const proxy = await startProxy(t, { workers: 2, clusters: { app: {} } });
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const cluster = { stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  const rule = { address: local(proxy.port), position: 2 } as const;
  const prefix = (value: string) => ({ kind: 0, value }) as const;
  const attempts: [Parameters<typeof send>[1], boolean][] = [];
  for (const id of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    attempts.push([{ case: "addCluster", value: { clusterId: id, ...cluster } }, true]);
    const tags = Object.fromEntries([[id, id]]);
    attempts.push([
      {
        case: "addHttpFrontend",
        value: { ...rule, clusterId: id, hostname: `${id}.test`, path: prefix(`/${id}`), tags },
      },
      true,
    ]);
  }
  for (const bad of ["x".repeat(10_000), "a\r\nb", "a\0b", "\x1b[2J", ""]) {
    attempts.push([{ case: "addCluster", value: { clusterId: bad, ...cluster } }, false]);
    attempts.push([{ case: "addBackend", value: { clusterId: "app", backendId: bad, address: local(1) } }, false]);
    attempts.push([{ case: "addHttpFrontend", value: { ...rule, hostname: bad, path: prefix("/") } }, false]);
    if (bad === "") continue;
    const tags = Object.fromEntries([["k", bad]]);
    const value = { ...rule, hostname: "ok.test", path: prefix("/t"), tags };
    attempts.push([{ case: "addHttpFrontend", value }, false]);
    const path = prefix(`/${bad}`);
    attempts.push([{ case: "addHttpFrontend", value: { ...rule, hostname: "ok.test", path } }, false]);
  }
  attempts.push([{ case: "removeCluster", value: "never added" }, false]);
  attempts.push([{ case: "addHttpListener", value: httpListener(proxy.port) }, false]);
  attempts.push([{ case: "saveState", value: "a\0b" }, false]);
  attempts.push([{ case: "loadState", value: "" }, false]);
  attempts.push([{ case: "Logging", value: "nonsense=nonsense" }, false]);
  for (const [init, ok] of attempts) {
    const { status, message } = await send(client, init);
    assert.equal(status === ResponseStatus.OK, ok, `${init?.case} ${JSON.stringify(message).slice(0, 200)}`);
    if (!ok) assert.ok(message !== "" && message.length < 1000, "a reason of sensible length");
  }
  client.close();
  const found = await hashes(proxy.socketPath);
  assert.deepEqual(Object.keys(found.get("main") ?? {}).sort(), [
    "__proto__",
    "app",
    "constructor",
    "hasOwnProperty",
    "toString",
  ]);
  for (const [name, own] of found) assert.deepEqual(own, found.get("main"), name);
  const { stdout } = await proxy.run("frontend", "list");
  assert.match(stdout, /__proto__=__proto__/);
});

test("CP-13 20,000 frontends are loaded under load: no failed request, other clients are answered meanwhile", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const settings = { max_command_buffer_size: 20_000_000, ctl_command_timeout: 10_000 };
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } }, settings });
  const path = join(proxy.folder, "large.json");
  const [, sample] = olderState(proxy.port, backend.port).split("\n\0") as [string, string];
  const records = Array.from({ length: 20_000 }, (_, i) => sample.replace('"localhost"', `"h${i}.test"`));
  writeFileSync(path, records.map((record) => `${record.replace('"app-1"', '"app"')}\n\0`).join(""));
  const load = new Load(proxy.port, { connections: 8 });
  t.after(() => void load.stop());
  await until("the load runs", () => load.served > 50);
  let done = false;
  const loading = order(proxy.socketPath, { case: "loadState", value: path }).finally(() => {
    done = true;
  });
  let answered = 0;
  const other = await connect({ socketPath: proxy.socketPath, timeoutMs: 1000 });
  while (!done) {
    const { status } = await send(other, { case: "countRequests", value: {} });
    assert.equal(status, ResponseStatus.OK);
    answered += 1;
  }
  other.close();
  assert.match((await loading).message, /, 40000 ok messages, 0 errors$/);
  assert.ok(answered > 20, `${answered} answers while it loaded`);
  const result = await load.stop();
  assert.deepEqual(result.failures, []);
  const found = await hashes(proxy.socketPath);
  for (const [name, own] of found) assert.deepEqual(own, found.get("main"), name);
  assert.equal((await once(proxy.port, REQUEST.replace("localhost", "h19999.test")))?.status, 200);
});

test("CP-13 10,000 certificates are loaded under load: no failed request, and each name gets its own", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [backend.port] } } });
  const { pid, workerPids } = proxy;
  const before = [pid, ...workerPids].map(residentBytes);
  const port = await freePort();
  const address = local(port);
  const timeouts = { frontTimeout: 60, backTimeout: 30, connectTimeout: 3, requestTimeout: 10 };
  const listener = { address, stickyName: "S", expectProxy: false, ...timeouts, active: false, sendTls13Tickets: 4n };
  const requests = [
    request({ case: "addHttpsListener", value: listener }),
    request({ case: "activateListener", value: { address, proxy: ListenerType.HTTPS, fromScm: false } }),
  ];
  const authority = makeCertificate({ commonName: "Test CA", names: [], isAuthority: true });
  for (let i = 0; i < 10_000; i++) {
    const { pem, key } = makeCertificate({ names: [`h${i}.test`], commonName: `h${i}.test`, issuer: authority });
    const certificate = { certificate: pem, certificateChain: [], key, versions: [], names: [] };
    requests.push(request({ case: "addCertificate", value: { address, certificate } }));
  }
  const path = join(proxy.folder, "certificates.json");
  writeFileSync(path, requests.map((each, index) => encodeRecord(each, index)).join(""));
  const load = new Load(proxy.port, { connections: 8 });
  t.after(() => void load.stop());
  await until("the load runs", () => load.served > 50);
  const { message } = await order(proxy.socketPath, { case: "loadState", value: path });
  assert.match(message, /, 20004 ok messages, 0 errors$/);
  assert.deepEqual((await load.stop()).failures, []);
  for (const name of ["h0.test", "h4711.test", "h9999.test"]) assert.equal(await nameOf(port, name), name);
  const found = await hashes(proxy.socketPath);
  for (const [name, own] of found) assert.deepEqual(own, found.get("main"), name);
  const grown = [pid, ...workerPids].map((each, i) => Math.round((residentBytes(each) - before[i]!) / 1e6));
  t.diagnostic(`grown by ${grown.join(", ")} MB (main, workers)`);
  assert.ok(Math.max(...grown) < 250);
});

/** The common name of the certificate that a client gets for a host. */
function nameOf(port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
