// An attacker that runs its code inside a worker: started under the worker's first filter, it closes the sandbox as a
// worker does, tries what should not be possible, and prints what each try came to as JSON. Run by sandbox.test.ts.

import { spawnSync } from "node:child_process";
import * as ffi from "node:ffi";
import * as fs from "node:fs";
import { createConnection } from "node:net";
import { Worker } from "node:worker_threads";
import { enterSandbox } from "../../src/os/sandbox.ts";
import { ALLOWED_CALLS } from "../../src/os/sandbox-table.ts";

const [victimText, socketPath, port, folder] = process.argv.slice(2);
const victim = Number(victimText);
const outcomes: Record<string, string> = {};
const arch = process.arch === "arm64" ? "arm64" : "x64";

const THREAD = `
  const { parentPort } = require("node:worker_threads");
  const fs = require("node:fs");
  parentPort.on("message", () => {
    let sync = "done";
    try { fs.readFileSync("/etc/passwd"); } catch (error) { sync = error.code; }
    fs.readFile("/etc/passwd", (error) => parentPort.postMessage([sync, error?.code ?? "done"]));
  });
  parentPort.postMessage("ready");`;

/** A system call with six numbers: its result or -errno. Whatever is loaded lazily is loaded before the sandbox. */
const { functions } = ffi.dlopen("libc.so.6", {
  syscall: { arguments: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], return: "i64" },
  __errno_location: { arguments: [], return: "pointer" },
});
const errnoAt = functions.__errno_location();

function systemCall(number: number, ...given: number[]): number {
  const [a, b, c, d, e, f] = Array.from({ length: 6 }, (_, i) => BigInt(given[i] ?? 0));
  const result = Number(functions.syscall(BigInt(number), a, b, c, d, e, f));
  return result === -1 ? -ffi.getInt32(errnoAt) : result;
}

function sync(name: string, attempt: () => unknown): void {
  try {
    const result = attempt();
    outcomes[name] = typeof result === "number" ? String(result) : "done";
  } catch (error) {
    outcomes[name] = (error as { code?: string }).code ?? String(error);
  }
}

async function later(name: string, attempt: () => Promise<unknown>): Promise<void> {
  try {
    await attempt();
    outcomes[name] = "done";
  } catch (error) {
    outcomes[name] = (error as { code?: string }).code ?? String(error);
  }
}

function once(emitter: NodeJS.EventEmitter, event: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    emitter.once(event, resolve);
    emitter.once("error", reject);
  });
}

async function connect(options: { path: string } | { host: string; port: number }): Promise<void> {
  const socket = createConnection(options as { port: number });
  await once(socket, "connect");
  socket.destroy();
}

/** Every call by its number: those that are not in the table and yet are not refused. */
function sweep(): number[] {
  const allowed = new Set(ALLOWED_CALLS.map((call) => call[arch]));
  const wrong: number[] = [];
  for (let number = 0; number < 600; number++) {
    // uretprobe and uprobe pass by every filter, and end whoever calls them by hand (SIGILL).
    if (allowed.has(number) || (arch === "x64" && (number === 335 || number === 336))) continue;
    const result = systemCall(number);
    if (result !== -1 && result !== -38) wrong.push(number);
  }
  return wrong;
}

async function attack(): Promise<void> {
  const thread = new Worker(THREAD, { eval: true });
  await once(thread, "message");
  systemCall(39);
  outcomes["sandbox"] = enterSandbox("on") ?? "closed";

  sync("read", () => fs.readFileSync("/etc/passwd"));
  await later("read by the pool", () => fs.promises.readFile("/etc/passwd"));
  thread.postMessage("now");
  const [inThread, inItsPool] = (await once(thread, "message")) as [string, string];
  outcomes["read in a thread"] = inThread;
  outcomes["read by the pool for a thread"] = inItsPool;
  await later("start a thread and read there", () => once(new Worker(THREAD, { eval: true }), "message"));
  await later("write", () => fs.promises.writeFile(`${folder}/written`, "x"));
  sync("list", () => fs.readdirSync("/"));
  sync("stat", () => fs.statSync("/etc/passwd").size);
  sync("rename", () => fs.renameSync(`${folder}/mine`, `${folder}/yours`));
  sync("remove", () => fs.rmSync(`${folder}/mine`));
  sync("change mode", () => fs.chmodSync(`${folder}/mine`, 0o777));
  sync("run a program", () => {
    const { error } = spawnSync("/bin/true");
    if (error !== undefined) throw error;
  });
  await later("command socket", () => connect({ path: socketPath as string }));
  sync("kill main", () => process.kill(victim, "SIGKILL"));
  sync("kill its group", () => process.kill(0, 0));
  outcomes["not refused"] = sweep().join(" ");
  attackByNumber();
  await later("backend", () => connect({ host: "127.0.0.1", port: Number(port) }));
  fs.writeSync(1, `${JSON.stringify(outcomes)}\n`);
  process.exit(0);
}

/** What Node has no function for, and allowed calls with arguments that a worker has no use for. */
function attackByNumber(): void {
  const numberOf = (name: string): number => ALLOWED_CALLS.find((call) => call.name === name)?.[arch] ?? -1;
  const [ptrace, readMemory] = arch === "x64" ? [101, 310] : [117, 270];
  const tries: [name: string, ...numbers: number[]][] = [
    ["trace main", ptrace, 16, victim],
    ["read the memory of main", readMemory, victim],
    ["a socket of the machine", numberOf("socket"), 1, 1],
    ["a netlink socket", numberOf("socket"), 16, 3],
    ["a raw socket", numberOf("socket"), 2, 3, 1],
    ["signal a thread of main", numberOf("tgkill"), victim, victim, 9],
    ["a signal to main by fcntl", numberOf("fcntl"), 1, 8, victim],
    ["a signal to main by ioctl", numberOf("ioctl"), 1, 0x8901],
    ["type into the terminal", numberOf("ioctl"), 0, 0x5412],
    ["limits of main", numberOf("prlimit64"), victim, 7],
    ["own limits", numberOf("prlimit64"), 0, 4, Number(errnoAt)],
    ["be traced", numberOf("prctl"), 4, 1],
    ["fork", numberOf("clone"), 17],
    ["a thread in a namespace", numberOf("clone"), 0x10900 | 0x10000000],
  ];
  for (const [name, number, ...given] of tries) outcomes[name] = String(systemCall(number, ...given));
}

await attack();
