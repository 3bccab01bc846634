// The main process from start to end (spec 1.2, design section 5): limits, command socket, listening sockets, workers,
// and the order in which they come and go. It never touches traffic. What fails before the workers serve is an error of
// `start`, with everything taken down again; what fails later is a log line, and the proxy goes on.

import type { Response } from "../command/gen/sozu_pb.ts";
import { EventKind, ResponseStatus } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse, request } from "../command/messages.ts";
import type { ObjectIndex } from "../command/object-index.ts";
import type { ConfigState } from "../command/state.ts";
import type { GlobalSettings } from "../config/settings.ts";
import { workerSettings } from "../config/settings.ts";
import { type AuditClient, AuditLog } from "../observe/audit.ts";
import { Logger } from "../observe/logger.ts";
import { BatchSink } from "../observe/sink.ts";
import { statsPageBytes } from "../observe/stats-layout.ts";
import { type LogTarget, openTarget } from "../observe/target.ts";
import { closeAll } from "../os/fdpass.ts";
import { getNofile, setNofile, unblockSignal } from "../os/process.ts";
import { limitCoreDumps } from "../os/sandbox.ts";
import { close } from "../os/sockets.ts";
import { Actors } from "./actor.ts";
import { type Found, findWorkers } from "./adopt.ts";
import { Audit } from "./audit.ts";
import { AutoSave } from "./auto-save.ts";
import { buildInfo } from "./build-info.ts";
import { CARRY_HEADER, type Carry, carryBase, carryState } from "./carry.ts";
import { CertificateWatch } from "./certificate-watch.ts";
import { CommandServer } from "./command-server.ts";
import { openCommandSocket, removeCommandSocket } from "./command-socket.ts";
import { EventHub } from "./events.ts";
import { takeInheritedSockets } from "./inherited-sockets.ts";
import { JournalKeeper } from "./journal-keeper.ts";
import { raiseOpenFiles, readFileMax } from "./limits.ts";
import { ListenSockets } from "./listen-sockets.ts";
import { LogFiles } from "./log-files.ts";
import { LogSockets } from "./log-sockets.ts";
import { upgradeMain } from "./main-upgrade.ts";
import { MetricsService } from "./metrics/service.ts";
import { notifySystemd, reloadingMessage, watchdogPeriodMs } from "./notify.ts";
import { describeOrphans } from "./orphans.ts";
import { removePidFile, writePidFile } from "./pid-file.ts";
import { ownRelease, releaseName } from "./release.ts";
import { type ConfigSource, Reloader } from "./reload.ts";
import { handleRequest } from "./requests.ts";
import { applySavedState } from "./saved-state.ts";
import { StateFiles } from "./state-files.ts";
import { StateKeeper } from "./state-keeper.ts";
import { Supervisor } from "./supervisor.ts";
import { type Adoption, dismissForeign, takeOver } from "./takeover.ts";

/** Clusters and backends that a stats page has rows for; beyond it they share one row. Costs nothing until used. */
const STATS_ROWS = 8192;
/** How often log lines that wait are written. */
const LOG_TICK_MS = 200;
/** Longest time of a timer of Node. */
const TIMER_MAX_MS = 2_147_483_647;
/** For the message of a start that failed. */
const EXIT_GRACE_MS = 100;
/** How long clients may take to read their last answer at the end. */
const CLIENT_GRACE_MS = 1000;
/** How long an upgrade waits for the last lines of this image. */
const LOGS_GRACE_MS = 500;

/** What main runs. */
export interface MainOptions {
  readonly settings: GlobalSettings;
  /** Where the configuration came from, for a reload. */
  readonly source: ConfigSource;
  /** The state that the configuration makes; main owns it from now on. */
  readonly state: ConfigState;
  /** Refuse to start when records of the saved state are broken. */
  readonly strict: boolean;
  /** Warnings of the configuration, for the log. */
  readonly warnings: readonly string[];
  /** Called once, when every worker serves. */
  readonly onReady?: () => void;
}

