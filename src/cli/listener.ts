// `sozu listener http add`, `remove`, `activate`, `deactivate` and `listener list`.

import { SOZU_ID_HEADER_DEFAULT, STICKY_NAME_DEFAULT } from "../command/convert-listener.ts";
import { ListenerType } from "../command/gen/sozu_pb.ts";
import { control } from "./control.ts";
import { type GlobalOptions, givenOf } from "./options.ts";
import { readAddress, readAnswers, readTemplateFile } from "./values.ts";

/** What `listener http add` was given. */
export interface ListenerOptions extends GlobalOptions {
  readonly address: string;
  readonly publicAddress?: string;
  readonly stickyName?: string;
  /** Seconds; absent: the global value of the configuration file. */
  readonly frontTimeout?: number;
  readonly backTimeout?: number;
  readonly requestTimeout?: number;
  readonly connectTimeout?: number;
  readonly expectProxy?: boolean;
  /** Paths of files. */
  readonly answer404?: string;
  readonly answer503?: string;
  readonly answer?: readonly string[];
  readonly trustedProxies?: string;
  readonly underscoreNames?: string;
  readonly dotSegments?: string;
  readonly encodedSlashes?: string;
}

/** Adds a listener; it accepts once it is activated. */
export async function addHttpListener(options: ListenerOptions): Promise<void> {
  const address = readAddress(options.address);
  const defaults = await timeouts(options);
  await control(options, {
    case: "addHttpListener",
    value: {
      address,
      ...(options.publicAddress === undefined ? {} : { publicAddress: readAddress(options.publicAddress) }),
      expectProxy: options.expectProxy === true,
      stickyName: options.stickyName ?? STICKY_NAME_DEFAULT,
      sozuIdHeader: SOZU_ID_HEADER_DEFAULT,
      frontTimeout: options.frontTimeout ?? defaults.front,
      backTimeout: options.backTimeout ?? defaults.back,
      connectTimeout: options.connectTimeout ?? defaults.connect,
      requestTimeout: options.requestTimeout ?? defaults.request,
      active: false,
      answers: answersOf(options),
      trustedProxies: options.trustedProxies === undefined ? [] : options.trustedProxies.split(","),
      ...givenOf(options, ["underscoreNames", "dotSegments", "encodedSlashes"]),
    },
  });
}

const ALL = "sozu listener list shows all listeners";

/** Removes a listener; connections it has are served to their end, its frontends wait for one at the same address. */
export async function removeHttpListener(options: ListenerOptions): Promise<void> {
  const value = { address: readAddress(options.address), proxy: ListenerType.HTTP };
  await control(options, { case: "removeListener", value }, ALL);
}

/** Opens the listening sockets. */
export async function activateHttpListener(options: ListenerOptions): Promise<void> {
  const value = { address: readAddress(options.address), proxy: ListenerType.HTTP, fromScm: false };
  await control(options, { case: "activateListener", value }, ALL);
}

/** Closes the listening sockets; connections go on. */
export async function deactivateHttpListener(options: ListenerOptions): Promise<void> {
  const value = { address: readAddress(options.address), proxy: ListenerType.HTTP, toScm: false };
  await control(options, { case: "deactivateListener", value }, ALL);
}

function answersOf(options: ListenerOptions): Record<string, string> {
  const answers: Record<string, string> = {};
  if (options.answer404 !== undefined) answers["404"] = readTemplateFile(options.answer404);
  if (options.answer503 !== undefined) answers["503"] = readTemplateFile(options.answer503);
  return { ...answers, ...readAnswers(options.answer ?? [], []) };
}

interface Timeouts {
  readonly front: number;
  readonly back: number;
  readonly connect: number;
  readonly request: number;
}

const BUILT_IN: Timeouts = { front: 60, back: 30, connect: 3, request: 10 };

/** The defaults of the configuration file; a broken one must not stop a change (decisions 7). */
async function timeouts(options: ListenerOptions): Promise<Timeouts> {
  const { loadConfig } = await import("../config/load.ts");
  const result = await loadConfig(options.config, { unknownKeys: "warn" });
  if (!result.ok) {
    process.stderr.write(`${options.config} cannot be read as a whole: built-in timeouts are used\n`);
    return BUILT_IN;
  }
  const { settings } = result;
  return {
    front: settings.frontTimeoutSeconds,
    back: settings.backTimeoutSeconds,
    connect: settings.connectTimeoutSeconds,
    request: settings.requestTimeoutSeconds,
  };
}
