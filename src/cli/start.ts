// `sozu start`: reads the configuration, then this process is main until it is stopped. With `--demo` a child process
// answers as the backend of the sample configuration, so that one command shows a proxied answer.

import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import type { ConfigState } from "../command/state.ts";
import type { ResumeOptions } from "../main/resume.ts";
import { readConfig } from "./check.ts";
import { DEMO_PORT } from "./demo.ts";
import type { GlobalOptions } from "./options.ts";
import type { StartOptions } from "./verbs/daemon.ts";

/**
 * Runs the proxy in the foreground; resolves when it has stopped.
 * @throws CliError for a wrong configuration, StartError when the proxy cannot start.
 */
export async function start(options: GlobalOptions, own: StartOptions): Promise<void> {
  const { settings, state, warnings } = await readConfig(options.config, own);
  const url = firstUrl(state);
  const { renderProblem } = await import("../config/problems.ts");
  const { runMain } = await import("../main/main.ts");
  let demo: ChildProcess | null = null;
  try {
    if (own.demo === true) demo = spawnDemo();
    await runMain({
      settings,
      source: { path: resolve(options.config), unknownKeys: own.unknownKeys },
      state,
      strict: own.strict === true,
      warnings: warnings.map(renderProblem),
      onReady: () => {
        if (own.demo === true) process.stderr.write(welcome(url));
      },
    });
  } finally {
    demo?.kill();
  }
}

/** Runs the proxy that an upgraded main has left to this program; resolves when it has stopped. */
export async function follow(options: ResumeOptions): Promise<void> {
  const { resume } = await import("../main/resume.ts");
  await resume(options);
}

// It ends when this process does, even by SIGKILL, and stays when an upgrade puts another program into it.
function spawnDemo(): ChildProcess {
  const args = [process.argv[1], "demo", "--with-parent", "--port", String(DEMO_PORT)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  child.on("error", (error) => process.stderr.write(`the demo backend did not start: ${error.message}\n`));
  return child;
}

function firstUrl(state: ConfigState): string {
  for (const { object } of state.httpListeners.entries.values()) {
    const { ip, port } = object.address;
    const local = ip === "0.0.0.0" || ip === "::" || ip === "127.0.0.1" || ip === "::1";
    const host = local ? "localhost" : ip.includes(":") ? `[${ip}]` : ip;
    return `http://${host}:${port}/`;
  }
  return "http://localhost:8080/";
}

function welcome(url: string): string {
  return `
  The proxy serves ${url}

    curl ${url.padEnd(28)} the first proxied answer, with what to try next
    ./sozu status                     the workers, in another terminal
    Ctrl-C                            stop after the requests in flight

`;
}
