// Verbs that talk to a running proxy: one request over the command socket, its answer on standard output.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { connect } from "../client/index.ts";
import type { RequestSchema, Response, ResponseContent } from "../command/gen/sozu_pb.ts";
import { ResponseStatus } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import { loadSocketSettings } from "../config/load.ts";
import { contentJson, contentText } from "./display/content.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** A request as `{ case, value }`. */
export type RequestInit = MessageInitShape<typeof RequestSchema>["requestType"] & object;

/**
 * Sends one request and prints its answer: `Success: <message>` and the content, or with `--json` only the content.
 * `next` is what to do when the proxy refuses.
 * @throws CliError when the proxy refuses, the client's errors when it cannot be reached or is silent.
 */
export async function control(options: GlobalOptions, verb: RequestInit, next: string | null = null): Promise<void> {
  const answer = await send(options, verb, next);
  if (options.json) process.stdout.write(contentJson(answer.content));
  else process.stdout.write(`Success: ${answer.message}\n${contentText(answer.content)}`);
}

/** Sends one request and gives the content of its answer, if it has any. @throws as control() does */
export async function ask(options: GlobalOptions, verb: RequestInit): Promise<Partial<ResponseContent>> {
  return (await send(options, verb, null)).content ?? {};
}

async function send(options: GlobalOptions, verb: RequestInit, next: string | null): Promise<Response> {
  const { settings } = await loadSocketSettings(options.config);
  const client = await connect({
    socketPath: settings.commandSocket,
    timeoutMs: options.timeout ?? settings.ctlCommandTimeoutMs,
    maxMessageBytes: settings.maxCommandBufferSizeBytes,
  });
  try {
    const answer = await client.send(request(verb));
    if (answer.status !== ResponseStatus.OK) throw new CliError(`Request failed: ${answer.message}`, next);
    return answer;
  } finally {
    client.close();
  }
}
