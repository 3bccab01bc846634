// `sozu/client` and `sozu/config` as others use them: a package that is linked, a plain Node, a proxy that really runs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { freePort } from "./lib/ports.ts";
import { root, startProxy } from "./lib/proxy.ts";

const run = promisify(execFile);

const PROGRAM = `
import { ClientError, connect } from "sozu/client";

const sozu = await connect({ socketPath: process.argv[2] });
const heard = [];
const reading = (async () => {
  for await (const { kind, clusterId } of sozu.events()) {
    if (kind !== "EVENTS_SUBSCRIBED") heard.push(\`\${kind} \${clusterId}\`);
    if (kind === "CLUSTER_REMOVED") break;
  }
})();
const cluster = { clusterId: "made", stickySession: false, httpsRedirect: false, loadBalancing: 0 };
// Nobody is told of his own subscription: change until it is there.
while (heard.length === 0) {
  await sozu.request({ case: "addCluster", value: cluster });
  await new Promise(setImmediate);
  cluster.stickySession = !cluster.stickySession;
}
await sozu.request({ case: "removeCluster", value: "made" });
await reading;
const { case: kind, value } = await sozu.request({ case: "status", value: {} });
const refused = await sozu.request({ case: "removeCluster", value: "made" }).catch((error) => error);
console.log(JSON.stringify({
  last: heard.at(-1),
  workers: kind === "workers" && value.vec.length,
  refused: refused instanceof ClientError && refused.code,
}));
sozu.close();
`;

test("sozu/client: requests, typed refusals and events, from a linked package, and the program ends", async (t) => {
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [] } } });
  const folder = mkdtempSync(join(tmpdir(), "sozu-linked-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "sozu"));
  writeFileSync(join(folder, "program.mjs"), PROGRAM);
  const { stdout } = await run(process.execPath, [join(folder, "program.mjs"), proxy.socketPath], { timeout: 20_000 });
  assert.deepEqual(JSON.parse(stdout), { last: "CLUSTER_REMOVED made", workers: 2, refused: "REFUSED" });
});

test("sozu start -c sozu.config.ts serves what the module says, and other verbs find its socket", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("from the module"));
  const port = await freePort();
  const config = `
    import { defineConfig } from "sozu/config";
    const address = "127.0.0.1:${port}";
    export default defineConfig({
      command_socket: "sozu.sock",
      worker_count: 1,
      listeners: [{ protocol: "http", address }],
      clusters: {
        app: {
          protocol: "http",
          frontends: [{ address, hostname: "localhost" }],
          backends: [{ address: "127.0.0.1:${backend.port}" }],
        },
      },
    });
  `;
  const proxy = await startProxy(t, {
    before: (folder) => writeFileSync(join(folder, "sozu.config.ts"), config),
    args: ["-c", "sozu.config.ts"],
  });
  const answer = await once(port, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  assert.equal(answer?.status, 200);
  for (const words of [["status"], ["config", "check"], ["explain", "GET", `http://localhost:${port}/`, "--file"]]) {
    const { code, stderr } = await proxy.run(...words, "-c", "sozu.config.ts");
    assert.equal(code, 0, stderr);
  }
  writeFileSync(join(proxy.folder, "broken.config.ts"), "export default { listeners: [{ protocol: 'htp' }] };");
  const broken = await proxy.run("config", "check", "-c", "broken.config.ts");
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /broken\.config\.ts:\d+:\d+: .*protocol/);
});
