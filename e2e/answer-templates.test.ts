// Templates of local answers through the whole product: from the configuration, from files, over the command socket, and
// still there in the worker that replaces one that died.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { order } from "./lib/changes.ts";
import { type Answer, connectRaw, once } from "./lib/client.ts";
import { type RunningProxy, root, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const CONFIG = `command_socket = "$FOLDER/sozu.sock"
worker_count = 1
access_logs_target = "file://$FOLDER/access.log"

[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "http"
answer_404 = "404.http"
answers = { 503 = "HTTP/1.1 503 Listener\\nX-Sozu-Stamp: 1\\n\\nlistener" }

[clusters.shop]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "shop.test" }]
backends = []
answers = { 503 = "HTTP/1.1 503 Shop\\n\\nshop %REQUEST_ID" }

[clusters.blog]
protocol = "http"
frontends = [{ address = "127.0.0.1:$PORT", hostname = "blog.test" }]
backends = []
`;

const start = (t: Parameters<typeof startProxy>[0]): Promise<RunningProxy> =>
  startProxy(t, {
    toml: CONFIG,
    before: (folder) => writeFileSync(join(folder, "404.http"), "HTTP/1.1 404 Lost\nConnection: close\n\nno %ROUTE\n"),
  });

async function ask(proxy: RunningProxy, host: string): Promise<Answer> {
  return (await once(proxy.port, `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`)) as Answer;
}

test("test_per_cluster_503_template: cluster, listener, file; and again in the next worker", async (t) => {
  const proxy = await start(t);
  const check = async (): Promise<void> => {
    const shop = await ask(proxy, "shop.test");
    assert.equal(shop.statusLine, "HTTP/1.1 503 Shop");
    assert.match(shop.body.toString(), /^shop [0-9A-Z]{26}$/);
    const blog = await ask(proxy, "blog.test");
    assert.equal(blog.headers.get("x-sozu-stamp"), "1");
    assert.equal(blog.body.toString(), "listener");
    const lost = await ask(proxy, "elsewhere.test");
    assert.equal(lost.statusLine, "HTTP/1.1 404 Lost");
    assert.equal(lost.headers.get("connection"), "close");
    assert.equal(lost.body.toString(), "no GET elsewhere.test/x\r\n");
  };
  await check();
  const [worker] = proxy.workerPids;
  process.kill(worker as number, "SIGKILL");
  await until("another worker", () => proxy.workerPids.some((pid) => pid !== worker));
  await check();
  const lines = await proxy.waitForAccessLines(3);
  assert.match(lines.at(-1) as string, / elsewhere\.test GET \/x 404 \| H1::Complete$/, "an ordinary line");
});

test("a cluster's answers change over the command socket; a broken one refuses the command and changes nothing", async (t) => {
  const proxy = await start(t);
  const change = (text: string): ReturnType<typeof order> =>
    order(proxy.socketPath, {
      case: "addCluster",
      value: {
        clusterId: "shop",
        stickySession: false,
        httpsRedirect: false,
        loadBalancing: 0,
        answers: { "503": text },
      },
    });
  await assert.rejects(
    change("HTTP/1.1 503 Shop\n\n%CLUSTERID"),
    /503.*line 3.*there is no variable %CLUSTERID: did you mean %CLUSTER_ID\?/,
  );
  assert.equal((await ask(proxy, "shop.test")).statusLine, "HTTP/1.1 503 Shop");
  await change("HTTP/1.1 503 Sold out\n\nsorry");
  assert.equal((await ask(proxy, "shop.test")).body.toString(), "sorry");
  assert.equal((await ask(proxy, "blog.test")).body.toString(), "listener");
});

test("the commands of docs/answers.md work, and keep connections and each other's answers", async (t) => {
  const proxy = await start(t);
  const page = readFileSync(join(root, "docs", "answers.md"), "utf8");
  const block = /^```sh\n([\s\S]*?)^```/m.exec(page)?.[1] as string;
  const commands = [...block.matchAll(/^\.\/sozu (.*)$/gm)].map((match) => match[1] as string);
  assert.equal(commands.length, 2);
  writeFileSync(join(proxy.folder, "closed.http"), "HTTP/1.1 503 Closed\n\nclosed");
  writeFileSync(join(proxy.folder, "lost.http"), "HTTP/1.1 404 Lost\n\nlost");
  const client = await connectRaw(proxy.port);
  const first = await client.request("GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n");
  assert.equal(first.statusLine, "HTTP/1.1 503 Shop");
  for (const command of commands) {
    const result = await proxy.run(...command.replace("127.0.0.1:8080", `127.0.0.1:${proxy.port}`).split(" "));
    assert.equal(result.code, 0, result.stderr);
  }
  assert.equal((await client.request("GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n")).body.toString(), "closed");
  assert.equal((await client.request("GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n")).body.toString(), "lost");
  assert.equal((await client.request("GET /x HTTP/1.1\r\nHost: blog.test\r\n\r\n")).body.toString(), "listener");
  client.destroy();
});
