// Which build runs, for the audit trail: the version of the package, and the folder of the release, whose name is the
// hash of everything in it.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** Version and build; sources that run as they are have no build. */
export function buildInfo(): { readonly version: string; readonly build: string } {
  const root = join(import.meta.dirname, "..", "..");
  const released = import.meta.filename.endsWith(".js");
  return {
    version: (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version,
    build: released ? basename(root) : "source",
  };
}
