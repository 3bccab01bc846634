// `sozu upgrade`: to the release on disk. Without a worker's id main goes first and then one worker after the other, so
// that a release that does not start is noticed before anything has changed. Progress goes to standard error.

import { type Response, ResponseStatus, RunState } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import { ask, openClient, type RequestInit } from "./control.ts";
import { contentJson } from "./display/content.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** A main that becomes another program says nothing meanwhile. */
const SILENCE_MS = 60_000;

/** Which part is upgraded; without `worker` and `main`: everything. */
export interface UpgradeOptions extends GlobalOptions {
  readonly worker?: number;
  readonly main?: boolean;
  readonly force?: boolean;
}

/** Upgrades. @throws CliError when the proxy refuses, the client's errors when it cannot be reached */
export async function upgrade(options: UpgradeOptions): Promise<void> {
  const force = options.force === true;
  if (options.worker !== undefined) {
    show(options, await carryOut(options, ofWorker(options.worker, force)));
    return;
  }
  show(options, await carryOut(options, { case: "upgradeMain", value: {} }));
  if (options.main === true) return;
  const workers = await servingWorkers(options);
  for (const [index, id] of workers.entries()) {
    if (!options.json) process.stderr.write(`worker ${id}, ${index + 1} of ${workers.length}\n`);
    show(options, await carryOut(options, ofWorker(id, force)));
  }
}

async function servingWorkers(options: GlobalOptions): Promise<number[]> {
  const { contentType } = await ask(options, { case: "listWorkers", value: {} });
  const workers = contentType?.case === "workers" ? contentType.value.vec : [];
  return workers.filter(({ runState }) => runState === RunState.RUNNING).map(({ id }) => id);
}

function show(options: GlobalOptions, answer: Response): void {
  if (options.json) process.stdout.write(contentJson(answer.content));
  else process.stdout.write(`Success: ${answer.message}\n`);
}

function ofWorker(id: number, force: boolean): RequestInit {
  // Stock proxies know the plain request.
  return force ? { case: "upgradeWorkerWith", value: { id, force } } : { case: "upgradeWorker", value: id };
}

async function carryOut(options: GlobalOptions, verb: RequestInit): Promise<Response> {
  const client = await openClient(options);
  let said = "";
  const onProcessing = ({ message }: Response): void => {
    if (message !== said && !options.json) process.stderr.write(`${message}\n`);
    said = message;
  };
  try {
    const answer = await client.send(request(verb), { onProcessing, timeoutMs: options.timeout ?? SILENCE_MS });
    if (answer.status === ResponseStatus.OK) return answer;
    throw new CliError(`Request failed: ${answer.message}`, "the old code goes on; see the log of main");
  } finally {
    client.close();
  }
}
