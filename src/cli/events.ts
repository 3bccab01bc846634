// `sozu events`: what happens in the proxy, a line each, until the proxy or the reader ends.

import { addressFromMessage, formatAddress } from "../command/address.ts";
import { type Event, EventSchema, type Response } from "../command/gen/sozu_pb.ts";
import { toJson } from "../command/json.ts";
import { eventName, request } from "../command/messages.ts";
import { openClient } from "./control.ts";
import { shown } from "./display/objects.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/**
 * Prints events as they come; with `--json` one JSON object per line.
 * @throws CliError when the proxy refuses, the client's errors when it cannot be reached or goes away.
 */
export async function showEvents(options: GlobalOptions): Promise<void> {
  const client = await openClient(options);
  const onProcessing = (response: Response): void => {
    const held = response.content?.contentType;
    if (held?.case !== "event") return;
    process.stdout.write(
      options.json ? `{"EVENT":${toJson(EventSchema, held.value)}}\n` : eventText(response.message, held.value),
    );
  };
  try {
    const subscription = request({ case: "subscribeEvents", value: {} });
    const answer = await client.send(subscription, { onProcessing, timeoutMs: 0 });
    throw new CliError(`Request failed: ${answer.message}`);
  } finally {
    client.close();
  }
}

/** `2026-11-20T17:56:51.123Z BACKEND_DOWN worker=0 cluster=app backend=b0 address=127.0.0.1:1026`. */
function eventText(source: string, event: Event): string {
  const parts = [new Date().toISOString(), eventName(event.kind)];
  if (/^\d+$/.test(source)) parts.push(`worker=${source}`);
  if (event.clusterId !== "") parts.push(`cluster=${shown(event.clusterId)}`);
  if (event.backendId !== "") parts.push(`backend=${shown(event.backendId)}`);
  const address = event.address === undefined ? null : addressFromMessage(event.address);
  if (address !== null && typeof address !== "string") parts.push(`address=${formatAddress(address)}`);
  return `${parts.join(" ")}\n`;
}
