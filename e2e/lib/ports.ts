// Free ports for tests, below the kernel's ephemeral range so that an outgoing connection cannot take one meanwhile.

import { createServer } from "node:net";

const FIRST = 12_000;
const COUNT = 18_000;
const taken = new Set<number>();

/** A TCP port of 127.0.0.1 and 0.0.0.0 that nobody listened on just now; never the same one twice in a process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (taken.has(port) || !(await canBind(port))) continue;
    taken.add(port);
    return port;
  }
  throw new Error("no free port found");
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "0.0.0.0", () => probe.close(() => resolve(true)));
  });
}