/** What an earlier main left. */
export interface Resumption {
  readonly carry: Carry;
  readonly state: ConfigState;
  readonly base: ObjectIndex;
  /** Why the release that was to follow did not; "": this one follows. */
  readonly trouble: string;
  /** The earlier main was killed, and these are its workers; null: it became this one. */
  readonly adoption?: Adoption | null;
}

/** Why main did not start; the message is complete. */
export class StartError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "StartError";
  }
}

/**
 * Runs the proxy until it is stopped by a signal or a command. SIGTERM and SIGINT finish what is in flight, a second one
 * cuts it; SIGHUP reloads the configuration file.
 * @throws StartError when the proxy cannot start; nothing of it is left then.
 */
export async function runMain(options: MainOptions): Promise<void> {
  const { commandSocket, workerTimeoutSeconds } = options.settings;
  const socket = openCommandSocket(commandSocket);
  refuseStart(socket.problem);
  const found = await findWorkers(commandSocket, workerTimeoutSeconds * 1000);
  if (found !== null) {
    try {
      await adopt(found, options, socket.fd);
    } catch (error) {
      // The workers serve on, and wait for the next one. Timers of what was set up would keep this process.
      removeCommandSocket(commandSocket);
      setTimeout(() => process.exit(1), EXIT_GRACE_MS);
      throw error;
    }
    return;
  }
  let main: Main;
  try {
    main = new Main(options);
  } catch (error) {
    removeCommandSocket(commandSocket);
    throw error;
  }
  try {
    await main.start(socket.fd);
  } catch (error) {
    await main.takeDown();
    throw error;
  }
  await main.ended;
}

/** Goes on with workers of a main that was killed. */
async function adopt(found: Found, options: MainOptions, commandFd: number): Promise<void> {
  const { settings, source, strict, state } = options;
  // Where there is no journal the file and the saved state make the state, as at any start.
  if (found.journalFd < 0 && settings.savedState !== null) {
    const sink = new BatchSink(openTarget("stdout"));
    const { logLevel: directives, logColored: colored } = settings;
    const logger = new Logger({ tag: "MAIN", pid: process.pid, sink, directives, colored });
    const problem = await applySavedState({ state, path: settings.savedState, strict, logger });
    sink.flushSync();
    refuseStart(problem);
  }
  const takeover = await takeOver(found, { settings, source, state, commandFd });
  refuseStart(raiseOpenFiles(settings.maxConnections, { get: openFiles, setSoft: setNofile, fileMax: readFileMax }));
  await resumeMain({ ...takeover, trouble: "" }, options.onReady);
}

/** The same, in the place of the main that left `resumption`; resolves when the proxy has stopped. */
export async function resumeMain(resumption: Resumption, onReady?: () => void): Promise<void> {
  const { settings, source } = resumption.carry;
  const options = { settings, source, state: resumption.state, strict: false, warnings: [] };
  const main = new Main(onReady === undefined ? options : { ...options, onReady }, resumption);
  main.resume(resumption);
  await main.ended;
}

class Main {
  /** Resolves when everything is taken down. */
  readonly ended: Promise<void>;
  readonly #settings: GlobalSettings;
  readonly #options: MainOptions;
  readonly #sink: BatchSink;
  readonly #logger: Logger;
  readonly #logFiles: LogFiles;
  readonly #logSockets: LogSockets;
  readonly #sockets: ListenSockets;
  readonly #keeper: StateKeeper;
  readonly #journal: JournalKeeper;
  readonly #certificates: CertificateWatch;
  readonly #files: StateFiles;
  readonly #reloader: Reloader;
  readonly #supervisor: Supervisor;
  readonly #events: EventHub;
  readonly #actors: Actors;
  readonly #metrics: MetricsService;
  #auditLog: AuditLog | null;
  #audit: Audit | null;
  readonly #logTimer: NodeJS.Timeout;
  readonly #onSignal: (signal: NodeJS.Signals) => void;
  readonly #bootGeneration: number;
  /** An earlier main's proxy serves already: what cannot be opened is no reason to end. */
  readonly #follows: boolean;
  #commandFd: number;
  #pidWritten: boolean;
  #autoSave: AutoSave | null;
  #server: CommandServer | null;
  #stopping: Promise<void> | null;
  #resolveEnded: () => void;

