// Verbs that talk to a running proxy: one request over the command socket, its answer on standard output.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, connect } from "../client/index.ts";
import type { Request, RequestSchema, Response, ResponseContent } from "../command/gen/sozu_pb.ts";
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
 * `next` is what to do when the proxy refuses; what it says meanwhile and `progress` matches goes to standard error.
 * @throws CliError when the proxy refuses, the client's errors when it cannot be reached or is silent.
 */
export async function control(
  options: GlobalOptions,
  verb: RequestInit,
  next: string | null = null,
  progress: RegExp | null = null,
): Promise<void> {
  const answer = await send(options, verb, next, progress);
  if (options.json) process.stdout.write(contentJson(answer.content));
  else process.stdout.write(`Success: ${answer.message}\n${contentText(answer.content)}`);
}

/** Sends one request and gives the content of its answer, if it has any. @throws as control() does */
export async function ask(options: GlobalOptions, verb: RequestInit): Promise<Partial<ResponseContent>> {
  return (await send(options, verb, null)).content ?? {};
}

/** A connection to the proxy that the configuration names. @throws the client's errors when it cannot be reached */
export async function openClient(options: GlobalOptions): Promise<Client> {
  const { settings, problem } = await loadSocketSettings(options.config);
  const connecting = connect({
    socketPath: settings.commandSocket,
    timeoutMs: options.timeout ?? settings.ctlCommandTimeoutMs,
    maxMessageBytes: settings.maxCommandBufferSizeBytes,
  });
  if (problem === null) return connecting;
  // The socket was a guess, so what is wrong is the file.
  return connecting.catch((error: unknown) => {
    throw new CliError(problem, error instanceof Error ? `the socket beside it was tried: ${error.message}` : null);
  });
}

/** The answer to a request that was carried out. @throws CliError when the proxy refuses; `next` is what to do then */
export async function sendOver(
  client: Client,
  question: Request,
  next: string | null,
  onProcessing?: (response: Response) => void,
): Promise<Response> {
  const answer = await client.send(question, onProcessing === undefined ? {} : { onProcessing });
  if (answer.status === ResponseStatus.OK) return answer;
  throw new CliError(`Request failed: ${answer.message}`, next);
}

async function send(
  options: GlobalOptions,
  verb: RequestInit,
  next: string | null,
  progress: RegExp | null = null,
): Promise<Response> {
  const client = await openClient(options);
  let said = "";
  const onProcessing = ({ message }: Response): void => {
    if (message !== said && progress?.test(message) === true && !options.json) process.stderr.write(`${message}\n`);
    said = message;
  };
  try {
    return await sendOver(client, request(verb), next, onProcessing);
  } finally {
    client.close();
  }
}
