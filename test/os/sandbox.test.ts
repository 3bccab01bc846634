// What the sandbox refuses, tried from inside of it, and what the kernel says about a process in it.

import assert from "node:assert/strict";
import { execFile, spawn as spawnChild } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { socketpair } from "../../src/os/listeners.ts";
import { setNonblocking, spawn } from "../../src/os/process.ts";
import { enterSandbox, sandboxObstacle, sandboxOf, startFilter } from "../../src/os/sandbox.ts";
import { ALLOWED_CALLS, NEVER_CALLS } from "../../src/os/sandbox-table.ts";
import { close, recv, UNIX_STREAM } from "../../src/os/sockets.ts";
import { ready, textAt } from "./descriptors.ts";

const skip = sandboxObstacle() ?? false;
const attacker = fileURLToPath(new URL("./sandbox-attacker.ts", import.meta.url));

function listen(t: TestContext, at: string | number): Promise<Server> {
  const server = createServer();
  t.after(() => server.close());
  return new Promise((resolve) => {
    if (typeof at === "string") server.listen(at, () => resolve(server));
    else server.listen(at, "127.0.0.1", () => resolve(server));
  });
}

/** Runs the attacker as main runs a worker; resolves with its outcomes. */
function runAttacker(args: readonly string[]): Promise<Record<string, string>> {
  const [here, there] = socketpair(UNIX_STREAM);
  setNonblocking(there, false);
  const argv = [process.execPath, "--no-warnings", attacker, ...args];
  const env = { PATH: process.env["PATH"] };
  const spawned = spawn({ file: process.execPath, args: argv, env, fds: [[there, 1]], sandbox: startFilter("on") });
  assert.ok(typeof spawned !== "number", `spawn: ${spawned}`);
  close(there);
  return new Promise((resolve) => {
    let text = "";
    // The event loop turns between the reads: the attacker's connections are taken by this process.
    const timer = setInterval(() => {
      const length = recv(here, 0, 65536);
      if (length > 0) text += textAt(0, length);
      if (length !== 0 && !text.endsWith("\n")) return;
      clearInterval(timer);
      ready(spawned.pidfd);
      close(spawned.pidfd);
      close(here);
      resolve(text === "" ? { sandbox: "the attacker died" } : JSON.parse(text));
    }, 10);
  });
}

test("an attacker inside a worker is refused each time", { skip, timeout: 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-sandbox-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "mine"), "mine", { mode: 0o600 });
  await listen(t, join(folder, "sozu.sock"));
  const backend = (await listen(t, 0)).address() as { port: number };
  const main = spawnChild("sleep", ["60"]);
  t.after(() => main.kill("SIGKILL"));

  const outcomes = await runAttacker([String(main.pid), join(folder, "sozu.sock"), String(backend.port), folder]);
  const { sandbox, backend: reached, "not refused": notRefused, ...tries } = outcomes;
  assert.equal(sandbox, "closed");
  assert.equal(reached, "done", "connecting to a backend works");
  assert.equal(notRefused, "", "numbers of calls that are not in the table and were not refused");
  assert.ok(Object.keys(tries).length >= 28);
  for (const [name, outcome] of Object.entries(tries)) {
    assert.match(outcome, /^(EPERM|ENOSYS|ERR_DLOPEN_FAILED|-1|-38)$/, name);
  }
  assert.equal(main.exitCode ?? main.signalCode, null, "main was not killed");
  assert.deepEqual(readdirSync(folder).sort(), ["mine", "sozu.sock"]);
});

test("a process that may have an io_uring takes no filter, and says why", { skip }, async () => {
  const script = `const { enterSandbox } = await import(${JSON.stringify(join(attacker, "../../../src/os/sandbox.ts"))});
    console.log(enterSandbox("on")); process.exit(0);`;
  const { stdout } = await new Promise<{ stdout: string }>((resolve) =>
    execFile(process.execPath, ["--input-type=module", "-e", script], (_error, out) => resolve({ stdout: out })),
  );
  assert.match(stdout, /^this process was not started under the first filter|^null$/);
});

test("switched off it changes nothing", () => {
  const before = sandboxOf(process.pid);
  assert.equal(enterSandbox("off"), "switched off by the configuration");
  assert.equal(startFilter("off").length, 0);
  assert.deepEqual(sandboxOf(process.pid), before);
  assert.equal(sandboxOf(2 ** 30), null);
});

const HEADERS = { x64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", arm64: "/usr/include/asm-generic/unistd.h" };

for (const arch of ["x64", "arm64"] as const) {
  const missing = existsSync(HEADERS[arch])
    ? false
    : "the kernel's headers are missing: apt-get install linux-libc-dev";
  test(`the numbers of ${arch} are those of the kernel's headers`, { skip: missing }, () => {
    const numbers = new Map<string, number>();
    for (const [, name, number] of readFileSync(HEADERS[arch], "utf8").matchAll(
      /^#define __NR(?:3264)?_(\w+) (\d+)$/gm,
    )) {
      if (!numbers.has(name)) numbers.set(name, Number(number));
    }
    for (const call of [...ALLOWED_CALLS, ...NEVER_CALLS]) {
      assert.equal(call[arch], numbers.get(call.name) ?? -1, call.name);
    }
  });
}

test("docs/sandbox.md lists every call of the tables, and no other", () => {
  const page = readFileSync(fileURLToPath(new URL("../../docs/sandbox.md", import.meta.url)), "utf8");
  const between = (from: string, to: string): string[] => {
    const section = page.slice(page.indexOf(from), page.indexOf(to, page.indexOf(from)));
    return [...section.matchAll(/`(\w+)`/g)].map((match) => match[1] as string);
  };
  assert.deepEqual(
    between("## Refused from the start", "io_uring stands"),
    NEVER_CALLS.map((call) => call.name),
  );
  assert.deepEqual(
    between("| For | Calls |", "Some of them"),
    ALLOWED_CALLS.map((call) => call.name),
  );
  const conditional = page.slice(page.indexOf("| Call | Allowed |"), page.indexOf("So no call with a path"));
  const named = [...conditional.matchAll(/^\| (`.*?) \|/gm)].flatMap((row) => (row[1] as string).match(/\w+/g) ?? []);
  assert.deepEqual(
    named.sort(),
    ALLOWED_CALLS.filter((call) => call.when.length > 0)
      .map((call) => call.name)
      .sort(),
  );
});
