// What the chaos suite does to a running proxy. Each event ends when the proxy has dealt with it, and fails when that took
// too long or an answer was not one that the schedule explains.

import { connect as connectTcp, type Socket } from "node:net";
import { killWorker, stopWorker } from "../../e2e/lib/kills.ts";
import { isAlive } from "../../e2e/lib/processes.ts";
import { sleep, until } from "../../e2e/lib/scope.ts";
import { ClientError, ResponseStatus } from "../../src/client/index.ts";
import { CONNECTIONS_MAX, type Ground, Orders, runningWorkers, WORKER_TIMEOUT_S } from "./ground.ts";
import type { Ledger } from "./ledger.ts";
import type { Kind, Planned } from "./schedule.ts";
import type { Wires } from "./wires.ts";

/** What an upgrade of a worker may say when something else happened to the worker meanwhile. */
const WORKER_WAS_GONE = /does not exist|is being upgraded already|Could not upgrade worker/;
/** What an upgrade of main may say when a worker is being upgraded at the same time. */
const MAIN_IS_BUSY = /worker \d+ is being upgraded|other commands take too long|workers do not acknowledge/;
/** More than this and the proxy has not dealt with it. */
const SETTLED_MS = 20_000;

/** Does what is planned. */
export class Events {
  readonly done: Map<Kind, number>;
  /** Upgrades that met another event and were refused for it. */
  refused: number;
  /** Commands fail while there is no main, and when it was killed while they were under way. */
  mainIsGone: boolean;
  mainKilledAtMs: number;
  readonly #ground: Ground;
  readonly #wires: Wires;
  readonly #ledger: Ledger;
  readonly #hung: Set<number>;
  /** Reloads, and upgrades that read the configuration, one after the other: the file may be broken in between. */
  #file: Promise<void>;
  #extra: boolean;
  #certificate: boolean;

  constructor(ground: Ground, wires: Wires, ledger: Ledger) {
    this.done = new Map();
    this.refused = 0;
    this.mainIsGone = false;
    this.mainKilledAtMs = -1;
    this.#ground = ground;
    this.#wires = wires;
    this.#ledger = ledger;
    this.#hung = new Set();
    this.#file = Promise.resolve();
    this.#extra = false;
    this.#certificate = true;
  }

  /** Carries an event out; what goes wrong is in the ledger. */
  async carryOut(planned: Planned): Promise<void> {
    const startedMs = performance.now();
    try {
      await this.#act(planned);
      this.done.set(planned.kind, (this.done.get(planned.kind) ?? 0) + 1);
    } catch (error) {
      if (this.mayFailSince(startedMs, error)) this.refused++;
      else this.#ledger.fail(planned.kind, error instanceof Error ? error.message : String(error));
    }
  }

  /** Whether a command that began then may have failed in this way because main was killed. */
  mayFailSince(startedMs: number, error: unknown): boolean {
    return error instanceof ClientError && (this.mainIsGone || this.mainKilledAtMs >= startedMs);
  }

  /** Kills one worker, drained generations included; its id in the list is `roll`. */
  kill(roll: number): number {
    const pids = this.#ground.proxy.workerPids.sort((a, b) => a - b).filter((pid) => !this.#hung.has(pid));
    if (pids.length === 0) return 0;
    const pid = pids[roll % pids.length] as number;
    this.#lose(killWorker(pid, this.#doors));
    return pid;
  }

  /** Upgrades main and every worker, one after the other. */
  async upgradeAll(): Promise<void> {
    await this.upgradeMain();
    const orders = new Orders(this.#ground.proxy.socketPath);
    for (const id of (await runningWorkers(orders)).keys()) await this.#upgradeWorker(orders, id);
    orders.close();
  }

  get #doors(): readonly number[] {
    return [this.#ground.doors.plain, this.#ground.doors.secure];
  }

  #lose(ports: ReadonlySet<number>): void {
    this.#ledger.mayBeLost += this.#wires.cut(ports);
  }

