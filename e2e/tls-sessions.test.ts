// Sessions are resumed by any worker, also by one that came later, and never where another policy holds (hardening TLS-14;
// spec 8.5). With openssl s_client: it says "Reused" or "New".

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { httpBackend } from "./lib/backend.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";
import { fileScope, until } from "./lib/scope.ts";
import { authority, closing, issue, openssl, writeIdentity } from "./lib/secure.ts";

const VERSIONS = ["-tls1_2", "-tls1_3"];

const scope = fileScope();
const backend = await httpBackend(scope, (_request, response) => response.end("hello\n"));
const [other, few, asking] = [await freePort(), await freePort(), await freePort()];
const files = 'certificate = "$FOLDER/a.pem", key = "$FOLDER/a.key"';
const CLIENT_AUTH = 'client_auth = { ca = "$FOLDER/ca.pem", required = false }';
const proxy = await startProxy(scope, {
  toml: `
command_socket = "$FOLDER/sozu.sock"
worker_count = 2
access_logs_target = "file://$FOLDER/access.log"
access_logs_tls = true

[[listeners]]
address = "127.0.0.1:$PORT"
protocol = "https"
# policy

[[listeners]]
address = "127.0.0.1:${other}"
protocol = "https"

[[listeners]]
address = "127.0.0.1:${few}"
protocol = "https"
send_tls13_tickets = 1

[[listeners]]
address = "127.0.0.1:${asking}"
protocol = "https"
${CLIENT_AUTH}

[clusters.app]
protocol = "http"
frontends = [${["$PORT", other, few, asking].map((port) => `{ address = "127.0.0.1:${port}", hostname = "a.test", ${files} }`).join(", ")}]
backends = [{ address = "127.0.0.1:${backend.port}" }]
`,
  before: (folder) => {
    writeFileSync(join(folder, "ca.pem"), authority.pem);
    writeIdentity(folder, "a", issue({ names: ["a.test"] }));
  },
});

/** A connection with a request; `session` is a file to keep the session in, or to take it from. */
async function connection(port: number, version: string, option: string, session: string): Promise<string> {
  const path = join(proxy.folder, session);
  const { text } = await openssl(port, [version, option, path, "-ign_eof"], closing(`/${session}`));
  assert.match(text, /hello/);
  return /^(New|Reused), TLSv1\.[23]/m.exec(text)?.[1] ?? text;
}

function resumes(port: number, version: string, session: string): Promise<string> {
  return connection(port, version, "-sess_in", session);
}

/** Resumes until every worker that serves has done it once. */
async function resumedByAll(version: string, session: string, count: number): Promise<void> {
  const workers = new Set<string>();
  const before = proxy.accessLines.length;
  await until("every worker has resumed the session", async () => {
    assert.equal(await resumes(proxy.port, version, session), "Reused");
    for (const line of proxy.accessLines.slice(before)) {
      // The line of the first connection, which made the session, may come late.
      if (!line.includes(`/${session} 200`) || !line.includes("tls-resumed=true")) continue;
      workers.add(/ (\d+) INFO-ACCESS/.exec(line)?.[1] as string);
    }
    return workers.size >= count;
  });
}

for (const version of VERSIONS) {
  test(`TLS-14: every worker resumes a session, also workers that came after it, ${version}`, async () => {
    const session = `session${version}`;
    assert.equal(await connection(proxy.port, version, "-sess_out", session), "New");
    await resumedByAll(version, session, 2);
    const old = new Set(proxy.workerPids);
    for (const { id } of await serving()) {
      const { code, stderr } = await proxy.run("upgrade", "--worker", String(id));
      assert.equal(code, 0, stderr);
    }
    await until("the old workers are gone", () => proxy.workerPids.every((pid) => !old.has(pid)));
    await resumedByAll(version, session, 2);
    const [victim] = proxy.workerPids;
    process.kill(victim as number, "SIGKILL");
    await until("there is another worker", () => {
      const { workerPids } = proxy;
      return workerPids.length === 2 && !workerPids.includes(victim as number);
    });
    await until("it serves", async () => (await serving()).length === 2);
    await resumedByAll(version, session, 2);
  });

  test(`TLS-14: a session of one listener is none of another, nor where clients are asked for certificates, ${version}`, async () => {
    const session = `mine${version}`;
    assert.equal(await connection(proxy.port, version, "-sess_out", session), "New");
    assert.equal(await resumes(other, version, session), "New");
    assert.equal(await resumes(asking, version, session), "New");
    assert.equal(await resumes(proxy.port, version, session), "Reused");
  });
}

test("8.5: send_tls13_tickets", async () => {
  for (const [port, count] of [
    [few, 1],
    [other, 4],
  ] as const) {
    const { text } = await openssl(port, ["-tls1_3", "-msg", "-ign_eof"], closing("/tickets"));
    assert.equal(text.match(/NewSessionTicket/g)?.length, count);
  }
});

test("TLS-14: a session from before clients were asked for certificates is not resumed", async () => {
  for (const version of VERSIONS) await connection(proxy.port, version, "-sess_out", `before${version}`);
  const path = join(proxy.folder, "config.toml");
  const toml = readFileSync(path, "utf8");
  writeFileSync(path, toml.replace("# policy", CLIENT_AUTH.replaceAll("$FOLDER", proxy.folder)));
  const { code, stdout, stderr } = await proxy.run("reload");
  assert.equal(code, 0, stdout + stderr);
  for (const version of VERSIONS) assert.equal(await resumes(proxy.port, version, `before${version}`), "New");
});

async function serving(): Promise<{ id: number }[]> {
  const { stdout } = await proxy.run("status", "--json");
  const all = JSON.parse(stdout).WORKERS.vec as { id: number; run_state: number }[];
  return all.filter(({ run_state }) => run_state === 0);
}
