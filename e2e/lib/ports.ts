// Free ports for tests, below the kernel's ephemeral range so that an outgoing connection cannot take one meanwhile.
// Test files run side by side, and a test may leave a port unused for a while (a listener that is removed, a proxy that is
// started again): so a port is claimed for the whole life of the process by a file that only one process can create.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FIRST = 12_000;
const COUNT = 18_000;
const claims = join(tmpdir(), "sozu-test-ports");
const taken = new Set<number>();

process.on("exit", () => {
  for (const port of taken) rmSync(join(claims, String(port)), { force: true });
});

/** A TCP port of 127.0.0.1 and 0.0.0.0 that nobody listens on and no other test has got; never the same one twice. */
export async function freePort(): Promise<number> {
  mkdirSync(claims, { recursive: true });
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (taken.has(port) || !claim(port)) continue;
    taken.add(port);
    if (await canBind(port)) return port;
  }
  throw new Error("no free port found");
}

/** True when the port is ours now. What a process that is gone had claimed is free again. */
function claim(port: number): boolean {
  const path = join(claims, String(port));
  try {
    if (existsSync(path) && !existsSync(`/proc/${readFileSync(path, "utf8")}`)) rmSync(path);
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    // Another process was faster, or has it.
    return false;
  }
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "0.0.0.0", () => probe.close(() => resolve(true)));
  });
}
