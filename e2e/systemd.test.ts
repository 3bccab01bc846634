// A proxy as systemd runs it: it says when it is ready, reloads, lives and stops, and serves on sockets that it was given.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { recvFds } from "../src/os/fdpass.ts";
import { getsockname, listenTcp } from "../src/os/listeners.ts";
import { native } from "../src/os/native.ts";
import { encodeUnixSockaddr } from "../src/os/sockaddr.ts";
import { close, socket, UNIX_DGRAM } from "../src/os/sockets.ts";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { renderConfig } from "./lib/config.ts";
import { descendants, isAlive } from "./lib/processes.ts";
import { currentRelease, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** What arrives at a notification socket. */
class Notifications {
  readonly path: string;
  readonly #fd: number;
  readonly #seen: string[];

  constructor(t: TestContext) {
    const folder = mkdtempSync(join(tmpdir(), "sozu-notify-"));
    this.path = join(folder, "notify");
    const bytes = new Uint8Array(128);
    const length = encodeUnixSockaddr(this.path, bytes, 0);
    this.#fd = socket(UNIX_DGRAM);
    this.#seen = [];
    assert.equal(native.bind(this.#fd, bytes.subarray(0, length)), 0);
    t.after(() => {
      close(this.#fd);
      rmSync(folder, { recursive: true });
    });
  }

  /** First words of the messages so far, `WATCHDOG=1` left out unless asked for. */
  seen(watchdog = false): string[] {
    for (;;) {
      const packet = recvFds(this.#fd, 4096, 0);
      if (typeof packet === "number") break;
      this.#seen.push(Buffer.from(packet.data).toString().split("\n")[0] as string);
    }
    return this.#seen.filter((message) => watchdog || message !== "WATCHDOG=1");
  }
}

test("systemd hears of readiness, reloads, the watchdog and the end", async (t) => {
  const notifications = new Notifications(t);
  const env = { NOTIFY_SOCKET: notifications.path, WATCHDOG_USEC: "200000" };
  const proxy = await startProxy(t, { env, workers: 1, clusters: { app: {} } });
  await until("READY", () => notifications.seen().length === 1);
  assert.deepEqual(notifications.seen(), ["READY=1"]);
  await until("the watchdog is fed", () => notifications.seen(true).filter((each) => each === "WATCHDOG=1").length > 2);
  assert.equal((await proxy.run("reload")).code, 0);
  proxy.kill("SIGHUP");
  const reload = ["RELOADING=1", "READY=1"];
  await until("both reloads", () => notifications.seen().length === 5);
  assert.deepEqual(notifications.seen(), ["READY=1", ...reload, ...reload]);
  proxy.kill("SIGTERM");
  await proxy.waitForExit();
  assert.deepEqual(notifications.seen().slice(5), ["STOPPING=1"]);
});

test("a listener serves on the socket that systemd opened, with every worker, and leaves it open", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const folder = mkdtempSync(join(tmpdir(), "sozu-activated-"));
  // Held by this process as systemd would hold it; nobody but the proxy accepts.
  const listening = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const { port } = getsockname(listening) as { port: number };
  const base = { command_socket: join(folder, "sozu.sock"), worker_count: 2, access_logs_target: "off" };
  writeFileSync(
    join(folder, "config.toml"),
    renderConfig({ clusters: { app: { backends: [backend.port] } } }, port, base),
  );
  const release = currentRelease();
  const node = `exec ${join(release, "bin/node")} --disable-sigusr1 ${join(release, "js/cli/main.js")}`;
  const command = `LISTEN_FDS=1 LISTEN_PID=$$ ${node} start -c ${join(folder, "config.toml")}`;
  const main = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit", listening] });
  t.after(async () => {
    main.kill("SIGKILL");
    close(listening);
    rmSync(folder, { recursive: true });
  });
  let output = "";
  main.stdout?.on("data", (chunk) => {
    output += chunk;
  });
  await until("it is ready", () => output.includes("ready: 2 workers"));
  for (let i = 0; i < 20; i++) assert.equal((await once(port, REQUEST))?.status, 200);
  const workers = descendants(main.pid as number);
  main.kill("SIGTERM");
  await until("it ends", () => main.exitCode === 0 && !workers.some(isAlive));
});
