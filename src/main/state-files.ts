// SaveState and LoadState as main serves them (spec 4.4, 4.9): one save and one load at a time, in the order they were
// asked for, while everything else goes on. A save holds the state as it was when it began.

import type { Response } from "../command/gen/sozu_pb.ts";
import { failureResponse, okResponse } from "../command/messages.ts";
import type { Trail } from "./audit.ts";
import { type Written, writeStateFile } from "./state-file.ts";
import type { StateKeeper } from "./state-keeper.ts";
import { loadState } from "./state-loader.ts";
import { type ReplaceRequest, replaceState } from "./state-replacer.ts";

/** Reads and writes the state of one keeper. */
export class StateFiles {
  readonly #keeper: StateKeeper;
  #saves: Promise<unknown>;
  #loads: Promise<unknown>;

  constructor(keeper: StateKeeper) {
    this.#keeper = keeper;
    this.#saves = Promise.resolve();
    this.#loads = Promise.resolve();
  }

  /** Answers SaveState. A relative path is relative to main's working directory. */
  async save(path: string, progress: (text: string) => void, trail: Trail | null = null): Promise<Response> {
    const wrong = checkPath(path);
    if (wrong !== null) return wrong;
    progress(`saving the state to ${path}`);
    const written = await this.#write(path);
    if (written.problem !== null) return failureResponse(written.problem);
    trail?.messages(written.records);
    return okResponse(`Saved ${written.records} config messages to ${path}`);
  }

  /** Answers LoadState. */
  load(path: string, progress: (text: string) => void, trail: Trail | null = null): Promise<Response> {
    const wrong = checkPath(path);
    if (wrong !== null) return Promise.resolve(wrong);
    return this.inTurn(() => loadState(this.#keeper, path, progress, trail));
  }

  /** Answers LoadStateWith. */
  loadWith(asked: ReplaceRequest, progress: (text: string) => void, trail: Trail | null): Promise<Response> {
    if (!asked.replace && !asked.dryRun) return this.load(asked.path, progress, trail);
    const wrong = checkPath(asked.path);
    if (wrong !== null) return Promise.resolve(wrong);
    return this.inTurn(() => replaceState(this.#keeper, asked, progress, trail));
  }

  /** Resolves when no save and no load is under way. */
  async idle(): Promise<void> {
    await Promise.all([this.#saves, this.#loads]);
  }

  /** Does what changes much of the state when nothing else of that kind is under way. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    const load = this.#loads.then(task);
    this.#loads = load.catch(() => undefined);
    return load;
  }

  /** Saves; null or the problem. */
  async write(path: string): Promise<string | null> {
    return (await this.#write(path)).problem;
  }

  #write(path: string): Promise<Written> {
    const save = this.#saves.then(() => writeStateFile(path, this.#keeper.state.toRequests()));
    this.#saves = save.catch(() => undefined);
    return save;
  }
}

function checkPath(path: string): Response | null {
  if (path === "") return failureResponse("Invalid value for field 'path': it is empty");
  return path.includes("\0") ? failureResponse("Invalid value for field 'path': it holds a NUL") : null;
}
