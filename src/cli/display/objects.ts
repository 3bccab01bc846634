// Tables of frontends and listeners. Pure. Text that operators gave is shown with control characters replaced, so that
// no name can move the cursor of a terminal.

import { addressFromMessage, formatAddress } from "../../command/address.ts";
import { answersOf, httpAnswers } from "../../command/answer-texts.ts";
import { HSTS_MAX_AGE_DEFAULT } from "../../command/convert-https.ts";
import type {
  HttpListenerConfig,
  HttpsListenerConfig,
  ListedFrontends,
  ListenersList,
  RequestHttpFrontend,
  RequestTcpFrontend,
  RequestUdpFrontend,
  SocketAddress,
  TcpListenerConfig,
  UdpListenerConfig,
} from "../../command/gen/sozu_pb.ts";
import { TLS_VERSIONS } from "../../command/words.ts";
import { renderTable } from "./table.ts";

const PATH_KINDS: readonly string[] = ["PREFIX", "REGEX", "EQUALS"];
const POSITIONS: readonly string[] = ["PRE", "POST", "TREE"];

/** One table per protocol that has frontends. */
export function frontendsText(list: ListedFrontends): string {
  const parts: string[] = [];
  if (list.httpFrontends.length > 0) parts.push(section("HTTP frontends", httpFrontendsTable(list.httpFrontends)));
  if (list.httpsFrontends.length > 0) parts.push(section("HTTPS frontends", httpFrontendsTable(list.httpsFrontends)));
  if (list.tcpFrontends.length > 0) parts.push(section("TCP frontends", streamFrontendsTable(list.tcpFrontends)));
  if (list.udpFrontends.length > 0) parts.push(section("UDP frontends", streamFrontendsTable(list.udpFrontends)));
  return parts.length === 0 ? "No frontends\n" : parts.join("\n");
}

/** The table of HTTP or HTTPS frontends. */
export function httpFrontendsTable(frontends: readonly RequestHttpFrontend[]): string {
  const rows = frontends.map((frontend) => [
    Object.hasOwn(frontend, "clusterId") ? shown(frontend.clusterId) : "Deny",
    addressText(frontend.address),
    shown(frontend.hostname),
    frontend.path === undefined ? "" : `${PATH_KINDS[frontend.path.kind] ?? ""} ${shown(frontend.path.value)}`.trim(),
    Object.hasOwn(frontend, "method") ? shown(frontend.method) : "",
    POSITIONS[frontend.position] ?? "",
    tagsText(frontend.tags),
  ]);
  return renderTable(["cluster_id", "address", "hostname", "path", "method", "position", "tags"], rows);
}

/** The table of TCP or UDP frontends. */
export function streamFrontendsTable(frontends: readonly (RequestTcpFrontend | RequestUdpFrontend)[]): string {
  const rows = frontends.map(({ clusterId, address, tags }) => [
    shown(clusterId),
    addressText(address),
    tagsText(tags),
  ]);
  return renderTable(["Cluster ID", "address", "tags"], rows);
}

/** A section per protocol that has listeners; HTTP and HTTPS listeners as keys and values, the others as rows. */
export function listenersText(list: ListenersList): string {
  const parts: string[] = [];
  const http = sorted(list.httpListeners).map(httpListenerTable);
  if (http.length > 0) parts.push(`HTTP LISTENERS\n================\n${http.join("\n")}`);
  const https = sorted(list.httpsListeners).map(httpListenerTable);
  if (https.length > 0) parts.push(`HTTPS LISTENERS\n================\n${https.join("\n")}`);
  const tcp = sorted(list.tcpListeners);
  if (tcp.length > 0) parts.push(`TCP LISTENERS\n================\n${tcpListenersTable(tcp)}`);
  const udp = sorted(list.udpListeners);
  if (udp.length > 0) parts.push(`UDP LISTENERS\n================\n${udpListenersTable(udp)}`);
  return parts.length === 0 ? "No listeners\n" : parts.join("\n");
}

function sorted<T>(map: Readonly<Record<string, T>>): T[] {
  return Object.keys(map)
    .sort()
    .map((key) => map[key]!);
}

