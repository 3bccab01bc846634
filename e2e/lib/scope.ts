// What a test must undo at its end. A test passes its `t`; a file that shares a proxy between its tests makes a `fileScope`.

import { after } from "node:test";

/** Something that runs callbacks when the test (or the file) ends. */
export interface Scope {
  after(cleanup: () => void | Promise<void>): void;
}

/** A scope that ends with the file. Call it at the top of the file: inside a hook, `after` would mean the hook's own end. */
export function fileScope(): Scope {
  const cleanups: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  return { after: (cleanup) => void cleanups.push(cleanup) };
}

/** Resolves after so many milliseconds. Never the way to wait for an event: see `until`. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Waits until `check` returns something other than undefined, false or null, and returns that.
 * @throws Error naming `what` after `timeoutMs`.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  timeoutMs = 10_000,
  everyMs = 20,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(everyMs);
  }
}
