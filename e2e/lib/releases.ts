// Releases side by side with a `current` link, as on a machine that is upgraded: copies of the compiled code under test,
// which a test may then change.

import { cpSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A folder of releases. */
export class Releases {
  readonly #from: string;
  readonly #folder: string;

  /** `from`: the release to copy; `folder`: where to. */
  constructor(from: string, folder: string) {
    this.#from = from;
    this.#folder = join(folder, "releases");
    mkdirSync(this.#folder, { recursive: true });
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** Makes another release. */
  add(name: string): string {
    const path = this.path(name);
    mkdirSync(path);
    cpSync(join(this.#from, "js"), join(path, "js"), { recursive: true });
    cpSync(join(this.#from, "package.json"), join(path, "package.json"));
    for (const shared of ["bin", "node_modules"]) symlinkSync(join(this.#from, shared), join(path, shared));
    return path;
  }

  /** Changes a file of a release, or replaces it. */
  edit(name: string, file: string, change: (text: string) => string): void {
    const path = join(this.path(name), file);
    writeFileSync(path, change(readFileSync(path, "utf8")));
  }

  /** Switches `current`. */
  use(name: string): void {
    const link = join(this.#folder, "current");
    symlinkSync(name, `${link}.new`);
    renameSync(`${link}.new`, link);
  }
}
