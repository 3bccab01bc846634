// Ports below 1024 for a service user: main has CAP_NET_BIND_SERVICE as an ambient capability, as the shipped unit gives
// it, and never changes its user; workers have no capability at all.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { renderConfig } from "./lib/config.ts";
import { descendants, isAlive } from "./lib/processes.ts";
import { currentRelease } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const USER = 65534;
const BIND_SERVICE = 1n << 10n;

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "only root can start a process as a service user";
  if (spawnSync("setpriv", ["--version"]).status !== 0) return "setpriv is missing: apt-get install util-linux";
  const node = join(currentRelease(), "bin/node");
  const can = spawnSync("setpriv", ["--reuid", String(USER), "--clear-groups", node, "--version"]).status === 0;
  return can ? false : `user ${USER} may not run the release in ${currentRelease()}`;
}

/** A port below 1024 that nobody uses. */
async function lowPort(): Promise<number> {
  for (let port = 900; port < 1024; port++) {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    server.close();
    if (free) return port;
  }
  throw new Error("no port below 1024 is free");
}

function status(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s+(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "";
}

test("main binds a low port as the service user; workers have that user and no capability", async (t) => {
  const obstacle = whyNot();
  if (obstacle !== false) return t.skip(obstacle);
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const folder = mkdtempSync(join(tmpdir(), "sozu-low-"));
  chownSync(folder, USER, USER);
  const port = await lowPort();
  const base = { command_socket: join(folder, "sozu.sock"), worker_count: 2, sandbox: "required" };
  const spec = { clusters: { app: { backends: [backend.port] } } };
  writeFileSync(join(folder, "config.toml"), renderConfig(spec, port, base));
  const release = currentRelease();
  const main = spawn(
    "setpriv",
    [
      ...["--reuid", String(USER), "--regid", String(USER), "--clear-groups"],
      ...["--inh-caps=-all,+net_bind_service", "--ambient-caps=+net_bind_service"],
      ...["--bounding-set=-all,+net_bind_service", "--no-new-privs"],
      ...[join(release, "bin/node"), "--disable-sigusr1", join(release, "js/cli/main.js")],
      ...["start", "-c", join(folder, "config.toml")],
    ],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [main.stdout, main.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  const pid = main.pid as number;
  t.after(async () => {
    main.kill("SIGTERM");
    main.kill("SIGTERM");
    await until("it ends", () => !isAlive(pid));
    rmSync(folder, { recursive: true });
  });
  await until("it is ready", () => {
    assert.ok(isAlive(pid), output);
    return output.includes("ready: 2 workers");
  });
  for (let i = 0; i < 10; i++)
    assert.equal((await once(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))?.status, 200);
  assert.equal(BigInt(`0x${status(pid, "CapEff")}`), BIND_SERVICE);
  const workers = descendants(pid);
  assert.equal(workers.length, 2);
  for (const each of [pid, ...workers]) assert.equal(status(each, "Uid"), String(USER));
  for (const worker of workers) {
    assert.equal(BigInt(`0x${status(worker, "CapEff")}`), 0n);
    assert.equal(status(worker, "Seccomp"), "2");
  }
  // A port that needs the right, opened later: main still has it.
  const added = await lowPort();
  const config = renderConfig(spec, port, base).concat(
    `\n[[listeners]]\naddress = "127.0.0.1:${added}"\nprotocol = "http"\n`,
  );
  writeFileSync(join(folder, "config.toml"), config);
  main.kill("SIGHUP");
  await until("it listens there, too", async () => {
    const answer = await once(added, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").catch(() => null);
    return answer?.status === 404;
  });
});
