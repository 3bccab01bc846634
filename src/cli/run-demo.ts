// Runs the demo backend as a process of its own: `sozu demo`, and the child of `sozu start --demo`.

import type { Server } from "node:http";
import { startDemo } from "./demo.ts";
import { CliError } from "./errors.ts";

const PARENT_CHECK_MS = 300;

/**
 * Serves until SIGTERM or SIGINT, with `withParent` also until the parent ends, however it dies: the child of
 * `start --demo`. An upgrade, which puts another program into the parent's process, is no end.
 * @throws CliError when the address cannot be bound.
 */
export async function runDemo(host: string, port: number, withParent: boolean): Promise<void> {
  const parent = process.ppid;
  let server: Server;
  try {
    server = await startDemo(host, port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") throw new CliError(`the demo backend cannot listen on ${host}:${port}: ${message}`);
    const next = `is it running already? Otherwise choose another port: sozu demo --port ${port + 1}`;
    throw new CliError(`the demo backend cannot listen on ${host}:${port}: the port is in use`, next);
  }
  if (!withParent) process.stdout.write(`The demo backend answers on http://${host}:${port}/ (Ctrl-C stops it)\n`);
  let watch: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    // The terminal's Ctrl-C reaches parent and child alike; the child serves until its parent is done.
    process.on("SIGINT", withParent ? ignore : resolve);
    process.on("SIGTERM", resolve);
    const look = (): void => {
      if (process.ppid !== parent) resolve();
    };
    if (withParent) watch = setInterval(look, PARENT_CHECK_MS);
  });
  clearInterval(watch);
  server.close();
  server.closeAllConnections();
}

function ignore(): void {}
