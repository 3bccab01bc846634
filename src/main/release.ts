// The code that processes run from: an immutable folder, so that what is on disk may change while they run (design
// section 5). A program keeps the release it started with, and so do its workers when they are replaced; only an upgrade
// looks for the one that `current` names now.

import { existsSync, readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** One release. */
export interface Release {
  /** The Node that runs it. */
  readonly node: string;
  /** The folder of its modules: `<release>/js`, or `src` of a checkout. */
  readonly code: string;
}

/** The release this process runs. */
export function ownRelease(): Release {
  return { node: process.execPath, code: dirname(import.meta.dirname) };
}

/** The release that `current` names next to `own`; `own` itself where there is no such thing. */
export function latestRelease(own: Release = ownRelease()): Release {
  const releases = dirname(dirname(own.code));
  try {
    const root = join(releases, readlinkSync(join(releases, "current")));
    const node = join(root, "bin", "node");
    const code = join(root, basename(own.code));
    return existsSync(node) && existsSync(code) ? { node, code } : own;
  } catch {
    // Sources, or a package without releases beside each other.
    return own;
  }
}

/** The path of a module, named without its extension. */
export function moduleOf(release: Release, name: string): string {
  return join(release.code, `${name}${basename(release.code) === "src" ? ".ts" : ".js"}`);
}

/** How people know it: the name of the folder. */
export function releaseName(release: Release): string {
  return basename(dirname(release.code));
}
