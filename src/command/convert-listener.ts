// HttpListenerConfig to the record of an HTTP listener (spec 2.4), and what an HTTPS listener has in common with it. The
// `h2_*` fields of HTTP listeners are checked and kept in the message only: there they concern backends that speak HTTP/2,
// which are not built yet.

import { type DescField, type DescMessage, isFieldSet } from "@bufbuild/protobuf";
import { NETWORKS_MAX, parseNetworks } from "../policies/networks.ts";
import { answersOf, httpAnswers, toAnswers } from "./answer-texts.ts";
import { type Converted, checkField, checkTimeout, isError, toAddress } from "./convert-checks.ts";
import { type CommandError, commandError } from "./errors.ts";
import type { HttpListenerConfig, HttpsListenerConfig } from "./gen/sozu_pb.ts";
import { HttpListenerConfigSchema, HttpsListenerConfigSchema } from "./gen/sozu_pb.ts";
import { HEADER_NAME_BYTES_MAX } from "./limits.ts";
import { type HttpListenerObject, TOLERANCE_DROP, TOLERANCE_PASS, TOLERANCE_REFUSE } from "./objects.ts";
import { checkToken } from "./text.ts";

/** Default of `sticky_name`. */
export const STICKY_NAME_DEFAULT = "SOZUBALANCEID";
/** Default of `sozu_id_header`. */
export const SOZU_ID_HEADER_DEFAULT = "Sozu-Id";
/** The words of `underscore_names`, and of `dot_segments` and `encoded_slashes`. */
export const NAME_TOLERANCES = ["pass", "drop", "refuse"] as const;
export const PATH_TOLERANCES = ["pass", "refuse"] as const;

export function toHttpListener(message: HttpListenerConfig | HttpsListenerConfig): Converted<HttpListenerObject> {
  const address = toAddress("address", message.address);
  if (isError(address)) return address;
  const publicAddress = message.publicAddress === undefined ? null : toAddress("public_address", message.publicAddress);
  if (publicAddress !== null && isError(publicAddress)) return publicAddress;
  const stickyName = message.stickyName === "" ? STICKY_NAME_DEFAULT : message.stickyName;
  const sozuIdHeader = message.sozuIdHeader === "" ? SOZU_ID_HEADER_DEFAULT : message.sozuIdHeader;
  const bad =
    checkField("sticky_name", checkToken(stickyName, HEADER_NAME_BYTES_MAX)) ??
    checkField("sozu_id_header", checkToken(sozuIdHeader, HEADER_NAME_BYTES_MAX)) ??
    checkTimeout("front_timeout", message.frontTimeout) ??
    checkTimeout("back_timeout", message.backTimeout) ??
    checkTimeout("connect_timeout", message.connectTimeout) ??
    checkTimeout("request_timeout", message.requestTimeout) ??
    checkHttp2(message) ??
    checkNetworks(message.trustedProxies) ??
    checkWord("underscore_names", message.underscoreNames, NAME_TOLERANCES) ??
    checkWord("dot_segments", message.dotSegments, PATH_TOLERANCES) ??
    checkWord("encoded_slashes", message.encodedSlashes, PATH_TOLERANCES);
  if (bad !== null) return bad;
  const answers = toAnswers(answersOf(message.answers, httpAnswers(message.httpAnswers)));
  if (isError(answers)) return answers;
  return {
    address,
    publicAddress,
    expectProxy: message.expectProxy,
    stickyName,
    frontTimeout: message.frontTimeout,
    backTimeout: message.backTimeout,
    connectTimeout: message.connectTimeout,
    requestTimeout: message.requestTimeout,
    active: false,
    sozuIdHeader,
    elideXRealIp: message.elideXRealIp,
    sendXRealIp: message.sendXRealIp,
    answers,
    trustedProxies: message.trustedProxies,
    underscoreNames: tolerance(message.underscoreNames, TOLERANCE_PASS),
    dotSegments: tolerance(message.dotSegments, TOLERANCE_REFUSE),
    encodedSlashes: tolerance(message.encodedSlashes, TOLERANCE_PASS),
  };
}

/** Spec 2.4.1: the smallest values that a patch accepts, where they are not 1. */
const HTTP2_MINIMUMS: Readonly<Record<string, number>> = {
  h2_initial_connection_window: 0,
  h2_stream_shrink_ratio: 2,
  h2_stream_idle_timeout_seconds: 0,
  h2_graceful_shutdown_deadline_seconds: 0,
};

/** The `h2_*` fields of both kinds of listeners. */
export const HTTP2_FIELDS = {
  "command.HttpListenerConfig": http2Fields(HttpListenerConfigSchema),
  "command.HttpsListenerConfig": http2Fields(HttpsListenerConfigSchema),
} as const;

function http2Fields(schema: DescMessage): readonly DescField[] {
  return schema.fields.filter((field) => field.name.startsWith("h2_"));
}

function checkHttp2(message: HttpListenerConfig | HttpsListenerConfig): CommandError | null {
  for (const field of HTTP2_FIELDS[message.$typeName]) {
    if (!isFieldSet(message, field)) continue;
    const minimum = HTTP2_MINIMUMS[field.name] ?? 1;
    const value = message[field.localName as Http2Field];
    if (value < minimum)
      return commandError("INVALID_VALUE", field.name, `it must be at least ${minimum}, got ${value}`);
  }
  return null;
}

/** The name of such a field in a message. */
export type Http2Field = Extract<keyof HttpListenerConfig, `h2${string}`>;

function checkNetworks(networks: readonly string[]): CommandError | null {
  if (networks.length > NETWORKS_MAX) {
    return commandError("INVALID_VALUE", "trusted_proxies", `there are more than ${NETWORKS_MAX}`);
  }
  for (let i = 0; i < networks.length; i++) {
    const parsed = parseNetworks([networks[i]!]);
    if ("reason" in parsed) return commandError("INVALID_VALUE", `trusted_proxies[${i}]`, parsed.reason);
  }
  return null;
}

function checkWord(field: string, given: string, words: readonly string[]): CommandError | null {
  if (given === "" || words.includes(given)) return null;
  return commandError("INVALID_VALUE", field, `expected one of ${words.join(", ")}`);
}

function tolerance(word: string, fallback: number): number {
  if (word === "") return fallback;
  return word === "pass" ? TOLERANCE_PASS : word === "drop" ? TOLERANCE_DROP : TOLERANCE_REFUSE;
}
