// Reads a configuration file while main does other things. A small one is read at once, a large one by a thread, and its
// objects are put together here in parts: parsing a hundred thousand clusters takes seconds.

import { stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import { TransactionSchema } from "../command/gen/sozu_pb.ts";
import { ConfigState } from "../command/state.ts";
import { loadConfig } from "../config/load.ts";
import type { ParsedConfig } from "../config/parse.ts";
import type { ThreadMessage, ThreadTask } from "./config-thread.ts";

/** Reading so many bytes takes main some ten milliseconds. */
const SMALL_BYTES_MAX = 65_536;

/** A file that was read, or every problem of it. */
export type ReadConfig =
  | ({ readonly ok: true } & Pick<ParsedConfig, "settings" | "state" | "warnings">)
  | { readonly ok: false; readonly text: string };

/** Reads and checks a file. Never rejects. */
export async function readConfig(task: ThreadTask, smallBytesMax: number = SMALL_BYTES_MAX): Promise<ReadConfig> {
  // What cannot be looked at cannot be read either, and loadConfig() says why.
  const size = await stat(task.path).then(
    (found) => found.size,
    () => 0,
  );
  return size <= smallBytesMax ? loadConfig(task.path, { unknownKeys: task.unknownKeys }) : readInThread(task);
}

function readInThread(task: ThreadTask): Promise<ReadConfig> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const thread = new Worker(new URL(`config-thread.${extension}`, import.meta.url), { workerData: task });
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
        case "end":
          if (read !== null) resolve({ ok: true, settings: read.settings, warnings: read.warnings, state });
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
