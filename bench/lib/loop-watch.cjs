// Preloaded into main and workers by bench:control: how long their loop was busy without a pause, in CPU time of its thread,
// so that a machine that others use, too, does not count. The longest since the last SIGWINCH, in milliseconds, becomes a line
// of the file SOZU_BENCH_LOOPS/<pid> at each SIGWINCH. The file is opened here: later the sandbox allows none.
const { openSync, writeSync } = require("node:fs");
const { isMainThread } = require("node:worker_threads");

if (isMainThread && process.env.SOZU_BENCH_LOOPS) {
  const cpuUs = () => {
    const { user, system } = process.threadCpuUsage();
    return user + system;
  };
  const file = openSync(`${process.env.SOZU_BENCH_LOOPS}/${process.pid}`, "a");
  let longest = 0;
  let last = cpuUs();
  setInterval(() => {
    const now = cpuUs();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1).unref();
  process.on("SIGWINCH", () => {
    writeSync(file, `${longest / 1000}\n`);
    longest = 0;
    last = cpuUs();
  });
}
