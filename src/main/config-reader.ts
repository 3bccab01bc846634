// Reads a configuration file while main does other things, and says how its objects differ from those of an index
// (object-index.ts). A small file is read at once, a large one by a thread that hands over only what differs: parsing a
// hundred thousand clusters takes seconds, and putting them together here once more would, too.

import { stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import { tablesOf } from "../command/diff.ts";
import { TransactionSchema } from "../command/gen/sozu_pb.ts";
import { comparing, differing, ObjectIndex, type Tables } from "../command/object-index.ts";
import { ConfigState } from "../command/state.ts";
import { loadConfig } from "../config/load.ts";
import type { ParsedConfig } from "../config/parse.ts";
import type { ThreadMessage, ThreadTask } from "./config-thread.ts";
import { inSlices } from "./slices.ts";

/** Reading so many bytes takes main some ten milliseconds. */
const SMALL_BYTES_MAX = 65_536;
/** Room for young objects of the thread: nearly all that it makes lives to its end, and is copied in vain. */
const YOUNG_MB = 256;

/** How the file's objects differ from those of the index, or every problem of the file. */
export type ReadConfig =
  | ({
      readonly ok: true;
      /** What the index does not hold as the file has it. */
      readonly changed: Tables;
      /** What the index holds and the file has no more. */
      readonly gone: ObjectIndex;
      /** All that the file has. */
      readonly index: ObjectIndex;
    } & Pick<ParsedConfig, "settings" | "warnings">)
  | { readonly ok: false; readonly text: string };

/** Reads, checks and compares a file; `before` is asked once. Never rejects. */
export async function readConfig(
  task: ThreadTask,
  before: Promise<ObjectIndex>,
  smallBytesMax: number = SMALL_BYTES_MAX,
): Promise<ReadConfig> {
  // What cannot be looked at cannot be read either, and loadConfig() says why.
  const size = await stat(task.path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > smallBytesMax) return readInThread(task, before);
  const file = await loadConfig(task.path, { unknownKeys: task.unknownKeys, isServed: false });
  if (!file.ok) return file;
  const { changed, gone, index } = await inSlices(comparing(tablesOf(file.state), await before));
  const state = new ConfigState();
  for (const request of differing(changed)) state.apply(request, "file");
  return { ok: true, settings: file.settings, warnings: file.warnings, changed: tablesOf(state), gone, index };
}

function readInThread(task: ThreadTask, before: Promise<ObjectIndex>): Promise<ReadConfig> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const url = new URL(`config-thread.${extension}`, import.meta.url);
  const thread = new Worker(url, { workerData: task, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
  thread.unref();
  const state = new ConfigState();
  let read: Extract<ThreadMessage, { kind: "read" }> | null = null;
  return new Promise((resolve) => {
    const fail = (reason: string): void => resolve({ ok: false, text: `${task.path} could not be read: ${reason}` });
    thread.on("error", (error: Error) => fail(error.message));
    thread.on("exit", () => fail("its thread ended"));
    thread.on("message", (message: ThreadMessage) => {
      switch (message.kind) {
        case "broken":
          resolve({ ok: false, text: message.text });
          return;
        case "parsed":
          before.then((index) => thread.postMessage(index.words));
          return;
        case "end":
          if (read === null) return;
          resolve({
            ok: true,
            settings: read.settings,
            warnings: read.warnings,
            changed: tablesOf(state),
            gone: new ObjectIndex(read.gone),
            index: new ObjectIndex(read.index),
          });
          return;
        case "read":
          read = message;
          break;
        case "part":
          // The thread has applied them to a state of its own: none is refused.
          for (const request of fromBinary(TransactionSchema, message.bytes).requests) state.apply(request, "file");
      }
      thread.postMessage(null);
    });
  });
}
