// A set of changes on a worker that serves: a request sees the routing before it or after it, never a mix, whatever part
// of it has been carried out; a set that is refused leaves nothing.

import assert from "node:assert/strict";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { ChangeWriter } from "../../src/command/flat.ts";
import { StateMirror } from "../../src/command/mirror.ts";
import type { Change } from "../../src/command/objects.ts";
import { blockEnd, Replica } from "../../src/worker/replica.ts";
import type { StagedSet } from "../../src/worker/staged-set.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "../proxy/rig.ts";

const rig = new Rig();
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const servers: Server[] = [];
test.after(() => {
  rig.stop();
  agent.destroy();
  for (const server of servers) server.close().closeAllConnections();
});

async function backendSaying(text: string): Promise<number> {
  const server = createServer((_request, response) => response.end(text));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function ask(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", agent, headers: { host } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(response.statusCode === 200 ? text : `${response.statusCode}`));
    })
      .on("error", reject)
      .end();
  });
}

/** Main's end: it knows the hash after each change. */
const main = new StateMirror();
const replica = new Replica(rig.proxy);
let revision = 0;

function block(...changes: Change[]): Uint8Array {
  const writer = new ChangeWriter();
  for (const change of changes) {
    writer.change(change);
    main.apply(change, writer.bytes, writer.changeStart, writer.identityEnd, writer.changeEnd);
  }
  return writer.finish(++revision, main.hashLow, main.hashHigh).slice();
}

function begin(...changes: Change[]): StagedSet {
  const bytes = block(...changes);
  const set = replica.begin(bytes, 0, blockEnd(bytes, 0, bytes.length), []);
  assert.ok(set !== null);
  return set;
}

const inStep = (): boolean => replica.mirror.hashLow === main.hashLow && replica.mirror.hashHigh === main.hashHigh;

/** Runs a set in the smallest slices, with `look` between them. */
async function run(set: StagedSet, look: () => Promise<void>): Promise<void> {
  while (!set.step(0)) await look();
  await look();
}

const HOSTS = 120;
const hosts: string[] = Array.from({ length: HOSTS }, (_, i) => `h${i}.test`);

async function site(): Promise<{ port: number; old: number; fresh: number }> {
  const [old, fresh] = [await backendSaying("old"), await backendSaying("new")];
  const port = rig.listen([old]);
  const address = { ip: "127.0.0.1", port };
  // The listener is the proxy's alone so far: the replica has to know of it to pass its frontends on.
  assert.deepEqual(replica.follow(block({ kind: "add_http_listener", listener: rig.listenerAt(address) })), []);
  const changes: Change[] = [];
  for (const [i, hostname] of hosts.entries()) {
    changes.push({ kind: "add_cluster", cluster: clusterOf(`c${port}-${i}`) });
    changes.push({ kind: "add_backend", backend: backendOf(`c${port}-${i}`, old) });
    const frontend = { ...frontendOf(`c${port}-${i}`, address), hostname, path: "/" };
    changes.push({ kind: "add_http_frontend", frontend });
  }
  assert.deepEqual(replica.follow(block(...changes)), []);
  assert.ok(inStep());
  return { port, old, fresh };
}

