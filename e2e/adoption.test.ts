// Main is killed: the workers serve on, and the next `sozu start` adopts them with their sockets and state (decisions 25).

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { runLoad } from "./lib/load.ts";
import { isAlive } from "./lib/processes.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, sleep, until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function start(scope: Scope, settings: Readonly<Record<string, string | number>> = {}) {
  const backend = await httpBackend(scope, (_request, response) => response.end("ok"));
  const proxy = await startProxy(scope, { workers: 2, clusters: { app: { backends: [backend.port] } }, settings });
  await journalIsThere(proxy);
  return { proxy, backend };
}

/** Workers hold it from a moment after the start on. */
async function journalIsThere(proxy: RunningProxy): Promise<void> {
  await until("workers hold the journal", () =>
    proxy.workerPids.every((pid) => linksOf(pid).some((link) => link.includes("sozu-journal"))),
  );
}

function linksOf(pid: number): string[] {
  // A worker is not dumpable: only root may look. Everybody else goes by time.
  try {
    return execFileSync("sh", ["-c", `ls -l /proc/${pid}/fd`], { encoding: "utf8" }).split("\n");
  } catch {
    return ["sozu-journal"];
  }
}

async function killMain(proxy: RunningProxy): Promise<void> {
  proxy.kill("SIGKILL");
  await proxy.waitForExit();
}

/** The hash of the cluster; main and every worker say the same. */
async function state(proxy: RunningProxy): Promise<string> {
  let found = new Set<string>();
  await until("main and its two workers agree", async () => {
    const { stdout } = await proxy.run("cluster", "list", "--json");
    const hashes = [...stdout.matchAll(/"app": (\d+)/g)].map(([, hash]) => hash as string);
    found = new Set(hashes);
    return hashes.length === 3 && found.size === 1;
  });
  return [...found][0] as string;
}

test("UP-13 main is killed ten times under load: the next start adopts its workers, nothing fails", async (t) => {
  const { proxy, backend } = await start(t);
  const workers = proxy.workerPids.sort();
  const loads = [runLoad(t, proxy.port, { connections: 8 }), runLoad(t, proxy.port, { connections: 4, fresh: true })];
  for (let round = 1; round <= 10; round++) {
    const add = ["--id", "app", "--backend-id", `added-${round}`, "--address", `127.0.0.1:${backend.port}`];
    const added = await proxy.run("backend", "add", ...add);
    assert.equal(added.code, 0, added.stderr);
    const before = await state(proxy);
    await killMain(proxy);
    assert.equal((await once(proxy.port, REQUEST))?.status, 200);
    await proxy.restart();
    assert.equal(await state(proxy), before, proxy.output);
    const { stdout } = await proxy.run("cluster", "list", "--id", "app");
    for (let i = 1; i <= round; i++) assert.ok(stdout.includes(`added-${i}`), `added-${i}`);
    assert.deepEqual(proxy.workerPids.sort(), workers, proxy.output);
  }
  for (const load of loads) await until("the load goes on", () => load.served > 500);
  for (const load of loads) assert.deepEqual((await load.stop()).failures, [], proxy.output);
  assert.match((await proxy.run("metrics", "get")).stdout, /requests/);
  process.kill(workers[0] as number, "SIGKILL");
  await until("a worker of the old main is replaced", () => /worker 2 serves/.test(proxy.output));
  await proxy.run("shutdown");
  await proxy.waitForExit();
  await until("every worker ends", () => proxy.leftOver.length === 0);
  const left = readdirSync(proxy.folder).filter((name) => name.startsWith("sozu.sock"));
  assert.deepEqual(left, []);
});

test("a reload after an adoption compares with the file as it was loaded, and upgrades work", async (t) => {
  const { proxy } = await start(t);
  const add = ["--id", "app", "--backend-id", "added", "--address", "127.0.0.1:1"];
  assert.equal((await proxy.run("backend", "add", ...add)).code, 0);
  await killMain(proxy);
  await proxy.restart();
  const reload = await proxy.run("reload");
  assert.equal(reload.code, 0, reload.stderr);
  assert.match((await proxy.run("cluster", "list", "--id", "app")).stdout, /added/);
  const upgrade = await proxy.run("upgrade", "--all");
  assert.equal(upgrade.code, 0, upgrade.stderr + proxy.output);
  assert.match((await proxy.run("cluster", "list", "--id", "app")).stdout, /added/);
  await killMain(proxy);
  await proxy.restart();
  assert.match((await proxy.run("cluster", "list", "--id", "app")).stdout, /added/);
});