function tcpListenersTable(listeners: readonly TcpListenerConfig[]): string {
  return renderTable(
    ["socket address", "public address", "expect proxy", "front", "back", "connect", "activated"],
    listeners.map((listener) => [
      addressText(listener.address),
      listener.publicAddress === undefined ? "" : addressText(listener.publicAddress),
      String(listener.expectProxy),
      `${listener.frontTimeout}s`,
      `${listener.backTimeout}s`,
      `${listener.connectTimeout}s`,
      String(listener.active),
    ]),
  );
}

function udpListenersTable(listeners: readonly UdpListenerConfig[]): string {
  return renderTable(
    ["socket address", "public address", "front", "back", "datagram bytes", "flows", "activated"],
    listeners.map((listener) => [
      addressText(listener.address),
      listener.publicAddress === undefined ? "" : addressText(listener.publicAddress),
      `${listener.frontTimeout}s`,
      `${listener.backTimeout}s`,
      String(listener.maxRxDatagramSize),
      String(listener.maxFlows),
      String(listener.active),
    ]),
  );
}

function httpListenerTable(listener: HttpListenerConfig | HttpsListenerConfig): string {
  const given = [...answersOf(listener.answers, httpAnswers(listener.httpAnswers))].sort();
  const answers = given.filter(([, text]) => text !== "");
  const rows = [
    ["socket address", addressText(listener.address)],
    ["public address", listener.publicAddress === undefined ? "" : addressText(listener.publicAddress)],
    ["expect proxy", String(listener.expectProxy)],
    ["sticky name", shown(listener.stickyName)],
    ["front timeout", String(listener.frontTimeout)],
    ["back timeout", String(listener.backTimeout)],
    ["connect timeout", String(listener.connectTimeout)],
    ["request timeout", String(listener.requestTimeout)],
    ["activated", String(listener.active)],
    ["sozu id header", shown(listener.sozuIdHeader)],
    ["elide X-Real-IP", String(listener.elideXRealIp)],
    ["send X-Real-IP", String(listener.sendXRealIp)],
    ["answers", answers.map(([status]) => shown(status)).join(", ")],
    ["trusted proxies", listener.trustedProxies.map(shown).join(", ")],
    ...(listener.$typeName === "command.HttpsListenerConfig" ? tlsRows(listener) : []),
  ];
  return renderTable(["key", "value"], rows);
}

function tlsRows(listener: HttpsListenerConfig): string[][] {
  const list = (names: readonly string[]): string => (names.length === 0 ? "default" : names.map(shown).join(", "));
  const { hsts } = listener;
  return [
    ["TLS versions", list(listener.versions.map((version) => TLS_VERSIONS[version] ?? String(version)))],
    ["cipher list", list(listener.cipherList)],
    ["groups list", list(listener.groupsList)],
    ["ALPN protocols", list(listener.alpnProtocols)],
    ["TLS 1.3 tickets", String(listener.sendTls13Tickets)],
    ["strict SNI binding", String(!Object.hasOwn(listener, "strictSniBinding") || listener.strictSniBinding)],
    ["HTTP/1.1", listener.disableHttp11 ? "refused" : "served"],
    ["HSTS", hsts === undefined ? "" : hsts.enabled ? `max-age ${hstsAge(hsts)}` : "disabled"],
  ];
}

function hstsAge(hsts: NonNullable<HttpsListenerConfig["hsts"]>): number {
  return Object.hasOwn(hsts, "maxAge") ? hsts.maxAge : HSTS_MAX_AGE_DEFAULT;
}

/** `ip:port`. */
export function addressText(address: SocketAddress | undefined): string {
  const record = addressFromMessage(address);
  return typeof record === "string" ? "" : formatAddress(record);
}

/** Text without anything a terminal would obey. */
export function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

function tagsText(tags: Readonly<Record<string, string>>): string {
  const keys = Object.keys(tags).sort();
  return keys.map((key) => `${shown(key)}=${shown(tags[key])}`).join(", ");
}

function section(title: string, table: string): string {
  return `${title}\n${table}`;
}
