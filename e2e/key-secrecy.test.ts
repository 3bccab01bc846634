// CP-21: a private key is nowhere but in its file, in saved states that only their owner reads, and in the memory of the
// proxy: not in logs, audit files, answers, events, metrics, command lines, environments or what a crash leaves.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { createSocket } from "node:dgram";
import { once as event } from "node:events";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { type MadeCertificate, makeCertificate } from "../test/command/certs.ts";
import { httpBackend } from "./lib/backend.ts";
import { faultEnvironment } from "./lib/fault.ts";
import { freePort } from "./lib/ports.ts";
import { descendants } from "./lib/processes.ts";
import { currentRelease, type RunningProxy, startProxy } from "./lib/proxy.ts";
import { type Scope, until } from "./lib/scope.ts";

/** What a leak of a key would look like: lines of its PEM, its secret number in binary, hex, base64 and JSON. */
function traces({ key, privateKey }: MadeCertificate): Buffer[] {
  const lines = key.split("\n").filter((line) => line.length > 16 && !line.startsWith("-----"));
  const secret = secretOf(privateKey).subarray(0, 12);
  const encoded = [
    secret.toString("hex"),
    secret.toString("base64").slice(0, 14),
    JSON.stringify([...secret]).slice(1, -1),
  ];
  return [...[...lines, ...encoded].map((text) => Buffer.from(text)), secret];
}

function secretOf(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).d as string, "base64url");
}

