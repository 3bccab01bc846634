// The thread that reads a large configuration file for config-reader.ts, so that main's loop goes on meanwhile: parses and
// checks it, then hands over what it says in parts, one for each time it is asked.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { TransactionSchema } from "../command/gen/sozu_pb.ts";
import { loadConfig } from "../config/load.ts";
import type { ParsedConfig } from "../config/parse.ts";

/** What it is started with. */
export interface ThreadTask {
  readonly path: string;
  readonly unknownKeys: "error" | "warn";
}

/** What it says. */
export type ThreadMessage =
  | { readonly kind: "broken"; readonly text: string }
  | ({ readonly kind: "read" } & Pick<ParsedConfig, "settings" | "warnings">)
  /** The next requests as the bytes of a Transaction; "end" after the last. */
  | { readonly kind: "part"; readonly bytes: Uint8Array }
  | { readonly kind: "end" };

/** A few milliseconds of main. */
const PART_REQUESTS = 128;

async function run(port: MessagePort, { path, unknownKeys }: ThreadTask): Promise<void> {
  const say = (message: ThreadMessage): void => port.postMessage(message);
  const file = await loadConfig(path, { unknownKeys });
  if (!file.ok) {
    say({ kind: "broken", text: file.text });
    port.close();
    return;
  }
  let at = 0;
  port.on("message", () => {
    const requests = file.requests.slice(at, at + PART_REQUESTS);
    at += requests.length;
    if (requests.length > 0) {
      say({ kind: "part", bytes: toBinary(TransactionSchema, create(TransactionSchema, { requests })) });
      return;
    }
    say({ kind: "end" });
    port.close();
  });
  say({ kind: "read", settings: file.settings, warnings: file.warnings });
}

if (parentPort !== null) await run(parentPort, workerData as ThreadTask);