  constructor(options: MainOptions, resumption: Resumption | null = null) {
    const { settings } = options;
    const carry = resumption?.carry ?? null;
    const directives = carry?.directives ?? process.env["RUST_LOG"] ?? settings.logLevel;
    this.#options = options;
    this.#settings = settings;
    const complain = (message: string): void => void process.stderr.write(`sozu main: ${message}\n`);
    this.#logSockets = new LogSockets([settings.logTarget, settings.accessLogsTarget], complain);
    const openLog = (): LogTarget => this.#logSockets.open(settings.logTarget);
    this.#sink = new BatchSink(resumption === null ? opened(openLog) : orStdout(openLog, complain));
    this.#logger = new Logger({
      tag: "MAIN",
      pid: process.pid,
      sink: this.#sink,
      directives,
      colored: settings.logColored,
    });
    this.#sink.onTrouble = complain;
    const inherited = takeInheritedSockets();
    for (const problem of inherited.problems) this.#logger.warn("main", problem);
    this.#logFiles = opened(() => new LogFiles([settings.logTarget, settings.accessLogsTarget], carry?.logFds));
    this.#sockets = new ListenSockets(settings.workerCount, inherited.byAddress);
    this.#events = new EventHub(this.#logger, (anybody) => this.#supervisor.reportEvents(anybody));
    this.#supervisor = this.#makeSupervisor();
    this.#keeper = new StateKeeper({
      state: options.state,
      sockets: this.#sockets,
      workerTimeoutMs: settings.workerTimeoutSeconds * 1000,
      targets: this.#supervisor,
      onChange: () => this.#autoSave?.touch(),
      journal: () => this.#journal,
    });
    this.#journal = this.#makeJournal(carry?.bootGeneration ?? 0);
    this.#metrics = this.#makeMetrics(carry);
    this.#certificates = new CertificateWatch(options.state, this.#logger);
    this.#files = new StateFiles(this.#keeper);
    const { source } = options;
    this.#reloader = new Reloader({
      keeper: this.#keeper,
      files: this.#files,
      source,
      base: resumption?.base ?? null,
      settings,
      logger: this.#logger,
      onBase: (base) => this.#journal.base(base),
      onBusy: (busy) => this.#notify(busy ? reloadingMessage() : "READY=1"),
    });
    this.#autoSave = null;
    this.#actors = new Actors("/etc/passwd", carry?.clientsSoFar ?? 0);
    this.#actors.onClient = () => this.#journal.note();
    this.#bootGeneration = carry?.bootGeneration ?? 0;
    this.#follows = resumption !== null;
    this.#auditLog = null;
    this.#audit = null;
    this.#logTimer = setInterval(() => this.#tickLogs(), LOG_TICK_MS);
    this.#onSignal = (signal) => this.#handleSignal(signal);
    this.#commandFd = -1;
    this.#pidWritten = false;
    this.#server = null;
    this.#stopping = null;
    this.#resolveEnded = () => undefined;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** With a command socket that is bound; it is removed by takeDown(). */
  async start(commandFd: number): Promise<void> {
    const { settings, warnings } = this.#options;
    this.#commandFd = commandFd;
    for (const warning of warnings) this.#logger.warn("config", warning);
    // Main has every private key in its memory, and so have its children: none of it goes into a file.
    limitCoreDumps();
    refuseStart(raiseOpenFiles(settings.maxConnections, { get: openFiles, setSoft: setNofile, fileMax: readFileMax }));
    const auditLog = this.#openAudit();
    if (settings.pidFilePath !== null) this.#writePid(settings.pidFilePath);
    await this.#loadSavedState();
    const taken = this.#keeper.bindActive();
    if (taken !== null) throw new StartError(taken + describeOrphans(settings.commandSocket));
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    unblockSignal(SIGUSR1);
    const started = this.#supervisor.start();
    this.#server = this.#serveCommands(auditLog);
    const problem = await started;
    // Told to stop before it was up: that is no failure.
    if (this.#stopping !== null) return;
    refuseStart(problem);
    this.#logger.info("main", `ready: ${settings.workerCount} workers, pid ${process.pid}`);
    void this.#journal.begin();
    this.#reloader.base().then((base) => this.#journal.base(base));
    this.#startAutoSave();
    this.#notify("READY=1");
    this.#startWatchdog();
    this.#options.onReady?.();
  }

  /** Goes on where an earlier main stopped. Nothing is opened that it had open. */
  resume({ carry, trouble, base, adoption = null }: Resumption): void {
    limitCoreDumps();
    this.#commandFd = carry.commandFd;
    this.#pidWritten = carry.pidWritten;
    this.#sockets.resume(carry.sockets);
    const auditLog = this.#openAudit();
    if (adoption !== null) this.#prepareAdoption(adoption);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    unblockSignal(SIGUSR1);
    this.#supervisor.resume(carry.supervisor);
    this.#journal.base(base);
    void this.#journal.begin();
    if (adoption !== null) this.#finishAdoption(adoption, auditLog);
    else this.#finishUpgrade(carry, trouble, auditLog);
    this.#startAutoSave();
    this.#notify(`MAINPID=${process.pid}\nREADY=1`);
    this.#startWatchdog();
    if (adoption !== null) this.#options.onReady?.();
  }

  #prepareAdoption({ listeners }: Adoption): void {
    const { pidFilePath } = this.#settings;
    if (pidFilePath !== null) this.#writePid(pidFilePath);
    const active = this.#keeper.activeListeners();
    for (const [name, { address, held }] of listeners) {
      const problem = active.has(name) ? this.#sockets.adopt(address, held) : null;
      if (problem !== null) this.#logger.error("main", problem);
      if (!active.has(name)) closeAll(held.filter((fd) => fd >= 0));
    }
    const problem = this.#keeper.bindActive();
    if (problem !== null) this.#logger.error("main", problem);
  }

  #finishAdoption({ outOfStep, foreignFds, problems }: Adoption, auditLog: AuditLog): void {
    for (const problem of problems) this.#logger.warn("main", problem);
    this.#server = this.#serveCommands(auditLog);
    this.#supervisor.settle(outOfStep);
    const ids = this.#supervisor.serving();
    this.#logger.info("main", `adopted the workers of an earlier main: ${ids.join(", ")}; pid ${process.pid}`);
    if (foreignFds.length === 0) return;
    const { workerCount, drainTimeoutSeconds } = this.#settings;
    const timer = setInterval(() => {
      if (this.#supervisor.serving().length < workerCount) return;
      clearInterval(timer);
      dismissForeign(foreignFds, drainTimeoutSeconds);
    }, LOG_TICK_MS);
    timer.unref();
  }

  #finishUpgrade(carry: Carry, trouble: string, auditLog: AuditLog): void {
    const server = this.#serveCommands(auditLog);
    this.#server = server;
    const answer = trouble === "" ? okResponse(UPGRADED + process.pid) : failureResponse(FELL_BACK + trouble);
    const asking = carry.clients.find((client) => client.asking);
    const asked = request({ case: "upgradeMain", value: {} });
    if (asking !== undefined) this.#audit?.begin(asking.client, asked)?.finish(answer);
    server.resume(carry.clients, answer);
    if (trouble === "") this.#events.emit({ kind: EventKind.MAIN_UPGRADED });
    this.#logger.info("main", `${answer.message}, release ${releaseName(ownRelease())}`);
  }

  /** Ends the workers; the first call decides when the rest of main follows. */
  stop(hard: boolean): Promise<void> {
    if (this.#stopping === null) {
      this.#logger.info("main", hard ? "stopping at once" : "stopping after the requests in flight");
      this.#events.emit({ kind: EventKind.SOZU_STOP_REQUESTED });
      this.#notify("STOPPING=1");
      // Else the kernel would go on queueing connections that nobody will accept.
      this.#sockets.closeAll();
    }
    const workersGone = this.#supervisor.stop(hard);
    if (this.#stopping === null) {
      if (!hard) this.#limitStop();
      this.#stopping = workersGone;
      workersGone.then(() => this.#end());
    }
    return workersGone;
  }

  #limitStop(): void {
    const { stopTimeoutSeconds } = this.#settings;
    if (stopTimeoutSeconds === 0) return;
    const cut = (): void => {
      this.#logger.warn("main", `stop_timeout: ${this.#supervisor.connections} connections are cut`);
      void this.stop(true);
    };
    setTimeout(cut, Math.min(stopTimeoutSeconds * 1000, TIMER_MAX_MS)).unref();
  }

  /** Takes down whatever was set up. */
  async takeDown(): Promise<void> {
    await this.#supervisor.stop(true);
    if (this.#server !== null) await this.#server.close(CLIENT_GRACE_MS);
    this.#server = null;
    this.#sockets.closeAll();
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    if (this.#commandFd >= 0) {
      removeCommandSocket(this.#settings.commandSocket);
      close(this.#commandFd);
      this.#commandFd = -1;
    }
    if (this.#pidWritten && this.#settings.pidFilePath !== null) removePidFile(this.#settings.pidFilePath);
    clearInterval(this.#logTimer);
    this.#metrics.close();
    this.#journal.close();
    this.#auditLog?.close();
    this.#logFiles.close();
    this.#sink.flushSync();
  }

  async #end(): Promise<void> {
    // The client that asked for the stop gets its answer first: its handler runs on the same promise.
    await new Promise(setImmediate);
    await this.#autoSave?.finish();
    this.#logger.info("main", "stopped");
    await this.takeDown();
    this.#resolveEnded();
  }

  async #loadSavedState(): Promise<void> {
    const path = this.#settings.savedState;
    if (path === null) return;
    const { strict, state } = this.#options;
    refuseStart(await applySavedState({ state, path, strict, logger: this.#logger }));
  }

  #startAutoSave(): void {
    const path = this.#settings.savedState;
    if (path === null || !this.#settings.automaticStateSave) return;
    const save = (): Promise<string | null> => this.#files.write(path);
    const revision = (): number => this.#keeper.state.revision;
    // Not saved yet: what keeps it from being saved shows at start, not after the first change.
    this.#autoSave = new AutoSave({ logger: this.#logger, revision, save });
  }

  #makeSupervisor(): Supervisor {
    const { settings } = this.#options;
    return new Supervisor({
      slots: settings.workerCount,
      automaticRestart: settings.workerAutomaticRestart,
      commandSocket: settings.commandSocket,
      statsBytes: statsPageBytes(STATS_ROWS),
      sockets: this.#sockets,
      logFiles: this.#logFiles,
      logSockets: this.#logSockets,
      logger: this.#logger,
      workerTimeoutMs: settings.workerTimeoutSeconds * 1000,
      drainTimeoutSeconds: settings.drainTimeoutSeconds,
      maxConnectionsPerIp: settings.maxConnectionsPerIp,
      settings: (id) => workerSettings(settings, id),
      snapshot: () => this.#keeper.snapshot(),
      onAck: (worker, revision, standing) => this.#keeper.changes.onAck(worker, revision, standing),
      onGone: (worker) => this.#keeper.changes.onGone(worker),
      onEvent: (worker, event) => this.#events.emitOf(worker, event),
      onFacts: () => this.#journal.note(),
      onTick: (nowMs) => {
        this.#keeper.changes.expire(nowMs);
        this.#certificates.tick(Date.now() / 1000);
      },
    });
  }

  #makeMetrics(carry: Carry | null): MetricsService {
    const settings = this.#settings;
    return new MetricsService({
      settings,
      version: buildInfo().version,
      workers: this.#supervisor,
      events: this.#events,
      state: () => this.#keeper.state,
      clients: () => this.#server?.clients ?? 0,
      warn: (message) => this.#logger.warn("metrics", message),
      resumed: carry === null ? null : { leases: carry.leases ?? [] },
    });
  }

  #makeJournal(bootGeneration: number): JournalKeeper {
    return new JournalKeeper({
      keeper: this.#keeper,
      logger: this.#logger,
      bootGeneration,
      facts: () => ({
        settings: this.#settings,
        source: this.#options.source,
        directives: this.#logger.directives,
        bootGeneration,
        clientsSoFar: this.#actors.clients,
        ...this.#supervisor.facts(),
      }),
      publish: (readFd) => this.#supervisor.keepJournal(readFd),
    });
  }

  #openAudit(): AuditLog {
    const { commandSocket: socket, auditLogsTarget: textPath, auditLogsJsonTarget: jsonPath } = this.#settings;
    const facts = { logger: this.#logger, socket, ...buildInfo(), bootGeneration: this.#bootGeneration };
    try {
      this.#auditLog = new AuditLog({ ...facts, textPath, jsonPath });
    } catch (error) {
      const { message } = error as Error;
      if (!this.#follows) throw new StartError(message);
      this.#logger.error("audit", `${message}: commands are audited in the log only, until an upgrade or a restart`);
      this.#auditLog = new AuditLog({ ...facts, textPath: null, jsonPath: null });
    }
    return this.#auditLog;
  }

  #tickLogs(): void {
    this.#sink.tick();
    this.#auditLog?.tick();
  }

  /** Becomes the release on disk; answers only when that does not come to pass. */
  #upgrade(asking: AuditClient, progress: (text: string) => void): Promise<Response> {
    let frozen = false;
    const workerTimeoutMs = this.#settings.workerTimeoutSeconds * 1000;
    return upgradeMain(
      {
        workerTimeoutMs,
        obstacle: () => this.#upgradeObstacle(),
        base: () => this.#reloader.base(),
        carry: (base) => this.#carry(base, frozen ? asking : null),
        freeze: async () => {
          frozen = true;
          return this.#freeze(asking, workerTimeoutMs);
        },
        thaw: () => {
          if (frozen) this.#server?.thaw();
        },
      },
      progress,
    );
  }

  #upgradeObstacle(): string | null {
    const worker = this.#supervisor.upgrading;
    if (worker !== null) return `worker ${worker} is being upgraded`;
    return this.#stopping === null ? null : "the proxy is stopping";
  }

  /** No command is under way, every change is acknowledged, everything that was to be written is. */
  async #freeze(asking: AuditClient, timeoutMs: number): Promise<string | null> {
    if ((await this.#server?.freeze(asking, timeoutMs)) !== true) return "other commands take too long";
    const untilMs = performance.now() + timeoutMs;
    const { changes } = this.#keeper;
    changes.flush();
    // A log target that takes nothing is not waited for: the lines are lost with this image.
    const logsUntilMs = Math.min(untilMs, performance.now() + LOGS_GRACE_MS);
    const writing = (): boolean => this.#sink.pending || this.#auditLog?.pending === true;
    const busy = (nowMs: number): boolean => changes.pending > 0 || (nowMs < logsUntilMs && writing());
    for (let nowMs = 0; nowMs < untilMs && busy(nowMs); nowMs = performance.now()) {
      this.#tickLogs();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (changes.pending > 0) return "workers do not acknowledge a change";
    await this.#files.idle();
    return null;
  }

  #carry(base: ObjectIndex, asking: AuditClient | null): Carry {
    return {
      ...CARRY_HEADER,
      from: ownRelease(),
      settings: this.#settings,
      source: this.#options.source,
      directives: this.#logger.directives,
      bootGeneration: this.#bootGeneration + 1,
      commandFd: this.#commandFd,
      pidWritten: this.#pidWritten,
      keptFds: [],
      logFds: this.#logFiles.fds,
      state: carryState(this.#keeper.state),
      base: carryBase(base),
      sockets: this.#sockets.carry(),
      supervisor: this.#supervisor.carry(),
      leases: this.#metrics.carry(),
      clientsSoFar: this.#actors.clients,
      clients: this.#server?.carry(asking) ?? [],
    };
  }

  #serveCommands(log: AuditLog): CommandServer {
    const actors = this.#actors;
    const audit = new Audit(log, actors, () => this.#keeper.state);
    this.#audit = audit;
    const targets = {
      keeper: this.#keeper,
      supervisor: this.#supervisor,
      files: this.#files,
      reloader: this.#reloader,
      events: this.#events,
      audit,
      metrics: this.#metrics,
      logger: this.#logger,
      workerTimeoutMs: this.#settings.workerTimeoutSeconds * 1000,
      stop: (hard: boolean) => this.stop(hard),
      upgradeMain: (client: AuditClient, progress: (text: string) => void) => this.#upgrade(client, progress),
    };
    return new CommandServer({
      fd: this.#commandFd,
      maxMessageBytes: this.#settings.maxCommandBufferSizeBytes,
      allowedUids: this.#settings.commandAllowedUids,
      logger: this.#logger,
      subscriptions: {
        subscribe: (subscriber) => {
          this.#metrics.main.configured(SUBSCRIPTION);
          this.#events.subscribe(subscriber);
        },
        unsubscribe: (subscriber) => this.#events.unsubscribe(subscriber),
        resume: (subscriber) => this.#events.resume(subscriber),
      },
      actors,
      audit,
      handle: (request, progress, client) => handleRequest(request, targets, progress, client),
    });
  }

  #writePid(path: string): void {
    try {
      writePidFile(path);
      this.#pidWritten = true;
    } catch (error) {
      throw new StartError(`cannot write pid_file_path ${path}: ${(error as Error).message}`);
    }
  }

  #handleSignal(signal: NodeJS.Signals): void {
    this.#logger.info("main", `got ${signal}`);
    if (signal === "SIGHUP") {
      this.#reload();
      return;
    }
    if (signal === "SIGUSR1") {
      this.#reopenLogs();
      return;
    }
    this.stop(this.#stopping !== null);
  }

  // Somebody moved the log files away: from now on there are new ones.
  #reopenLogs(): void {
    this.#sink.reopen();
    this.#auditLog?.reopen();
    const problem = this.#supervisor.reopenLogs();
    if (problem !== null) this.#logger.error("main", `workers go on with their log files: ${problem}`);
  }

  async #reload(): Promise<void> {
    if (this.#server === null || this.#stopping !== null) return;
    const whole = { path: "", prune: false, dryRun: false };
    // Audited like one that was asked for over the socket; who sent the signal is not known.
    const asked = request({ case: "reloadConfiguration", value: "" });
    const trail = this.#audit?.begin(this.#actors.own("SIGHUP"), asked) ?? null;
    const progress = (text: string): void => this.#logger.debug("config", text);
    const response = await this.#reloader.reload(whole, progress, trail);
    trail?.finish(response);
    const { status, message } = response;
    if (status !== ResponseStatus.OK) this.#logger.error("config", message);
    else {
      this.#logger.info("config", message);
      this.#events.emit({ kind: EventKind.CONFIGURATION_RELOADED });
    }
  }

  #startWatchdog(): void {
    const periodMs = watchdogPeriodMs();
    // Of no use once main stops: systemd has TimeoutStopSec for that, and the loop turns until the end.
    if (periodMs !== null) setInterval(() => this.#notify("WATCHDOG=1"), periodMs).unref();
  }

  #notify(message: string): void {
    const problem = notifySystemd(message);
    if (problem !== null) this.#logger.warn("main", problem);
  }
}

const SUBSCRIPTION = request({ case: "subscribeEvents", value: {} });
const SIGUSR1 = 10;
const SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"];
const UPGRADED = "Upgrade successful, closing main process. New main process has pid ";
const FELL_BACK = "Upgrade of main process failed, the old one is back: ";

function refuseStart(problem: string | null): void {
  if (problem !== null) throw new StartError(problem);
}

/** What opening gives; that it cannot be opened refuses the start. */
function opened<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

/** The log of a main that follows another one: it does without the file rather than not at all. */
function orStdout(open: () => LogTarget, complain: (message: string) => void): LogTarget {
  try {
    return open();
  } catch (error) {
    complain(`${(error as Error).message}: logging to standard output`);
    return openTarget("stdout");
  }
}

function openFiles(): { soft: number; hard: number } {
  const unlimited = (value: number): number => (value < 0 ? Number.POSITIVE_INFINITY : value);
  const { soft, hard } = getNofile();
  return { soft: unlimited(soft), hard: unlimited(hard) };
}
