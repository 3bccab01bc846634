// Runs the command line in one process for many lines, each sent over the channel of fork(); answers with its exit code.

import { run } from "../../src/cli/program.ts";

process.on("message", (args: string[]) => {
  process.exitCode = undefined;
  run(args).then((code) => process.send?.(code));
});
