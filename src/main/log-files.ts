// The log files of the workers. Workers cannot open files (docs/sandbox.md), so main opens them and passes descriptors:
// at the start of each worker, and to all of them when the files are to be opened anew because somebody moved them away.
// Standard output is the workers' own.

import { parseTarget } from "../config/log-target.ts";
import { openLogFile } from "../observe/target.ts";
import { close } from "../os/sockets.ts";

/** Open files by target. Duplicates travel; these stay main's. */
export class LogFiles {
  readonly targets: readonly string[];
  #fds: number[];

  /**
   * Opens those of the targets that are files, unless they are `carried`: open since an earlier main opened them. Throws an
   * Error with the reason when one cannot be opened.
   */
  constructor(targets: readonly (string | null)[], carried: readonly number[] = []) {
    const files = targets.filter((text) => text !== null && parseTarget(text).kind === "file");
    this.targets = [...new Set(files as string[])];
    this.#fds = carried.length === this.targets.length ? [...carried] : this.#open();
  }

  /** Descriptors of `targets`, in their order. */
  get fds(): readonly number[] {
    return this.#fds;
  }

  /** Opens all of them anew. Returns null, or why not; the old ones stay in use then. */
  reopen(): string | null {
    try {
      const anew = this.#open();
      this.close();
      this.#fds = anew;
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  close(): void {
    for (const fd of this.#fds) close(fd);
    this.#fds = [];
  }

  #open(): number[] {
    const fds: number[] = [];
    try {
      for (const text of this.targets) {
        const parsed = parseTarget(text);
        if (parsed.kind === "file") fds.push(openLogFile(text, parsed.path));
      }
      return fds;
    } catch (error) {
      for (const fd of fds) close(fd);
      throw error;
    }
  }
}
