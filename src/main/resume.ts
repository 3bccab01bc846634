// The beginning of a main that follows another one in the same process (decisions 27), and its rehearsal, which goes the
// same way up to the point where something would be touched.

import { loadConfig } from "../config/load.ts";
import { close } from "../os/sockets.ts";
import { type Carry, keepOverExec, readCarry, restoreBase, restoreState } from "./carry.ts";
import { resumeMain } from "./main.ts";
import { become, reportRehearsal } from "./main-upgrade.ts";

/** How `sozu main` was called. */
export interface ResumeOptions {
  readonly upgradeFd: number;
  readonly rehearse: boolean;
  /** Why the release that was to follow did not: this one is back. "": it follows. */
  readonly trouble: string;
}

/** Runs the proxy from what the last main left; resolves when it has stopped. */
export async function resume(options: ResumeOptions): Promise<void> {
  if (options.rehearse) {
    await rehearse(options.upgradeFd);
    return;
  }
  const carry = readCarry(options.upgradeFd);
  close(options.upgradeFd);
  keepOverExec(carry, false);
  try {
    await resumeMain({ carry, state: restoreState(carry.state), base: restoreBase(carry.base), ...options });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`sozu main: the upgrade failed: ${reason}\n`);
    if (options.trouble === "") become(carry.from, carry, reason);
    throw error;
  }
}

async function rehearse(fd: number): Promise<void> {
  try {
    const carry = readCarry(fd);
    restoreState(carry.state);
    restoreBase(carry.base);
    await checkFile(carry);
    reportRehearsal("ready");
  } catch (error) {
    reportRehearsal(error instanceof Error ? error.message : String(error));
  }
}

/** The next start and the next reload will need it. */
async function checkFile({ source }: Carry): Promise<void> {
  const file = await loadConfig(source.path, source);
  if (!file.ok) throw new Error(`it refuses the configuration file:\n${file.text}`);
}
