// Watches descriptors for code that has no event loop of its own: main, tools and tests. Level-triggered; callbacks run
// from Node's loop, one after the other. What a callback throws becomes an 'uncaughtException'; the others are called
// again, for their descriptors are still ready. The process stays alive while anything is watched.

import { EPOLLIN, epollAdd, epollCreate, epollDel, epollMod, events, poll, startBridge, stopBridge } from "./epoll.ts";
import { EEXIST, ENOENT } from "./errno.ts";
import { close } from "./sockets.ts";

/** Gets the EPOLL bits that were reported. */
export type OnReady = (events: number) => void;

interface Watch {
  readonly onReady: OnReady;
  readonly generation: number;
}

const BATCH = 64;

const watches = new Map<number, Watch>();
let epoll = -1;
let generations = 0;

/** Calls `onReady` whenever `fd` has one of `interest` (default EPOLLIN), an error or a hang-up. 0 or -errno. */
export function watchFd(fd: number, onReady: OnReady, interest: number = EPOLLIN): number {
  if (watches.has(fd)) return -EEXIST;
  const opened = open();
  if (opened < 0) return opened;
  generations = (generations + 1) | 0;
  const result = epollAdd(epoll, fd, interest, fd, generations);
  if (result >= 0) watches.set(fd, { onReady, generation: generations });
  shutWhenUnused();
  return result;
}

/** Changes what is waited for; 0 leaves errors and hang-ups. */
export function changeWatch(fd: number, interest: number): number {
  const watch = watches.get(fd);
  return watch === undefined ? -ENOENT : epollMod(epoll, fd, interest, fd, watch.generation);
}

/** Before the descriptor is closed. `onReady` is not called any more, not even for events already collected. */
export function unwatchFd(fd: number): number {
  if (!watches.delete(fd)) return -ENOENT;
  const result = epollDel(epoll, fd);
  shutWhenUnused();
  return result;
}

function open(): number {
  if (epoll !== -1) return 0;
  const created = epollCreate();
  if (created < 0) return created;
  const started = startBridge(created, onBatch);
  if (started < 0) {
    close(created);
    return started;
  }
  epoll = created;
  return 0;
}

function shutWhenUnused(): void {
  if (watches.size > 0 || epoll === -1) return;
  stopBridge(epoll);
  close(epoll);
  epoll = -1;
}

function onBatch(): void {
  const count = poll(epoll, BATCH, 0);
  if (count <= 0) return;
  // Copied, for a callback may poll another set.
  const batch = events.slice(0, 3 * count);
  for (let i = 0; i < batch.length; i += 3) {
    const watch = watches.get(batch[i + 1]);
    if (watch !== undefined && watch.generation === batch[i + 2]) watch.onReady(batch[i]);
  }
}
