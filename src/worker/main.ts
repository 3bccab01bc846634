// Entry of a worker process. Kept tiny: it turns on the compile cache before anything else is loaded, then hands over.

import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Only in a release folder: sources run as they are.
if (import.meta.url.endsWith(".js")) enableCompileCache(fileURLToPath(new URL("../../cache", import.meta.url)));

const { boot } = await import("./boot.ts");
boot();