test("routes that all move to other clusters: every request sees the old ones or the new ones", async () => {
  const { port, old, fresh } = await site();
  const address = { ip: "127.0.0.1", port };
  const changes: Change[] = [];
  for (const [i, hostname] of hosts.entries()) {
    const route = { ...frontendOf(`c${port}-${i}`, address), hostname, path: "/" };
    changes.push({ kind: "add_cluster", cluster: clusterOf(`n${port}-${i}`) });
    changes.push({ kind: "add_backend", backend: backendOf(`n${port}-${i}`, fresh) });
    changes.push({ kind: "remove_http_frontend", frontend: route });
    changes.push({ kind: "add_http_frontend", frontend: { ...route, clusterId: `n${port}-${i}` } });
    const backendId = `b-${old}`;
    const at = { ip: "127.0.0.1", port: old };
    changes.push({ kind: "remove_backend", clusterId: `c${port}-${i}`, backendId, address: at });
    changes.push({ kind: "remove_cluster", clusterId: `c${port}-${i}` });
  }
  const wildcard = { ...frontendOf(`n${port}-0`, address), path: "/" };
  changes.push({ kind: "add_http_frontend", frontend: { ...wildcard, hostname: "*.wild.test" } });
  changes.push({ kind: "add_http_frontend", frontend: { ...wildcard, hostname: "/x[0-9]+/.regex.test" } });
  const set = begin(...changes);
  assert.equal(await ask(port, "a.wild.test"), "old");
  const seen = new Set<string>();
  let at = 0;
  await run(set, async () => {
    const wanted = set.isInForce ? "new" : "old";
    seen.add(wanted);
    for (let i = 0; i < 3; i++) {
      at = (at + 37) % HOSTS;
      assert.equal(await ask(port, hosts[at]!), wanted, hosts[at]);
    }
    assert.equal(await ask(port, `a${at}.wild.test`), wanted);
    assert.equal(await ask(port, "a.wild.test"), wanted);
    assert.equal(await ask(port, `x${at}.regex.test`), wanted);
  });
  assert.equal(set.refusal, null);
  assert.deepEqual([...seen], ["old", "new"]);
  for (const host of hosts) assert.equal(await ask(port, host), "new");
  assert.ok(inStep());
});

test("clusters whose backends change: every request sees the old ones or the new ones", async () => {
  const { port, old, fresh } = await site();
  const changes: Change[] = [];
  for (const i of hosts.keys()) {
    const backend = backendOf(`c${port}-${i}`, old);
    changes.push({ kind: "add_backend", backend: { ...backendOf(`c${port}-${i}`, fresh), weight: 3 } });
    changes.push({ kind: "remove_backend", ...backend });
  }
  const set = begin(...changes);
  let at = 0;
  await run(set, async () => {
    for (let i = 0; i < 3; i++) {
      at = (at + 37) % HOSTS;
      assert.equal(await ask(port, hosts[at]!), set.isInForce ? "new" : "old", hosts[at]);
    }
  });
  for (const host of hosts) assert.equal(await ask(port, host), "new");
  assert.ok(inStep());
});

test("decisions 12: a set that is refused in the middle was never seen, and the state hash is as before", async () => {
  const { port } = await site();
  const { hashLow, hashHigh } = replica.mirror;
  const address = { ip: "127.0.0.1", port };
  const changes: Change[] = hosts.map((hostname, i) => {
    const route = { ...frontendOf(`c${port}-${i}`, address), hostname, path: "/" };
    return { kind: "remove_http_frontend", frontend: route };
  });
  const hostname = "no host";
  changes.splice(90, 0, { kind: "add_http_frontend", frontend: { ...frontendOf("x", address), hostname } });
  const set = begin(...changes);
  await run(set, async () => {
    assert.equal(set.isInForce, false);
    for (const host of [hosts[0]!, hosts[89]!, hosts[119]!]) assert.equal(await ask(port, host), "old");
  });
  assert.match(set.refusal ?? "", /"no host" is not a hostname/);
  assert.deepEqual([replica.mirror.hashLow, replica.mirror.hashHigh], [hashLow, hashHigh]);
});

test("a listener that is removed and comes back within a set has the routes that the set gives it", async () => {
  const port = rig.listen([]);
  const address = { ip: "127.0.0.1", port };
  const listener = rig.listenerAt(address);
  replica.follow(block({ kind: "add_http_listener", listener }));
  const route = { ...frontendOf(`k${port}`, address), hostname: "a.test", path: "/" };
  const set = begin(
    { kind: "remove_http_frontend", frontend: route },
    { kind: "remove_http_listener", address },
    { kind: "add_http_listener", listener },
    { kind: "add_http_frontend", frontend: route },
  );
  while (!set.step(0));
  assert.equal(set.refusal, null);
});
