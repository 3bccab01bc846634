// docs/getting-started.md, done as a newcomer would: its configuration (on free ports) and its commands, one after the other.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { once } from "./lib/client.ts";
import { freePort } from "./lib/ports.ts";
import { currentRelease, root, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

const page = readFileSync(join(root, "docs", "getting-started.md"), "utf8");

function startDemo(scope: Scope, port: number): void {
  const release = currentRelease();
  const main = join(release, "js", "cli", "main.js");
  const child = spawn(join(release, "bin", "node"), [main, "demo", "--port", String(port)], { stdio: "ignore" });
  scope.after(() => void child.kill("SIGKILL"));
}

test("the configuration and the commands of getting-started.md work", async (t) => {
  const toml = /^```toml\n([\s\S]*?)^```/m.exec(page)?.[1] as string;
  const ports = new Map<string, number>();
  for (const port of ["1026", "1027", "1028", "1029"]) ports.set(port, await freePort());
  const onFreePorts = (text: string): string => text.replace(/\b10(26|27|28|29)\b/g, (port) => String(ports.get(port)));
  for (const port of ports.values()) startDemo(t, port);
  const config = onFreePorts(toml)
    .replaceAll("127.0.0.1:8081", "127.0.0.1:$PORT")
    .replace("./site.sock", "./sozu.sock");
  const proxy = await startProxy(t, { toml: config });
  const get = (path: string) =>
    once(proxy.port, `GET ${path} HTTP/1.1\r\nHost: example.localhost\r\n\r\n`).catch(() => null);
  await until(
    "the backends answer",
    async () => (await get("/"))?.status === 200 && (await get("/api"))?.status === 200,
  );
  const commands = [...page.matchAll(/^\.\/sozu (.*-c site\.toml.*)$/gm)]
    .map((match) => onFreePorts((match[1] as string).replace(" -c site.toml", "").trim()))
    .filter((command) => !command.startsWith("start"));
  assert.deepEqual(
    commands.map((command) => command.split(" ").slice(0, 2).join(" ")),
    ["config check", "status", "backend add", "backend remove", "shutdown"],
  );
  for (const command of commands) {
    const { code, stdout, stderr } = await proxy.run(...command.split(" "));
    assert.equal(code, 0, `${command}: ${stdout}${stderr}`);
    if (!command.startsWith("shutdown")) assert.equal((await get("/api"))?.status, 200, command);
  }
  await proxy.waitForExit();
  assert.equal(proxy.exitCode, 0);
});
