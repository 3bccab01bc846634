// What the filters of the sandbox add to one system call (docs/sandbox.md): a recv on an empty socket, without filters,
// under the first one, and under both. The best of many short runs: what is measured is the kernel, not the machine's load.
//
//   node bench/micro/sandbox-calls.ts

import { registerArena } from "../../src/os/arena.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { spawn } from "../../src/os/process.ts";
import { enterSandbox, startFilter } from "../../src/os/sandbox.ts";
import { recv, UNIX_STREAM } from "../../src/os/sockets.ts";

const CALLS = 20_000;
const RUNS = 200;

const [here] = socketpair(UNIX_STREAM);
registerArena(new Uint8Array(65_536));
if (process.argv[2] === "filtered") {
  report("the first filter");
  const obstacle = enterSandbox("on");
  report(obstacle ?? "both filters");
} else {
  report("no filter");
  const args = [process.execPath, import.meta.filename, "filtered"];
  spawn({
    file: process.execPath,
    args,
    env: process.env,
    fds: [
      [1, 1],
      [2, 2],
    ],
    sandbox: startFilter("on"),
  });
}

function report(title: string): void {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const from = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) recv(here, 0, 1);
    best = Math.min(best, Number(process.hrtime.bigint() - from) / CALLS);
  }
  process.stdout.write(`${title}: ${best.toFixed(1)} ns a call\n`);
}
