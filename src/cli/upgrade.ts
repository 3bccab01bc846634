// `sozu upgrade`: to the release on disk. Without a worker's id main goes first and then one worker after the other, so
// that a release that does not start is noticed before anything has changed. Progress goes to standard error.

import type { Response } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import { openClient, type RequestInit } from "./control.ts";
import { contentJson } from "./display/content.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** Which part is upgraded. */
export interface UpgradeOptions extends GlobalOptions {
  readonly worker?: number;
  readonly force?: boolean;
}

/** Upgrades one worker. @throws CliError when the proxy refuses, the client's errors when it cannot be reached */
export async function upgrade(options: UpgradeOptions): Promise<void> {
  const answer = await carryOut(options, ofWorker(options.worker ?? 0, options.force === true));
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
    const answer = await client.send(request(verb), { onProcessing });
    if (answer.status === 0) return answer;
    throw new CliError(`Request failed: ${answer.message}`, "the old code goes on; see the log of main");
  } finally {
    client.close();
  }
}
