// Reload (decisions 10): the file is read and checked as a whole, compared object by object with itself as it was last
// loaded, and what changed is applied as one change. What was changed over the socket and not in the file stays; where
// both changed, the file wins and the answer says so. `prune` makes the running state equal to the file instead. A broken
// file changes nothing and is answered with every problem (oddity 7).

import { freezeTables, type Plan, planSteps, type Tables, tablesOf } from "../command/diff.ts";
import type { Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import { indexing, type ObjectIndex } from "../command/object-index.ts";
import { renderProblem } from "../config/problems.ts";
import type { GlobalSettings } from "../config/settings.ts";
import type { Logger } from "../observe/logger.ts";
import type { Trail } from "./audit.ts";
import { countsText, overriddenText, reportContent } from "./change-report.ts";
import { applySet, lateText } from "./change-set.ts";
import { type ReadConfig, readConfig } from "./config-reader.ts";
import { inSlices } from "./slices.ts";
import type { StateFiles } from "./state-files.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** The file that the proxy was started with, and how. */
export interface ConfigSource {
  /** Absolute. */
  readonly path: string;
  readonly unknownKeys: "error" | "warn";
}

/** What a reload acts on. */
export interface ReloaderOptions {
  readonly keeper: StateKeeper;
  readonly files: StateFiles;
  readonly source: ConfigSource;
  /** The objects of the file as an earlier main had loaded it; null: the state is as the file made it. */
  readonly base?: ObjectIndex | null;
  /** The settings that are in force until the next start. */
  readonly settings: GlobalSettings;
  readonly logger: Logger;
  /** Called with the objects of a file that was loaded. */
  readonly onBase?: (base: ObjectIndex) => void;
  /** Called when a reload begins and when it has ended. */
  readonly onBusy?: (busy: boolean) => void;
}

/** What one reload was asked to do. */
export interface ReloadRequest {
  /** "": the file that the proxy was started with. Relative to main's working directory. */
  readonly path: string;
  readonly prune: boolean;
  readonly dryRun: boolean;
}

/** Bytes of problems in one answer. */
const PROBLEMS_MAX = 200_000;

/** Reloads into one state. */
export class Reloader {
  readonly #options: ReloaderOptions;
  /** The objects of the file that the proxy was started with, until the first reload; what that makes of them is kept. */
  #started: Tables | null;
  /** The objects of the file as it was last loaded. */
  #base: ObjectIndex | null;

  /** Made before anything but the file is in the state. */
  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#base = options.base ?? null;
    this.#started = this.#base === null ? freezeTables(options.keeper.state) : null;
  }

  /** The objects of the file as it was last loaded. */
  base(): Promise<ObjectIndex> {
    return this.#indexOfBase();
  }

  /** Answers one reload; they wait for each other and for loads. */
  reload(asked: ReloadRequest, progress: (text: string) => void, trail: Trail | null = null): Promise<Response> {
    const { files, onBusy } = this.#options;
    return files.inTurn(async () => {
      onBusy?.(true);
      try {
        return await this.#reload(asked, progress, trail);
      } finally {
        onBusy?.(false);
      }
    });
  }

  async #reload(asked: ReloadRequest, progress: (text: string) => void, trail: Trail | null): Promise<Response> {
    const { source, keeper, logger } = this.#options;
    const path = asked.path === "" ? source.path : asked.path;
    progress(`reading ${path}`);
    const base = this.#indexOfBase();
    const before = asked.prune ? inSlices(indexing(tablesOf(keeper.state))) : base;
    const file = await readConfig({ path, unknownKeys: source.unknownKeys }, before);
    if (!file.ok) return failureResponse(`${cut(file.text)}\n\n${path} was not loaded; nothing was applied`);
    for (const warning of file.warnings) logger.warn("config", renderProblem(warning));
    const mode = { kind: "changes", base: await base, gone: file.gone } as const;
    const plan = await inSlices(planSteps(tablesOf(keeper.state), file.changed, mode));
    const notes = this.#notes(file, plan);
    const content = reportContent(plan, notes, asked.dryRun);
    const text = [countsText(plan), ...notes].join("; ");
    if (asked.dryRun) return okResponse(`Nothing was changed; a reload of ${path} would be: ${text}`, content);
    trail?.messages(plan.changes.length);
    const outcome = await applySet(keeper, plan.requests, { origin: "file", progress, trail });
    if (outcome.kind === "refused") return failureResponse(`${outcome.reason}; nothing was applied`);
    this.#base = file.index;
    this.#options.onBase?.(file.index);
    if (outcome.kind === "timed out") return failureResponse(`${text}; ${lateText(outcome.workers)}`, content);
    const note = outcome.note === "" ? "" : `; ${outcome.note}`;
    return okResponse(`Successfully reloaded ${path}: ${text}${note}`, content);
  }

  async #indexOfBase(): Promise<ObjectIndex> {
    this.#base ??= await inSlices(indexing(this.#started ?? []));
    this.#started = null;
    return this.#base;
  }

  #notes(file: Extract<ReadConfig, { ok: true }>, plan: Plan): string[] {
    const notes: string[] = [];
    const overridden = overriddenText(plan);
    if (overridden !== "") notes.push(overridden);
    const keys = settingsThatDiffer(this.#options.settings, file.settings);
    if (keys.length > 0) notes.push(`effective at the next start only: ${keys.join(", ")}`);
    if (file.warnings.length > 0) notes.push(`warnings about the file, see the log: ${file.warnings.length}`);
    return notes;
  }
}

/** Keys whose values are part of the objects: listeners carry them. */
const OF_OBJECTS: readonly string[] = [
  "activateListeners",
  "frontTimeoutSeconds",
  "backTimeoutSeconds",
  "connectTimeoutSeconds",
  "requestTimeoutSeconds",
];

/** The global keys, as the file has them, whose values differ. */
export function settingsThatDiffer(running: GlobalSettings, file: GlobalSettings): string[] {
  const before = running as unknown as Readonly<Record<string, unknown>>;
  const after = file as unknown as Readonly<Record<string, unknown>>;
  const differing = Object.keys(after).filter(
    (name) => !OF_OBJECTS.includes(name) && JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
  return differing.map(keyOf).sort();
}

/** `bufferSizeBytes`: `buffer_size`. */
function keyOf(name: string): string {
  const unit = /(Bytes|Seconds|Ms)$/;
  const bare = name === "basicAuthMaxCredentialBytes" ? name : name.replace(unit, "");
  return bare.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function cut(text: string): string {
  return text.length <= PROBLEMS_MAX ? text : `${text.slice(0, PROBLEMS_MAX)}\n\n... and more`;
}