  async #act({ kind, dice }: Planned): Promise<void> {
    switch (kind) {
      case "kill":
        this.kill(dice.roll(64));
        return;
      case "hang":
        await this.#hang(dice.roll(64), 200 + dice.roll(1800));
        return;
      case "kill-hung":
        await this.#hangForEver(dice.roll(64));
        return;
      case "upgrade-worker":
        await this.#upgradeOne(dice.roll(64));
        return;
      case "upgrade-main":
        await this.upgradeMain();
        return;
      case "upgrade-all":
        await this.upgradeAll();
        return;
      case "kill-main":
        await this.#alone(() => this.#killMain());
        return;
      case "backend":
        await this.#ground.backends.flaky.down();
        await sleep(200 + dice.roll(3000));
        await this.#ground.backends.flaky.up();
        return;
      case "log":
        this.#ground.logReader.kill("SIGSTOP");
        await sleep(500 + dice.roll(3000));
        this.#ground.logReader.kill("SIGCONT");
        return;
      case "reload":
        await this.#alone(() => this.#reload(dice.roll(3)));
        return;
      case "limit":
        await this.#fill(500 + dice.roll(1000));
    }
  }

  #victim(roll: number): number | null {
    const pids = this.#ground.proxy.workerPids.sort((a, b) => a - b).filter((pid) => !this.#hung.has(pid));
    // One worker must be left that turns its loop, else requests wait for as long as both stand still.
    return pids.length < 2 || this.#hung.size > 0 ? null : (pids[roll % pids.length] as number);
  }

  async #hang(roll: number, forMs: number): Promise<void> {
    const pid = this.#victim(roll);
    if (pid === null) return;
    this.#hung.add(pid);
    process.kill(pid, "SIGSTOP");
    await sleep(forMs);
    this.#hung.delete(pid);
    if (isAlive(pid)) process.kill(pid, "SIGCONT");
  }

  /** Nothing of it can be served any more, for main will kill it. */
  async #hangForEver(roll: number): Promise<void> {
    const pid = this.#victim(roll);
    if (pid === null) return;
    this.#hung.add(pid);
    this.#lose(stopWorker(pid, this.#doors));
    await until(`worker ${pid} is killed`, () => !isAlive(pid), SETTLED_MS + WORKER_TIMEOUT_S * 1000);
    this.#hung.delete(pid);
  }

  async #upgradeOne(roll: number): Promise<void> {
    const orders = new Orders(this.#ground.proxy.socketPath);
    const ids = [...(await runningWorkers(orders)).keys()];
    if (ids.length > 0) await this.#upgradeWorker(orders, ids[roll % ids.length] as number);
    orders.close();
  }

  async #upgradeWorker(orders: Orders, id: number): Promise<void> {
    const { status, message } = await orders.send({ case: "upgradeWorker", value: id });
    if (status === ResponseStatus.OK) return;
    if (!WORKER_WAS_GONE.test(message)) throw new Error(message);
    this.refused++;
  }

  /** Upgrades main; what it was refused for is counted. */
  upgradeMain(): Promise<void> {
    return this.#alone(async () => {
      const orders = new Orders(this.#ground.proxy.socketPath);
      const { status, message } = await orders.send({ case: "upgradeMain", value: {} });
      orders.close();
      if (status === ResponseStatus.OK) return;
      if (!MAIN_IS_BUSY.test(message)) throw new Error(message);
      this.refused++;
    });
  }

  /** Its clients are cut; the next main adopts the workers. */
  async #killMain(): Promise<void> {
    const { proxy } = this.#ground;
    this.mainIsGone = true;
    proxy.kill("SIGKILL");
    await proxy.waitForExit();
    await proxy.restart();
    this.mainIsGone = false;
    this.mainKilledAtMs = performance.now();
  }

  async #reload(choice: number): Promise<void> {
    const isBroken = choice === 2;
    if (choice === 0) this.#extra = !this.#extra;
    if (choice === 1) this.#certificate = !this.#certificate;
    this.#ground.configure(this.#extra, this.#certificate, isBroken);
    const orders = new Orders(this.#ground.proxy.socketPath);
    const { status, message } = await orders.send({ case: "reloadConfiguration", value: "" });
    orders.close();
    if (isBroken) this.#ground.configure(this.#extra, this.#certificate, false);
    if ((status === ResponseStatus.OK) === isBroken) throw new Error(`status ${status}: ${message}`);
  }

  /** More connections than both workers take: who comes now waits in the kernel's queue. */
  async #fill(forMs: number): Promise<void> {
    const sockets: Socket[] = [];
    for (let i = 0; i < 2 * CONNECTIONS_MAX + 100; i++) {
      const socket = connectTcp(this.#ground.doors.plain, "127.0.0.1");
      socket.on("error", () => undefined);
      sockets.push(socket);
    }
    await sleep(forMs);
    for (const socket of sockets) socket.destroy();
  }

  #alone(act: () => Promise<void>): Promise<void> {
    const after = this.#file.then(act);
    this.#file = after.catch(() => undefined);
    return after;
  }
}
