// `sozu listener <protocol> add`, `remove`, `activate` and `deactivate`.

import {
  ALPN_PROTOCOLS,
  CIPHERS_DEFAULT,
  GROUPS_DEFAULT,
  SIGNATURES_DEFAULT,
  TLS13_TICKETS_DEFAULT,
} from "../command/convert-https.ts";
import { STICKY_NAME_DEFAULT } from "../command/convert-listener.ts";
import { ListenerType } from "../command/gen/sozu_pb.ts";
import { control, type RequestInit } from "./control.ts";
import { type GlobalOptions, givenOf } from "./options.ts";
import { type ClientAuthOptions, readClientAuth } from "./tls-options.ts";
import { type HstsOptions, readAddress, readAnswers, readHsts, readTemplateFile, readTlsVersions } from "./values.ts";

/** The protocols that have listeners. */
export type Protocol = "http" | "https" | "tcp" | "udp";

/** What `add` was given; which options there are depends on the protocol. */
export interface ListenerOptions extends GlobalOptions, HstsOptions, ClientAuthOptions {
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
  /** Bytes. */
  readonly maxRxDatagramSize?: number;
  readonly maxFlows?: number;
  readonly tlsVersions?: readonly string[];
  /** Separated by commas. */
  readonly tlsCipherList?: string;
}

/** Adds a listener; it accepts once it is activated. */
export async function addListener(protocol: Protocol, options: ListenerOptions): Promise<void> {
  await control(options, await additionOf(protocol, options));
}

/** Removes a listener, opens its sockets, or closes them; connections it has are served to their end. */
export async function changeListener(
  verb: "removeListener" | "activateListener" | "deactivateListener",
  protocol: Protocol,
  options: ListenerOptions,
): Promise<void> {
  const listener = { address: readAddress(options.address), proxy: TYPES[protocol] };
  const next = "sozu listener list shows all listeners";
  if (verb === "removeListener") await control(options, { case: verb, value: listener }, next);
  else if (verb === "activateListener") {
    await control(options, { case: verb, value: { ...listener, fromScm: false } }, next);
  } else await control(options, { case: verb, value: { ...listener, toScm: false } }, next);
}

const TYPES: Readonly<Record<Protocol, ListenerType>> = {
  http: ListenerType.HTTP,
  https: ListenerType.HTTPS,
  tcp: ListenerType.TCP,
  udp: ListenerType.UDP,
};

async function additionOf(protocol: Protocol, options: ListenerOptions): Promise<RequestInit> {
  const common = {
    address: readAddress(options.address),
    ...(options.publicAddress === undefined ? {} : { publicAddress: readAddress(options.publicAddress) }),
    active: false,
  };
  if (protocol === "udp") {
    // Spec 2.4: UDP never takes the global timeouts.
    const { frontTimeout = 30, backTimeout = 30, maxRxDatagramSize = 1500, maxFlows = 0 } = options;
    return { case: "addUdpListener", value: { ...common, frontTimeout, backTimeout, maxRxDatagramSize, maxFlows } };
  }
  const { front, back, connect, request } = await timeouts(options);
  const stream = {
    ...common,
    expectProxy: options.expectProxy === true,
    frontTimeout: options.frontTimeout ?? front,
    backTimeout: options.backTimeout ?? back,
    connectTimeout: options.connectTimeout ?? connect,
  };
  if (protocol === "tcp") return { case: "addTcpListener", value: stream };
  const http = {
    ...stream,
    stickyName: options.stickyName ?? STICKY_NAME_DEFAULT,
    requestTimeout: options.requestTimeout ?? request,
    // What has no flag is written as the stock command line does, so that both send the same bytes.
    elideXRealIp: false,
    sendXRealIp: false,
    ...answersOf(options),
    trustedProxies: options.trustedProxies === undefined ? [] : options.trustedProxies.split(","),
    ...givenOf(options, ["underscoreNames", "dotSegments", "encodedSlashes"]),
  };
  if (protocol === "http") return { case: "addHttpListener", value: http };
  const hsts = readHsts(options);
  const tls = {
    versions: readTlsVersions(options.tlsVersions ?? ["TLS_V12", "TLS_V13"]),
    cipherList: options.tlsCipherList === undefined ? [...CIPHERS_DEFAULT] : options.tlsCipherList.split(","),
    cipherSuites: [...CIPHERS_DEFAULT],
    groupsList: [...GROUPS_DEFAULT],
    signatureAlgorithms: [...SIGNATURES_DEFAULT],
    alpnProtocols: [...ALPN_PROTOCOLS],
    sendTls13Tickets: BigInt(TLS13_TICKETS_DEFAULT),
    ...(hsts === undefined ? {} : { hsts }),
    ...readClientAuth(options),
  };
  return { case: "addHttpsListener", value: { ...http, ...tls } };
}

/** In the map, and in the deprecated message as well, which older proxies look at. */
function answersOf(options: ListenerOptions) {
  const httpAnswers: { answer404?: string; answer503?: string } = {};
  const answers: Record<string, string> = {};
  if (options.answer404 !== undefined) answers["404"] = httpAnswers.answer404 = readTemplateFile(options.answer404);
  if (options.answer503 !== undefined) answers["503"] = httpAnswers.answer503 = readTemplateFile(options.answer503);
  return { httpAnswers, answers: { ...answers, ...readAnswers(options.answer ?? [], []) } };
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
