// `sozu doctor` beside a running proxy, without one, and with a broken file: findings, exit codes, nothing changed.

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";

interface Finding {
  readonly check: string;
  readonly level: string;
  readonly message: string;
  readonly next: string | null;
}

test("doctor: exit code 0 without problems, 1 with one, each with a next step", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end());
  const dead = await freePort();
  const proxy = await startProxy(t, {
    settings: { max_connections: 100 },
    clusters: { app: { backends: [backend.port] } },
  });
  const doctor = async (): Promise<{ code: number; ok: boolean; findings: Finding[] }> => {
    const { code, stdout } = await proxy.run("doctor", "--json");
    return { code, ...JSON.parse(stdout) };
  };
  const problems = ({ findings }: { findings: Finding[] }): string[] =>
    findings.filter(({ level }) => level === "problem").map(({ check }) => check);

  const well = await doctor();
  assert.deepEqual(problems(well), []);
  assert.equal(well.code, 0);
  assert.equal(well.ok, true);
  assert.ok(well.findings.some(({ check }) => check === "cluster app"));

  chmodSync(proxy.socketPath, 0o666);
  const open = await doctor();
  assert.deepEqual(problems(open), ["command socket"]);
  assert.equal(open.code, 1);

  await proxy.run("shutdown");
  await proxy.waitForExit();
  const thief = createServer();
  await new Promise<void>((resolve) => thief.listen(proxy.port, "127.0.0.1", resolve));
  t.after(() => thief.close());
  const taken = await doctor();
  assert.deepEqual(problems(taken), [`port of 127.0.0.1:${proxy.port}`]);
  for (const { level, next } of taken.findings) assert.equal(next === null, level === "ok");

  const config = join(proxy.folder, "config.toml");
  const backends = `backends = [{ address = "127.0.0.1:${dead}" }]\nfrontends = []`;
  writeFileSync(config, `command_socket = "none/sozu.sock"\n[clusters.gone]\nprotocol = "http"\n${backends}\n`);
  assert.deepEqual(problems(await doctor()), ["folder of command_socket", "cluster gone"]);

  writeFileSync(config, "max_connections = 0\n");
  const broken = await proxy.run("doctor");
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, /problem +configuration: .*max_connections/);
  assert.match(broken.stdout, /next: sozu config check/);
});
