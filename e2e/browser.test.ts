// A browser loads a page over HTTPS and talks over a WebSocket: Debian's chromium, headless, which reports what it has seen
// with one more request. Skipped with a message where it is not installed.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate } from "../test/command/certs.ts";
import { ok, rawBackend } from "./lib/backend.ts";
import { startProxy } from "./lib/proxy.ts";
import { webSocketBackend } from "./lib/websocket.ts";

const CHROMIUM = "/usr/bin/chromium";
const isThere = spawnSync(CHROMIUM, ["--version"]).status === 0;

const PAGE = `<!doctype html><title>page</title><script type="module">
const socket = new WebSocket("wss://" + location.host + "/chat");
socket.onopen = () => socket.send("hello from a browser");
socket.onerror = () => fetch("/seen?failed", { method: "POST" });
socket.onmessage = (event) => fetch("/seen?echo", { method: "POST", body: event.data });
</script>`;

const skip = !isThere && "no /usr/bin/chromium: apt-get install chromium";

test("a browser loads a page over HTTPS and over a WebSocket", { skip, timeout: 120_000 }, async (t) => {
  const seen = Promise.withResolvers<string>();
  const pages = await rawBackend(t, (request, peer) => {
    if (request.target.startsWith("/seen")) seen.resolve(`${request.target} ${request.body.toString()}`);
    peer.send(request.target === "/" ? ok(PAGE, ["Content-Type: text/html"]) : ok());
  });
  const chat = await webSocketBackend(t);
  const { pem, key } = makeCertificate({ names: ["page.test"] });
  const proxy = await startProxy(t, {
    listener: { protocol: "https", certificate: "certificate.pem", key: "key.pem" },
    clusters: {
      page: { frontends: [{ hostname: "page.test" }], backends: [pages.port] },
      chat: { frontends: [{ hostname: "page.test", path: "/chat" }], backends: [chat.port] },
    },
    before: (folder) => {
      writeFileSync(join(folder, "certificate.pem"), pem);
      writeFileSync(join(folder, "key.pem"), key);
    },
  });
  const profile = mkdtempSync(join(tmpdir(), "sozu-browser-"));
  const browser = spawn(
    CHROMIUM,
    [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--ignore-certificate-errors",
      "--host-resolver-rules=MAP page.test 127.0.0.1",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      `https://page.test:${proxy.port}/`,
    ],
    { stdio: "ignore", detached: true },
  );
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  t.after(async () => {
    process.kill(-(browser.pid as number), "SIGKILL");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
  });
  assert.equal(await seen.promise, "/seen?echo hello from a browser");
  const log = await proxy.waitForAccessLines(2);
  assert.match(log.join("\n"), / https page\.test:\d+ GET \/ 200/);
  assert.match(log.join("\n"), /GET \/chat 101/);
});
