// Starts the real product, as `./sozu start` would, from the current release, and looks after it.
//
//   const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
//
// Ready means: the command socket answered OK to a status request, so every worker is up. `t` (or a `fileScope`) gets a
// clean-up that stops it and fails when a process is left over. Every start has a folder, port and socket of its own, so
// files may run side by side.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ConfigSpec, renderConfig, type TomlKeys } from "./config.ts";
import { ask, STATUS } from "./control.ts";
import { freePort } from "./ports.ts";
import { commandLine, isAlive, withEnvironment } from "./processes.ts";
import { type Scope, sleep, until } from "./scope.ts";

/** The checkout. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What `startProxy` takes; everything has a default. */
export interface ProxyOptions extends ConfigSpec {
  /** The whole configuration, instead of one made from the other members. `$PORT` and `$FOLDER` are replaced. */
  readonly toml?: string;
  /** Default 1. */
  readonly workers?: number;
  /** Added to the environment of main. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments after `start -c config.toml`. */
  readonly args?: readonly string[];
  /** The release to run, instead of the current one: given the folder of the test. */
  readonly release?: (folder: string) => string;
  /** Called with the folder before the proxy starts: to put files there. */
  readonly before?: (folder: string) => void;
  /** How long it may take until it is ready. Default 20 s. */
  readonly readyTimeoutMs?: number;
}

/** Result of one run of the command line. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The folder of the current release, resolved; what `./sozu` would run. SOZU_E2E_RELEASE names another one. */
export function currentRelease(): string {
  const other = process.env["SOZU_E2E_RELEASE"];
  if (other !== undefined) return other;
  return join(root, ".releases", readlinkSync(join(root, ".releases", "current")));
}

/** Starts a proxy and waits until it is ready. @throws Error with its output when it ends or is not ready in time. */
export async function startProxy(scope: Scope, options: ProxyOptions = {}): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), "sozu-e2e-"));
  const port = await freePort();
  const base: TomlKeys = {
    command_socket: join(folder, "sozu.sock"),
    worker_count: options.workers ?? 1,
    access_logs_target: `file://${join(folder, "access.log")}`,
  };
  const toml = options.toml?.replaceAll("$PORT", String(port)).replaceAll("$FOLDER", folder);
  writeFileSync(join(folder, "config.toml"), toml ?? renderConfig(options, port, base));
  options.before?.(folder);
  const proxy = new RunningProxy(folder, port, options);
  scope.after(() => proxy.cleanUp());
  await proxy.ready(options.readyTimeoutMs ?? 20_000);
  return proxy;
}

/** A running proxy. */
export class RunningProxy {
  /** Port of the listener on 127.0.0.1. */
  readonly port: number;
  readonly folder: string;
  readonly socketPath: string;
  #child: ChildProcess;
  readonly #command: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #mark: string;
  readonly #output: Buffer[];
  readonly #release: string;

  constructor(folder: string, port: number, options: ProxyOptions) {
    this.folder = folder;
    this.port = port;
    this.socketPath = join(folder, "sozu.sock");
    this.#mark = `SOZU_E2E=${randomUUID()}`;
    this.#output = [];
    const release = options.release?.(folder) ?? currentRelease();
    this.#release = release;
    const program = [join(release, "bin", "node"), "--disable-sigusr1", join(release, "js", "cli", "main.js")];
    this.#command = [...program, "start", "-c", join(folder, "config.toml"), ...(options.args ?? [])];
    this.#env = { ...options.env, SOZU_E2E: this.#mark.slice("SOZU_E2E=".length) };
    this.#child = this.#spawn();
  }

  /** Starts main once more, after it has ended; resolves when it is ready. */
  async restart(): Promise<void> {
    assert.ok(this.exited, "main still runs");
    this.#child = this.#spawn();
    await this.ready(20_000);
  }

  #spawn(): ChildProcess {
    const child = spawn(this.#command[0] as string, this.#command.slice(1), {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "", ...this.#env },
    });
    child.stdout?.on("data", (chunk: Buffer) => this.#output.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#output.push(chunk));
    return child;
  }

  /** Pid of main. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** Exit code of main, `null` while it runs or when a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Everything main and the workers wrote to stdout and stderr so far. */
  get output(): string {
    return Buffer.concat(this.#output).toString();
  }

  /** Pids of the workers that are alive, whichever main started them. */
  get workerPids(): number[] {
    return this.leftOver.filter((pid) => commandLine(pid).includes("/worker/"));
  }

  /** Lines of the access log so far, without the line breaks. */
  get accessLines(): string[] {
    try {
      return readFileSync(join(this.folder, "access.log"), "utf8").split("\n").slice(0, -1);
    } catch {
      return []; // nothing was logged yet
    }
  }

  /** Waits until the access log has `count` lines, and returns them all. */
  waitForAccessLines(count: number): Promise<string[]> {
    return until(`${count} access lines`, () => (this.accessLines.length >= count ? this.accessLines : null));
  }

  /** Resolves when every worker is up. */
  async ready(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (this.exited) throw new Error(`the proxy ended before it was ready:\n${this.output}`);
      try {
        if (await ask(this.socketPath, STATUS)) return;
      } catch {
        // not listening yet
      }
      if (Date.now() > deadline) throw new Error(`the proxy was not ready after ${timeoutMs} ms:\n${this.output}`);
      await sleep(20);
    }
  }

  /** Runs `sozu -c <this configuration> <args>`. */
  run(...args: string[]): Promise<CommandResult> {
    return this.runWith("", ...args);
  }

  /** The same with something on standard input. */
  runWith(input: string, ...args: string[]): Promise<CommandResult> {
    const release = this.#release;
    const main = join(release, "js", "cli", "main.js");
    const all = [main, "-c", join(this.folder, "config.toml"), ...args];
    return new Promise((resolve) => {
      const options = { cwd: this.folder, timeout: 30_000 };
      const child = execFile(join(release, "bin", "node"), all, options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
      // It may end without reading.
      child.stdin?.on("error", () => undefined).end(input);
    });
  }

  /** Sends a signal to main. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until main has ended. */
  async waitForExit(timeoutMs = 10_000): Promise<void> {
    await until("the proxy ends", () => this.exited, timeoutMs);
  }

  /** Hard stop; asserts that no process of this proxy is left. A process that is left is killed. */
  async stop(): Promise<void> {
    if (!this.exited) {
      this.kill("SIGTERM");
      await sleep(20);
      this.kill("SIGTERM");
      await this.waitForExit().catch(() => this.kill("SIGKILL"));
    }
    await until("the workers end with main", () => this.leftOver.length === 0, 5000).catch(() => undefined);
    const left = this.leftOver.map((pid) => `${pid} ${commandLine(pid)}`);
    for (const pid of this.leftOver) process.kill(pid, "SIGKILL");
    assert.deepEqual(left, [], `processes left behind:\n${this.output}`);
  }

  /** Living processes that carry this proxy's mark: main, workers, orphans. */
  get leftOver(): number[] {
    return withEnvironment(this.#mark).filter(isAlive);
  }

  /** Stops, removes the folder. Called for every proxy at the end of its test. */
  async cleanUp(): Promise<void> {
    try {
      await this.stop();
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
