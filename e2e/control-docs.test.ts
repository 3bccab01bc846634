// Every console example of docs/cli.md, run from top to bottom against the configuration of that page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "./lib/ports.ts";
import { root, startProxy } from "./lib/proxy.ts";

const page = readFileSync(join(root, "docs", "cli.md"), "utf8");

/** The words of a command line; quotes hold words together. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

test("the examples of docs/cli.md work, in their order", async (t) => {
  const ports = { 8080: await freePort(), 8081: await freePort() };
  const onFreePorts = (text: string): string =>
    text.replace(/127\.0\.0\.1:(8080|8081)/g, (_, port: "8080" | "8081") => `127.0.0.1:${ports[port]}`);
  const toml = onFreePorts(/```toml\n([\s\S]*?)```/.exec(page)?.[1] ?? "");
  const proxy = await startProxy(t, { toml });
  const lines = [...page.matchAll(/```console\n([\s\S]*?)```/g)].flatMap(([, block]) =>
    (block ?? "").trim().split("\n"),
  );
  assert.ok(lines.length > 20);
  const jsonl = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  for (const line of lines) {
    assert.match(line, /^\$ sozu /);
    const [command, input] = onFreePorts(line).split(" < ");
    const { code, stdout, stderr } = await proxy.runWith(input === undefined ? "" : jsonl, ...words(command).slice(2));
    assert.equal(code, 0, `${line}\n${stderr}`);
    if (line.endsWith("--json")) assert.equal(typeof JSON.parse(stdout), "object", line);
    else assert.match(stdout, /^(Success: .|Configuration file is valid)/, line);
  }
});

test("every verb of the issue is on the page", () => {
  const verbs = [
    "state save",
    "state load",
    "state stats",
    "reload",
    "transaction",
    "cluster add",
    "cluster remove",
    "cluster list",
    "backend add",
    "backend remove",
    "frontend http add",
    "frontend http remove",
    "frontend list",
    "listener http add",
    "listener http remove",
    "listener http activate",
    "listener http deactivate",
    "listener list",
    "cluster health-check status",
    "logging",
    "status",
    "shutdown",
  ];
  assert.ok(page.includes("`sozu events`"));
  for (const verb of verbs) assert.ok(page.includes(`$ sozu ${verb}`), verb);
});
