// States on disks that are full or read-only, and answers that are too large: refusals that say what to do, and nothing else
// changes: not the file, not the state, not the traffic.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, ResponseStatus } from "../src/client/index.ts";
import { httpBackend } from "./lib/backend.ts";
import { hashes, local, order, send } from "./lib/changes.ts";
import { once } from "./lib/client.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

function mayMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "sozu-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], { stdio: "ignore" });
    execFileSync("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
}

const skip = mayMount() ? false : "no right to mount a small disk";

/** A disk of 256 kB in the folder of the proxy. */
function makeDisk(t: TestContext, folder: string): string {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]);
  t.after(() => execFileSync("umount", ["-l", disk]));
  return disk;
}

function fill(disk: string): string {
  const path = join(disk, "ballast");
  assert.throws(() => writeFileSync(path, Buffer.alloc(1_000_000)), { code: "ENOSPC" });
  return path;
}

async function addClusters(proxy: RunningProxy, prefix: string, count: number): Promise<void> {
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  for (let i = 0; i < count; i++) {
    const clusterId = `${prefix}-${i}`;
    const value = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
    assert.equal((await send(client, { case: "addCluster", value })).status, ResponseStatus.OK);
  }
  client.close();
}

async function assertIntact(proxy: RunningProxy, clusters: number): Promise<void> {
  const found = await hashes(proxy.socketPath);
  assert.equal(found.size, 2);
  for (const own of found.values()) assert.equal(Object.keys(own).length, clusters);
  assert.equal((await once(proxy.port, GET))?.status, 200);
}

test("CP-19 a full or read-only disk: the save is refused, the old file is whole, the state intact", {
  skip,
}, async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  let disk = "";
  const proxy = await startProxy(t, {
    clusters: { app: { backends: [backend.port] } },
    before: (folder) => {
      disk = makeDisk(t, folder);
    },
  });
  const path = join(disk, "state");
  const save = (): Promise<unknown> => order(proxy.socketPath, { case: "saveState", value: path });
  await addClusters(proxy, "first", 20);
  await save();
  const saved = readFileSync(path);
  const ballast = fill(disk);
  await addClusters(proxy, "second", 200);
  await assert.rejects(save(), /cannot write .*state: the disk is full/);
  assert.deepEqual(readFileSync(path), saved);
  assert.deepEqual(readdirSync(disk).sort(), ["ballast", "state"]);
  await assertIntact(proxy, 221);
  rmSync(ballast);
  execFileSync("mount", ["-o", "remount,ro", disk]);
  await assert.rejects(save(), /cannot write .*state: .*read-only/);
  assert.deepEqual(readFileSync(path), saved);
  await assertIntact(proxy, 221);
  execFileSync("mount", ["-o", "remount,rw", disk]);
  await save();
  assert.ok(readFileSync(path).length > saved.length);
  await order(proxy.socketPath, { case: "loadState", value: path });
});

test("CP-19 automatic_state_save on a full disk is reported once and made up for", { skip }, async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  let disk = "";
  const proxy = await startProxy(t, {
    clusters: { app: { backends: [backend.port] } },
    settings: { saved_state: "disk/state", automatic_state_save: true },
    before: (folder) => {
      disk = makeDisk(t, folder);
    },
  });
  const path = join(disk, "state");
  const size = (): number => {
    try {
      return readFileSync(path).length;
    } catch {
      return 0; // not saved yet
    }
  };
  await until("the first save", () => size() > 0);
  const saved = readFileSync(path);
  const ballast = fill(disk);
  await addClusters(proxy, "more", 200);
  await until("the problem is reported", () => /automatic_state_save: cannot write/.test(proxy.output));
  assert.deepEqual(readFileSync(path), saved);
  await assertIntact(proxy, 201);
  rmSync(ballast);
  await until("the state is saved again", () => size() > saved.length, 20_000);
  assert.equal(proxy.output.match(/automatic_state_save: cannot write/g)?.length, 1);
});

test("CP-23 a list larger than max_command_buffer_size is refused with the next step, each time", async (t) => {
  const settings = { max_command_buffer_size: 20_000, command_buffer_size: 4096 };
  const proxy = await startProxy(t, { clusters: { app: { backends: [] } }, settings });
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  const path = { kind: 0, value: "/" } as const;
  for (let i = 0; i < 400; i++) {
    const hostname = `host-${i}.some-long-name.example.com`;
    const value = { clusterId: "app", address: local(proxy.port), hostname, path, position: 2 } as const;
    assert.equal((await send(client, { case: "addHttpFrontend", value })).status, ResponseStatus.OK);
  }
  const list = (domain?: string) => {
    const filters = { http: true, https: false, tcp: false };
    return send(client, { case: "listFrontends", value: domain === undefined ? filters : { ...filters, domain } });
  };
  for (let i = 0; i < 3; i++) {
    const refused = await list();
    assert.equal(refused.status, ResponseStatus.FAILURE);
    assert.match(refused.message, /larger than max_command_buffer_size \(20000 bytes\): ask for less .* or raise/);
    const narrow = await list("host-17.");
    assert.equal(narrow.status, ResponseStatus.OK);
    const held = narrow.content?.contentType;
    assert.ok(held?.case === "frontendList" && held.value.httpFrontends.length === 1);
  }
  client.close();
});
