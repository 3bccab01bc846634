// Entry of the `sozu` executable. Kept tiny on purpose: it turns on the compile cache before anything else is loaded,
// so that the rest of the program is read from it, then hands over to program.ts.

import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Only in a release folder: sources run as they are.
if (import.meta.url.endsWith(".js")) enableCompileCache(fileURLToPath(new URL("../../cache", import.meta.url)));

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

const { run } = await import("./program.ts");
process.exitCode = await run(process.argv.slice(2));
