// The thread that reads a large configuration file for config-reader.ts, so that main's loop goes on meanwhile: parses and
// checks it, compares it with the index that it is given, then hands over what differs in parts, one for each time it is
// asked.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { tablesOf } from "../command/diff.ts";
import { type Request, TransactionSchema } from "../command/gen/sozu_pb.ts";
import { type Comparison, comparing, differing, ObjectIndex } from "../command/object-index.ts";
import type { ConfigState } from "../command/state.ts";
import { loadConfig } from "../config/load.ts";
import type { ParsedConfig } from "../config/parse.ts";

/** What it is started with. */
export interface ThreadTask {
  readonly path: string;
  readonly unknownKeys: "error" | "warn";
}

/** What it says. Indexes travel as their words. */
export type ThreadMessage =
  | { readonly kind: "broken"; readonly text: string }
  /** It wants the index now. */
  | { readonly kind: "parsed" }
  | ({ readonly kind: "read"; readonly gone: Int32Array; readonly index: Int32Array } & Pick<
      ParsedConfig,
      "settings" | "warnings"
    >)
  /** The next requests as the bytes of a Transaction; "end" after the last. */
  | { readonly kind: "part"; readonly bytes: Uint8Array }
  | { readonly kind: "end" };

/** A few milliseconds of main. */
const PART_REQUESTS = 128;

async function run(port: MessagePort, { path, unknownKeys }: ThreadTask): Promise<void> {
  const say = (message: ThreadMessage): void => port.postMessage(message);
  const file = await loadConfig(path, { unknownKeys, isServed: false });
  if (!file.ok) {
    say({ kind: "broken", text: file.text });
    port.close();
    return;
  }
  port.once("message", (words: Int32Array) => {
    const { changed, gone, index } = compare(file.state, new ObjectIndex(words));
    const requests = differing(changed);
    port.on("message", () => {
      const part: Request[] = [];
      for (let next = requests.next(); next.done !== true; next = requests.next()) {
        if (part.push(next.value) === PART_REQUESTS) break;
      }
      if (part.length > 0) {
        say({ kind: "part", bytes: toBinary(TransactionSchema, create(TransactionSchema, { requests: part })) });
        return;
      }
      say({ kind: "end" });
      port.close();
    });
    say({ kind: "read", settings: file.settings, warnings: file.warnings, gone: gone.words, index: index.words });
  });
  say({ kind: "parsed" });
}

function compare(state: ConfigState, before: ObjectIndex): Comparison {
  const steps = comparing(tablesOf(state), before);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

if (parentPort !== null) await run(parentPort, workerData as ThreadTask);
