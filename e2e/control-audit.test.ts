// The audit trail of a running proxy: every change over the socket is in both files with who asked for it and what came
// of it, also what was refused, and nobody's secrets.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate } from "../test/command/certs.ts";
import { order } from "./lib/changes.ts";
import { ask, STATUS } from "./lib/control.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const CERTIFICATE = makeCertificate();

const AUDIT = { audit_logs_target: "audit/audit.log", audit_logs_json_target: "audit/audit.json" };

interface Line {
  readonly verb: string;
  readonly target: string;
  readonly result: string;
  readonly actor: { readonly uid: number; readonly pid: number; readonly comm: string | null };
  readonly cluster_id: string | null;
  readonly extras: Readonly<Record<string, unknown>>;
}

function lines(proxy: RunningProxy): Line[] {
  const text = readFileSync(join(proxy.folder, "audit", "audit.json"), "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

test("spec 12.9: changes, refusals, files and the end are in the trail, questions are not", async (t) => {
  const proxy = await startProxy(t, { workers: 2, settings: AUDIT, clusters: { app: { backends: [] } } });
  const secret = "f".repeat(64);
  const added = [
    "cluster",
    "add",
    "--id",
    "new",
    "--load-balancing-policy",
    "random",
    "--authorized-hash",
    `a:${secret}`,
  ];
  assert.equal((await proxy.run(...added)).code, 0);
  assert.equal(
    (await proxy.run("backend", "add", "--id", "new", "--backend-id", "b", "--address", "127.0.0.1:9")).code,
    0,
  );
  assert.equal((await proxy.run("status")).code, 0);
  await assert.rejects(order(proxy.socketPath, { case: "removeCluster", value: "nobody" }));
  assert.equal((await proxy.run("state", "save", "--file", "saved")).code, 0);
  assert.equal((await proxy.run("connection-limit", "set", "5")).code, 0);
  assert.equal((await proxy.run("shutdown")).code, 0);
  await proxy.waitForExit();
  const trail = lines(proxy);
  assert.deepEqual(
    trail.map(({ verb, result }) => `${verb} ${result}`),
    [
      "cluster_added ok",
      "cluster_added ok",
      "backend_added ok",
      "backend_added ok",
      "cluster_removed err",
      "state_saved ok",
      "connection_limit_changed ok",
      "sozu_stop_requested ok",
    ],
  );
  assert.deepEqual(trail[1].extras["workers"], { ok: 2, err: 0, expected: 2 });
  assert.equal(trail[1].extras["fanout"], "ok");
  assert.equal(trail[2].cluster_id, "new");
  assert.match(String(trail[4].extras["reason"]), /nobody/);
  assert.match(trail[5].target, /^file:.*saved messages:\d+$/);
  assert.equal(trail[0].actor.uid, process.getuid?.());
  const text = readFileSync(join(proxy.folder, "audit", "audit.log"), "utf8");
  assert.equal(text.split("\n").length - 1, trail.length);
  assert.equal(proxy.output.match(/AUDIT/g)?.length, trail.length);
  for (const where of [text, JSON.stringify(trail), proxy.output]) assert.ok(!where.includes(secret));
});

test("a reload by SIGHUP is in the trail as one of main's own, whatever comes of it", async (t) => {
  const proxy = await startProxy(t, { settings: AUDIT, clusters: { app: { backends: [] } } });
  const path = join(proxy.folder, "config.toml");
  proxy.kill("SIGHUP");
  await until("the reload is audited", () => lines(proxy).length === 1);
  writeFileSync(path, `nonsense = 1\n${readFileSync(path, "utf8")}`);
  proxy.kill("SIGHUP");
  await until("the second is audited", () => lines(proxy).length === 2);
  const [good, bad] = lines(proxy);
  assert.deepEqual([good.verb, good.result, good.actor.comm], ["configuration_reloaded", "ok", "SIGHUP"]);
  assert.equal(good.actor.pid, proxy.pid);
  assert.equal(bad.result, "err");
  assert.match(String(bad.extras["reason"]), /nonsense/);
});

test("CP-16 a user who is not allowed is refused and audited, whatever is asked", async (t) => {
  const uid = (process.getuid?.() ?? 0) + 1;
  const settings = `command_socket = "$FOLDER/sozu.sock"\ncommand_allowed_uids = [${uid}]\nworker_count = 1\n`;
  const toml = `${settings}audit_logs_json_target = "$FOLDER/audit/audit.json"\n`;
  let seen: Line[] = [];
  const starting = startProxy(t, {
    toml,
    readyTimeoutMs: 3000,
    before: (folder) => {
      const path = join(folder, "sozu.sock");
      const watch = async (): Promise<void> => {
        await until(
          "the socket answers",
          () =>
            ask(path, STATUS).then(
              (ok) => !ok,
              () => false,
            ),
          3000,
        );
        const file = join(folder, "audit", "audit.json");
        seen = await until("the refusal is audited", () => {
          const found = readFileSync(file, "utf8").split("\n").slice(0, -1);
          return found.length > 0 ? found.map((line) => JSON.parse(line)) : null;
        });
      };
      watch().catch(() => undefined);
    },
  });
  // It never answers OK, so the library gives up; the proxy serves all the same.
  await assert.rejects(starting, /not ready/);
  assert.equal(seen[0]?.verb, "status");
  assert.equal(seen[0].result, "err");
  assert.equal(seen[0].extras["error_code"], "UNAUTHORIZED");
});

test("CP-21 a private key is in no log line, answer, command line or environment, also when it is refused", async (t) => {
  const proxy = await startProxy(t, {
    settings: { ...AUDIT, log_level: "trace" },
    workers: 2,
    clusters: { app: { backends: [] } },
    before: (folder) => {
      for (const [name, made] of [
        ["a", CERTIFICATE],
        ["b", makeCertificate()],
      ] as const) {
        writeFileSync(join(folder, `${name}.pem`), made.pem);
        writeFileSync(join(folder, `${name}.key`), made.key);
      }
    },
  });
  const at = `127.0.0.1:${await freePort()}`;
  const files = (name: string, key: string) => {
    const path = (file: string): string => join(proxy.folder, file);
    return [
      "--certificate",
      path(`${name}.pem`),
      "--certificate-chain",
      path(`${name}.pem`),
      "--key",
      path(`${key}.key`),
    ];
  };
  const printed: string[] = [];
  const run = async (code: number, ...args: string[]): Promise<void> => {
    const result = await proxy.run(...args);
    assert.equal(result.code, code, result.stderr);
    printed.push(result.stdout, result.stderr);
  };
  await run(0, "listener", "https", "add", "-a", at);
  await run(1, "certificate", "add", "-a", at, ...files("b", "a"));
  await run(0, "certificate", "add", "-a", at, ...files("a", "a"));
  await run(0, "certificate", "list", "--json");
  await run(0, "certificate", "list", "--workers", "--json");
  await run(0, "listener", "list", "--json");
  for (const pid of [proxy.pid, ...proxy.workerPids]) {
    for (const name of ["cmdline", "environ"]) printed.push(readFileSync(`/proc/${pid}/${name}`, "latin1"));
  }
  const audit = ["audit.log", "audit.json"].map((name) => readFileSync(join(proxy.folder, "audit", name), "utf8"));
  const secret = CERTIFICATE.key.split("\n")[1]!;
  for (const text of [proxy.output, ...printed, ...audit]) assert.ok(!text.includes(secret.slice(0, 40)));
});
