// UpgradeMain (spec 1.9, decisions 27): first the release on disk is rehearsed, as a child with the real configuration and
// state that opens no socket and no file of the proxy; then this process becomes it by exec. The pid, the descriptors and
// the clients stay. Until the exec nothing has changed and every failure is an answer; when the new code fails after it,
// it becomes this release again.

import { writeSync } from "node:fs";
import type { Response } from "../command/gen/sozu_pb.ts";
import { failureResponse } from "../command/messages.ts";
import type { ObjectIndex } from "../command/object-index.ts";
import { describeErrno } from "../os/errno.ts";
import { execve, killPid, setCloexec, spawn, waitPid } from "../os/process.ts";
import { memfd } from "../os/shared.ts";
import { close } from "../os/sockets.ts";
import { unwatchFd, watchFd } from "../os/watcher.ts";
import { type Carry, keepOverExec, readWhole, writeCarry } from "./carry.ts";
import { latestRelease, moduleOf, type Release, releaseName } from "./release.ts";

/** Where a rehearsal finds the document, and where it writes its result. */
export const REHEARSAL_FDS = { carry: 3, result: 4 } as const;
const SIGKILL = 9;
/** A rehearsal may take as long as an answer, and this for its document. */
const REHEARSE_BYTES_PER_MS = 500;
/** Of what a failed rehearsal printed. */
const OUTPUT_MAX = 2000;

/** What an upgrade needs of main. */
export interface UpgradeTargets {
  readonly workerTimeoutMs: number;
  /** Why it cannot be now; null: it can. */
  obstacle(): string | null;
  /** The objects of the file as it was last loaded. */
  base(): Promise<ObjectIndex>;
  carry(base: ObjectIndex): Carry;
  /** Nothing is accepted, read or changed any more; null, or why that does not come to pass. */
  freeze(): Promise<string | null>;
  thaw(): void;
}

/** Becomes the release on disk; returns only when it does not. */
export async function upgradeMain(targets: UpgradeTargets, progress: (text: string) => void): Promise<Response> {
  const obstacle = targets.obstacle();
  if (obstacle !== null) return failed(obstacle);
  const release = latestRelease();
  progress(`Upgrading the main process: rehearsing release ${releaseName(release)}`);
  const rehearsal = await rehearse(release, targets);
  if (rehearsal !== null) return failed(`release ${releaseName(release)} does not start: ${rehearsal}`);
  const base = await targets.base();
  try {
    const busy = (await targets.freeze()) ?? targets.obstacle();
    return failed(busy ?? `exec failed: ${describeErrno(-become(release, targets.carry(base), ""))}`);
  } finally {
    targets.thaw();
  }
}

/** Replaces this process by `release`. Returns only on failure, with -errno; then everything is as before. */
export function become(release: Release, carry: Carry, trouble: string): number {
  const fd = writeCarry(carry);
  if (fd < 0) return fd;
  setCloexec(fd, false);
  keepOverExec(carry, true);
  const args = [release.node, "--disable-sigusr1", moduleOf(release, "cli/main"), "main", "--upgrade-fd", String(fd)];
  if (trouble !== "") args.push("--trouble", trouble);
  const errno = execve(release.node, args, process.env);
  keepOverExec(carry, false);
  close(fd);
  return errno;
}

function failed(reason: string): Response {
  return failureResponse(`Upgrade of main process failed, the old one goes on: ${reason}`);
}

async function rehearse(release: Release, targets: UpgradeTargets): Promise<string | null> {
  const carry = writeCarry(targets.carry(await targets.base()));
  const result = memfd("sozu-rehearsal", 0);
  const output = memfd("sozu-rehearsal-output", 0);
  const fds = [carry, result, output];
  const bad = fds.find((fd) => fd < 0);
  if (bad !== undefined) return `no memory file: ${describeErrno(-bad)}`;
  const args = [release.node, "--disable-sigusr1", moduleOf(release, "cli/main"), "main", "--rehearse"];
  const child = spawn({
    file: release.node,
    args: [...args, "--upgrade-fd", String(REHEARSAL_FDS.carry)],
    env: process.env,
    fds: [
      [carry, REHEARSAL_FDS.carry],
      [result, REHEARSAL_FDS.result],
      [output, 1],
      [output, 2],
    ],
  });
  let problem: string | null;
  if (typeof child === "number") problem = `it cannot be run: ${describeErrno(-child)}`;
  else {
    const limitMs = targets.workerTimeoutMs + readWhole(carry).length / REHEARSE_BYTES_PER_MS;
    const how = await outcome(child.pidfd, limitMs);
    const said = readWhole(result).toString();
    problem = said === "ready" ? null : said !== "" ? said : `${how}${tail(readWhole(output).toString())}`;
  }
  for (const fd of fds) close(fd);
  return problem;
}

/** Waits until the process has ended, at the latest by SIGKILL; says how it ended. */
function outcome(pidfd: number, limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    let late = "";
    const timer = setTimeout(() => {
      late = `it is not ready after ${(limitMs / 1000).toFixed(1)} s`;
      killPid(pidfd, SIGKILL);
    }, limitMs);
    watchFd(pidfd, () => {
      const status = waitPid(pidfd);
      if (status === null) return;
      clearTimeout(timer);
      unwatchFd(pidfd);
      close(pidfd);
      const how = status.signal > 0 ? `it was killed by signal ${status.signal}` : `it exited with ${status.exitCode}`;
      resolve(late === "" ? how : late);
    });
  });
}

function tail(output: string): string {
  const text = output.trim();
  return text === "" ? "" : `\n${text.slice(-OUTPUT_MAX)}`;
}

/** Tells the result of a rehearsal, from inside it. */
export function reportRehearsal(text: string): void {
  writeSync(REHEARSAL_FDS.result, text);
}
