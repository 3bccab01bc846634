import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../e2e/lib/ports.ts";
import { until } from "../../e2e/lib/scope.ts";
import { startDemo } from "../../src/cli/demo.ts";

const entry = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

test("the demo backend shows what it was sent and what to try next", async (t) => {
  const server = await startDemo("127.0.0.1", 0);
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = await (await fetch(`${base}/some/path`, { headers: { "X-Test": "yes" } })).text();
  assert.match(text, /GET \/some\/path/);
  assert.match(text, /X-Test: yes/i);
  assert.match(text, /What to try next/);
  const json = (await (await fetch(`${base}/json`)).json()) as { method: string; tryNext: string[] };
  assert.equal(json.method, "GET");
  assert.ok(json.tryNext.length > 0);
  assert.equal((await fetch(`${base}/status/418`)).status, 418);
  assert.equal((await (await fetch(`${base}/bytes/200000`)).arrayBuffer()).byteLength, 200_000);
  assert.equal(await (await fetch(`${base}/echo`, { method: "POST", body: "back" })).text(), "back");
});

test("a port in use is an error of startDemo", async (t) => {
  const server = await startDemo("127.0.0.1", 0);
  t.after(() => server.close());
  await assert.rejects(startDemo("127.0.0.1", (server.address() as AddressInfo).port), { code: "EADDRINUSE" });
});

test("the backend of `start --demo` stays when its parent becomes another program, and ends with it", async (t) => {
  const port = await freePort();
  // The parent forks the backend, then becomes `cat` when it is told to, as main does in an upgrade.
  const script = `"$0" "$1" demo --with-parent --port ${port} & read -r line; exec cat`;
  const parent = spawn("sh", ["-c", script, process.execPath, entry], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => parent.kill("SIGKILL"));
  const answers = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/`).then(
      (response) => response.ok,
      () => false,
    );
  await until("the backend answers", answers);
  parent.stdin.write("become\nstill here\n");
  const [echo] = (await once(parent.stdout, "data")) as [Buffer];
  assert.equal(echo.toString(), "still here\n");
  assert.ok(await answers());
  parent.kill("SIGKILL");
  await until("the backend ends", async () => !(await answers()));
});