test("a worker that was killed while there was no main has a successor on the same port", async (t) => {
  const { proxy } = await start(t);
  const before = await state(proxy);
  const [first, second] = proxy.workerPids.sort((a, b) => a - b) as [number, number];
  await killMain(proxy);
  process.kill(first, "SIGKILL");
  await until("it has ended", () => !isAlive(first));
  await proxy.restart();
  await until("two workers serve", () => proxy.workerPids.length === 2 && proxy.workerPids.includes(second));
  await until("the successor serves", () => /worker 2 serves/.test(proxy.output));
  assert.equal(await state(proxy), before);
  const load = runLoad(t, proxy.port, { connections: 8, fresh: true });
  await until("the load goes on", () => load.served > 200);
  assert.deepEqual((await load.stop()).failures, [], proxy.output);
});

test("UP-13 main is killed while a worker is upgraded: one of the two goes on, no request fails", async (t) => {
  const { proxy } = await start(t);
  const before = await state(proxy);
  const load = runLoad(t, proxy.port, { connections: 8 });
  for (let round = 0; round < 3; round++) {
    const ids = (await proxy.run("status")).stdout;
    const id = /^\W*(\d+)\W.*running/im.exec(ids)?.[1] ?? "0";
    const upgrade = proxy.run("upgrade", "--worker", id);
    await sleep(60 + 120 * round);
    await killMain(proxy);
    await upgrade;
    await proxy.restart();
    assert.equal(await state(proxy), before);
    await until("two workers are left", () => proxy.workerPids.length === 2);
    await journalIsThere(proxy);
  }
  assert.deepEqual((await load.stop()).failures, [], proxy.output);
});

test("UP-13 main is killed in the midst of changes: what was answered is there, hashes are equal", async (t) => {
  const { proxy, backend } = await start(t);
  const load = runLoad(t, proxy.port, { connections: 4 });
  for (let round = 0; round < 3; round++) {
    const answered: string[] = [];
    const changing = Array.from({ length: 6 }, async (_, i) => {
      const name = `r${round}-${i}`;
      const add = ["--id", "app", "--backend-id", name, "--address", `127.0.0.1:${backend.port}`];
      if ((await proxy.run("backend", "add", ...add)).code === 0) answered.push(name);
    });
    await sleep(150 + 60 * round);
    await killMain(proxy);
    await Promise.all(changing);
    await proxy.restart();
    const listed = (await proxy.run("cluster", "list", "--id", "app")).stdout;
    for (const name of answered) assert.ok(listed.includes(name), name);
    await state(proxy);
    await journalIsThere(proxy);
  }
  assert.deepEqual((await load.stop()).failures, [], proxy.output);
});

test("a process of another user is not let in", { skip: process.geteuid?.() !== 0 && "needs root" }, async (t) => {
  const { proxy } = await start(t);
  await killMain(proxy);
  const door = readdirSync(proxy.folder).find((name) => /\.sock\.w0$/.test(name));
  assert.ok(door !== undefined);
  execFileSync("chmod", ["0777", proxy.folder, `${proxy.folder}/${door}`]);
  const python = [
    "import os, socket, sys",
    "os.setuid(65534)",
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
    "s.connect(sys.argv[1])",
    "s.settimeout(5)",
    "print(len(s.recv(100)))",
  ].join("\n");
  const knock = spawn("python3", ["-c", python, `${proxy.folder}/${door}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  knock.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await new Promise((resolve) => knock.on("exit", resolve));
  assert.equal(said.trim(), "0");
  await until("the worker says so", () => /uid 65534 may not adopt this worker/.test(proxy.output));
  await proxy.restart();
  await until("the owner is", () => /adopted the workers of an earlier main: 0, 1/.test(proxy.output));
});

test("orphan_timeout: workers without a main finish and end", async (t) => {
  const { proxy } = await start(t, { orphan_timeout: 1 });
  await killMain(proxy);
  await until("they end", () => proxy.leftOver.length === 0);
  await proxy.restart();
  assert.equal((await once(proxy.port, REQUEST))?.status, 200);
});