async function get(port: number, servername: string): Promise<string> {
  const client = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  client.end(`GET /x HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  client.on("data", (data: Buffer) => chunks.push(data));
  await new Promise((resolve) => client.once("close", resolve).once("error", resolve));
  return Buffer.concat(chunks).toString();
}

/** Everything an event stream prints. */
function events(scope: Scope, proxy: RunningProxy, ...flags: string[]): () => string {
  const release = currentRelease();
  const args = [join(release, "js", "cli", "main.js"), "-c", join(proxy.folder, "config.toml"), "events", ...flags];
  const child = spawn(join(release, "bin", "node"), args, { stdio: ["ignore", "pipe", "pipe"] });
  scope.after(() => void child.kill());
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (data) => {
      text += data;
    });
  }
  return () => text;
}

test("CP-21 the private keys of a run with refusals and crashes are in no output, file or process listing", async (t) => {
  const served = makeCertificate({ names: ["a.test"] });
  const added = makeCertificate({ names: ["b.test"], kind: "rsa" });
  const stranger = makeCertificate({ names: ["c.test"] });
  const keys = [served, added, stranger].flatMap(traces);
  const seen: [string, Buffer][] = [];
  const note = (what: string, text: string | Buffer): void => void seen.push([what, Buffer.from(text)]);

  const statsd = createSocket("udp4");
  t.after(() => statsd.close());
  statsd.on("message", (message) => note("statsd", message));
  statsd.bind(0, "127.0.0.1");
  await event(statsd, "listening");
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const port = await freePort();
  const proxy = await startProxy(t, {
    env: { ...faultEnvironment("throw", ""), RUST_LOG: "trace" },
    toml: `command_socket = "$FOLDER/sozu.sock"
worker_count = 2
log_level = "trace"
log_target = "file://$FOLDER/log"
access_logs_target = "file://$FOLDER/access.log"
audit_logs_target = "$FOLDER/audit.log"
audit_logs_json_target = "$FOLDER/audit.json"
saved_state = "$FOLDER/state"
automatic_state_save = true
[metrics]
address = "127.0.0.1:${statsd.address().port}"
[[listeners]]
protocol = "https"
address = "127.0.0.1:${port}"
[clusters.app]
protocol = "http"
frontends = [{ address = "127.0.0.1:${port}", hostname = "a.test", certificate = "$FOLDER/a.pem", key = "$FOLDER/a.key" }]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`,
    before: (folder) => {
      for (const [name, { pem, key }] of [
        ["a", served],
        ["b", added],
        ["c", stranger],
      ] as const) {
        writeFileSync(join(folder, `${name}.pem`), pem);
        writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
      }
      writeFileSync(join(folder, "empty"), "");
      writeFileSync(join(folder, "cut.key"), added.key.slice(0, added.key.length / 2), { mode: 0o600 });
    },
  });
  const file = (name: string): string => join(proxy.folder, name);
  const streams = [events(t, proxy), events(t, proxy, "--json")];
  const run = async (expected: number, ...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await proxy.run(...args);
    note(args.join(" "), stdout + stderr);
    assert.equal(code, expected, `${args.join(" ")}\n${stdout}${stderr}`);
  };
  const look = (): void => {
    for (const pid of [proxy.pid, ...descendants(proxy.pid)]) {
      for (const name of ["cmdline", "environ", "status", "comm"])
        note(`${name} of ${pid}`, readFileSync(`/proc/${pid}/${name}`));
    }
  };
  note("an answer", await get(port, "a.test"));
  assert.match(seen.at(-1)?.[1].toString() ?? "", /^HTTP\/1\.1 200/);
  await until("events are heard", async () => {
    await run(0, "logging", "trace");
    return streams.every((text) => text() !== "");
  });

  const at = ["--address", `127.0.0.1:${port}`];
  const pair = (pem: string, key: string): string[] => [
    ...at,
    ...["--certificate", file(pem), "--certificate-chain", file("empty"), "--key", file(key)],
  ];
  await run(0, "certificate", "add", ...pair("b.pem", "b.key"));
  await run(1, "certificate", "add", ...pair("c.pem", "a.key"));
  await run(1, "certificate", "add", ...pair("c.pem", "cut.key"));
  await run(1, "certificate", "add", ...pair("c.key", "c.pem"));
  // A message that never was a configuration: the key where a name belongs, in a request that is refused.
  const wrong = JSON.stringify({ request_type: { ADD_CLUSTER: { cluster_id: "x", sticky_session: 3 } } });
  const transaction = await proxy.runWith(`${wrong}\n`, "transaction");
  note("transaction", transaction.stdout + transaction.stderr);
  for (const json of [[], ["--json"]]) {
    for (const verb of [
      "status",
      "listener list",
      "frontend list",
      "cluster list",
      "certificate list",
      "metrics get",
    ]) {
      await run(0, ...verb.split(" "), ...json);
    }
  }
  await run(0, "state", "stats");
  await run(0, "config", "check");
  await run(0, "reload", "--dry-run");
  look();

  const config = readFileSync(file("config.toml"), "utf8");
  writeFileSync(file("config.toml"), config.replace("a.key", "b.key"));
  await run(1, "config", "check");
  await run(1, "reload");
  // Somebody may put a key into the file itself, on one line or on many, with errors of other kinds around it.
  const text = JSON.stringify(stranger.key);
  for (const inline of [
    text,
    `"""${stranger.key}"""`,
    text.slice(0, -1),
    `${text}, zz = 1`,
    `[${text}]`,
    `${text} 7`,
  ]) {
    writeFileSync(file("config.toml"), config.replace(/key = "[^"]*"/, `key = ${inline}`));
    await run(1, "config", "check");
    await run(1, "reload");
  }
  writeFileSync(file("config.toml"), config.replace("worker_count = 2", `worker_count = ${text}`));
  await run(1, "config", "check");
  writeFileSync(file("config.toml"), config);

  for (const signal of ["SIGUSR2", "SIGSEGV", "SIGABRT"] as const) {
    const [victim] = proxy.workerPids;
    const ids = (readFileSync(file("log"), "utf8").match(/worker \d+ serves/g) ?? []).length;
    process.kill(victim as number, signal);
    await until(`a successor after ${signal}`, () => {
      return (readFileSync(file("log"), "utf8").match(/worker \d+ serves/g) ?? []).length > ids;
    });
    note("an answer", await get(port, "b.test"));
  }
  assert.match(readFileSync(file("log"), "utf8"), /panic: Error: a fault of the test/);
  await run(0, "upgrade");
  await run(0, "upgrade", "--worker", String(Math.max(...workerIds(readFileSync(file("log"), "utf8")))));
  look();

  // A saved state holds keys: it is its owner's, also where a file that everybody may read was there before.
  chmodSync(file("state"), 0o644);
  writeFileSync(file("copy"), "", { mode: 0o666 });
  await run(0, "state", "save", "--file", file("state"));
  await run(0, "state", "save", "--file", file("copy"));
  await run(0, "state", "save", "--file", file("anew"));
  for (const name of ["state", "copy", "anew"]) {
    assert.equal(statSync(file(name)).mode & 0o007, 0, name);
    assert.match(readFileSync(file(name), "utf8"), /PRIVATE KEY/);
  }
  await run(0, "shutdown");
  await proxy.waitForExit();

  note("output", proxy.output);
  for (const [i, text] of streams.entries()) note(`events ${i}`, text());
  const secret = new Set(["a.key", "b.key", "c.key", "cut.key", "state", "copy", "anew"]);
  for (const name of readdirSync(proxy.folder, { recursive: true }) as string[]) {
    if (!secret.has(name) && statSync(file(name)).isFile()) note(`file ${name}`, readFileSync(file(name)));
  }
  for (const name of ["log", "access.log", "audit.log", "audit.json"]) {
    assert.ok(seen.find(([what]) => what === `file ${name}`)?.[1].length, name);
  }
  for (const [what, bytes] of seen) for (const trace of keys) assert.equal(bytes.includes(trace), false, what);
  // The search finds what it looks for.
  assert.ok(
    traces(served)
      .slice(0, 2)
      .some((trace) => readFileSync(file("a.key")).includes(trace)),
  );
  assert.equal(createPrivateKey(readFileSync(file("a.key"))).type, "private");
});

function workerIds(log: string): number[] {
  return [...log.matchAll(/worker (\d+) serves/g)].map(([, id]) => Number(id));
}
