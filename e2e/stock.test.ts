// The real Sozu 2.1 beside ours (decisions 1): its command line drives our proxy, ours drives its proxy, and each reads the
// states that the other has saved. Needs the stock binary, which nothing here builds:
//
//   apt-get install protobuf-compiler && cargo install sozu --version 2.1.1 --locked --root /opt/sozu-stock
//   SOZU_STOCK=/opt/sozu-stock/bin/sozu node --test e2e/stock.test.ts

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeCertificate } from "../test/command/certs.ts";
import { ask, STATUS } from "./lib/control.ts";
import { freePort } from "./lib/ports.ts";
import { type CommandResult, currentRelease, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { until } from "./lib/scope.ts";

const STOCK = process.env["SOZU_STOCK"] ?? "";
const skip =
  STOCK === "" &&
  "SOZU_STOCK names no stock binary: cargo install sozu --version 2.1.1 --locked --root /opt/sozu-stock";

/** A command line of either program in a folder with a `config.toml`. */
function cli(folder: string, stock: boolean, args: readonly string[]): Promise<CommandResult> {
  const release = currentRelease();
  const all = ["-c", join(folder, "config.toml"), "-t", "20000", ...args];
  const [file, words] = stock ? [STOCK, all] : [join(release, "bin/node"), [join(release, "js/cli/main.js"), ...all]];
  return new Promise((resolve) => {
    execFile(file, words, { cwd: folder, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

function prepare(folder: string): void {
  const made = makeCertificate({ names: ["a.test", "*.b.test"] });
  writeFileSync(join(folder, "a.pem"), made.pem);
  writeFileSync(join(folder, "a.key"), made.key);
  writeFileSync(join(folder, "404.http"), "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nmine");
}

/** What is done with either command line to either proxy; each has to succeed. */
function steps(port: number, ports: readonly number[]): string[][] {
  const [http, https, tcp, udp] = ports.map((each) => `127.0.0.1:${each}`) as [string, string, string, string];
  const lines = [
    "cluster add -i c1 --load-balancing-policy round_robin -s",
    "cluster add -i c2 --load-balancing-policy hrw --send-proxy --expect-proxy --https-redirect-port 8443",
    "cluster h2 enable -i c1",
    "cluster h2 disable -i c1",
    "backend add -i c1 --backend-id b1 -a 127.0.0.1:1027 -s sticky -b true",
    "backend add -i c1 --backend-id b2 -a [::1]:1028",
    "backend remove -i c1 --backend-id b2 -a [::1]:1028",
    `frontend http add -a 127.0.0.1:${port} --hostname a.test -p /api -m GET --tags k=v id c1`,
    `frontend http add -a 127.0.0.1:${port} --hostname b.test --path-regex /x[0-9]+ --redirect permanent --rewrite-host x.test id c1`,
    `frontend http add -a 127.0.0.1:${port} --hostname b.test --path-equals /eq --header request=X-A=b deny`,
    `frontend http add -a 127.0.0.1:${port} --hostname gone.test id c1`,
    `frontend http remove -a 127.0.0.1:${port} --hostname gone.test id c1`,
    `listener http add -a ${http} --sticky-name S --front-timeout 5 --answer-404 404.http`,
    `listener http update -a ${http} --front-timeout 7 --h2-max-ping-per-window 9 --sozu-id-header X-Id`,
    `listener http activate -a ${http}`,
    `listener http deactivate -a ${http}`,
    `listener https add -a ${https} --tls-versions TLS_V12 --tls-versions TLS_V13`,
    `listener https update -a ${https} --alpn-protocols h2,http/1.1`,
    `frontend https add -a ${https} --hostname a.test --hsts-max-age 100 id c1`,
    `certificate add -a ${https} --certificate a.pem --certificate-chain a.pem --key a.key`,
    `listener tcp add -a ${tcp}`,
    `frontend tcp add -i c2 -a ${tcp} --tags team=data`,
    `listener udp add -a ${udp} --max-flows 5`,
    `frontend udp add -i c2 -a ${udp}`,
    "connection-limit set 5",
    "connection-limit show",
    "connection-limit remove",
    "logging info",
    "state stats",
    // Else the other proxy could not open it.
    `listener http deactivate -a 127.0.0.1:${port}`,
    "state save -f saved.json",
  ];
  return lines.map((line) => line.split(" "));
}

/** What is asked with both command lines: what they print as JSON has to be the same, but for hashes and pids. */
const QUESTIONS: readonly string[] = [
  "cluster list -i c1",
  "cluster list -d a.test/api",
  "cluster health-check list",
  "frontend list",
  "frontend list --tcp",
  "frontend list -d b.test",
  "listener list",
  "certificate list",
  "certificate list -d a.test",
  "certificate list -w",
  "state stats",
];

async function drive(t: TestContext, folder: string, port: number, stock: boolean): Promise<void> {
  const ports = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  for (const args of steps(port, ports)) {
    const { code, stderr, stdout } = await cli(folder, stock, args);
    assert.equal(code, 0, `${args.join(" ")}\n${stdout}${stderr}`);
  }
  for (const question of QUESTIONS) {
    const [ours, theirs] = await Promise.all(
      [false, true].map((which) => cli(folder, which, ["--json", ...question.split(" ")])),
    );
    assert.equal(theirs.code, 0, `${question}\n${theirs.stderr}`);
    assert.equal(ours.code, 0, `${question}\n${ours.stderr}`);
    assert.deepEqual(comparable(ours.stdout), comparable(theirs.stdout), question);
    t.diagnostic(question);
  }
  for (const refused of ["cluster remove -i nobody", "listener http remove -a 127.0.0.1:1", "state load -f /nowhere"]) {
    const results = await Promise.all([false, true].map((which) => cli(folder, which, refused.split(" "))));
    assert.deepEqual(
      results.map(({ code }) => code),
      [1, 1],
      refused,
    );
  }
}

/** Members that only we have are left out by the stock program; it lists the names of a certificate in any order. */
function comparable(json: string): unknown {
  const sort = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      return value.map(sort).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    }
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, each]) => [key, sort(each)] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return sort(JSON.parse(json));
}

/** A stock proxy with the configuration of `proxy`, on another port. */
async function startStock(t: TestContext, proxy: RunningProxy, folder: string): Promise<number> {
  const port = await freePort();
  const toml = readFileSync(join(proxy.folder, "config.toml"), "utf8");
  writeFileSync(
    join(folder, "config.toml"),
    toml.replaceAll(proxy.folder, folder).replaceAll(`127.0.0.1:${proxy.port}`, `127.0.0.1:${port}`),
  );
  const child = spawn(STOCK, ["-c", join(folder, "config.toml"), "start"], { cwd: folder, stdio: "ignore" });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    await cli(folder, true, ["shutdown", "--hard"]);
    child.kill("SIGKILL");
    await gone;
    rmSync(folder, { recursive: true });
  });
  const socket = join(folder, "sozu.sock");
  await until("the stock proxy answers", () =>
    ask(socket, STATUS).then(
      (ok) => ok,
      () => false,
    ),
  );
  return port;
}

test("interop: the stock command line drives our proxy, ours a stock proxy, and states go both ways", {
  skip,
}, async (t) => {
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [1026] } } });
  const folder = mkdtempSync(join(tmpdir(), "sozu-stock-"));
  const stockPort = await startStock(t, proxy, folder);
  for (const each of [proxy.folder, folder]) prepare(each);
  await drive(t, proxy.folder, proxy.port, true);
  await drive(t, folder, stockPort, false);
  const [ours, theirs] = [join(proxy.folder, "saved.json"), join(folder, "saved.json")];
  const loaded = await cli(proxy.folder, true, ["state", "load", "-f", theirs]);
  assert.equal(loaded.code, 0, loaded.stderr);
  const dry = await proxy.run("state", "load", "--file", theirs, "--replace", "--dry-run");
  assert.match(dry.stdout, /cluster|listener|nothing/i);
  const back = await cli(folder, false, ["state", "load", "-f", ours]);
  // A stock proxy counts what it has already as errors; what it has now it must be able to save again.
  assert.match(back.stdout + back.stderr, /ok messages/);
  assert.equal((await cli(folder, false, ["state", "save", "-f", "again.json"])).code, 0);
  const count = (path: string): number => readFileSync(path, "utf8").split("\n\0").length;
  assert.ok(count(join(folder, "again.json")) > count(theirs));
});
