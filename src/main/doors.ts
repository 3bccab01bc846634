// The doors of workers, as files beside the command socket: `<command_socket>.w<id>`. Main makes and removes them; a main
// that comes after a crash finds there who still serves (decisions 25).

import { lstatSync, readdirSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { listenUnix } from "../os/listeners.ts";
import { UNIX_SEQPACKET } from "../os/sockets.ts";

/** The owner only. */
const DOOR_MODE = 0o600;

/** Makes the door of a worker. The listening descriptor, or -errno: the worker then lives without one. */
export function openDoor(commandSocket: string, id: number): number {
  removeDoor(commandSocket, id);
  return listenUnix(pathOf(commandSocket, id), DOOR_MODE, UNIX_SEQPACKET);
}

/** The worker has ended. */
export function removeDoor(commandSocket: string, id: number): void {
  try {
    unlinkSync(pathOf(commandSocket, id));
  } catch {
    // There was none.
  }
}

/** The doors that lie there and are the own user's, by worker id. Whether somebody is behind shows when one knocks. */
export function findDoors(commandSocket: string): ReadonlyMap<number, string> {
  const doors = new Map<number, string>();
  const prefix = `${basename(commandSocket)}.w`;
  const own = process.geteuid?.() ?? 0;
  for (const name of readdirSync(dirname(commandSocket))) {
    const id = name.startsWith(prefix) ? name.slice(prefix.length) : "";
    if (!/^\d{1,10}$/.test(id)) continue;
    const path = join(dirname(commandSocket), name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSocket() === true && stat.uid === own) doors.set(Number(id), path);
  }
  return doors;
}

function pathOf(commandSocket: string, id: number): string {
  return `${commandSocket}.w${id}`;
}
