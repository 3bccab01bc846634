// Runs the demo backend as a process of its own: `sozu demo`, and the child of `sozu start --demo`.

import type { Server } from "node:http";
import { startDemo } from "./demo.ts";
import { CliError } from "./errors.ts";

/**
 * Serves until SIGTERM or SIGINT, with `untilEof` also until standard input ends: the child of `start --demo` then ends
 * with its parent, however that one dies.
 * @throws CliError when the address cannot be bound.
 */
export async function runDemo(host: string, port: number, untilEof: boolean): Promise<void> {
  let server: Server;
  try {
    server = await startDemo(host, port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") throw new CliError(`the demo backend cannot listen on ${host}:${port}: ${message}`);
    const next = `is it running already? Otherwise choose another port: sozu demo --port ${port + 1}`;
    throw new CliError(`the demo backend cannot listen on ${host}:${port}: the port is in use`, next);
  }
  if (!untilEof) process.stdout.write(`The demo backend answers on http://${host}:${port}/ (Ctrl-C stops it)\n`);
  await new Promise<void>((resolve) => {
    // The terminal's Ctrl-C reaches parent and child alike; the child serves until its parent is done.
    process.on("SIGINT", untilEof ? ignore : resolve);
    process.on("SIGTERM", resolve);
    if (untilEof) process.stdin.once("end", resolve).once("error", resolve).resume();
  });
  process.stdin.destroy();
  server.close();
  server.closeAllConnections();
}

function ignore(): void {}
