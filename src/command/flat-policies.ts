// The optional parts of objects in the flat encoding: answers, what frontends and clusters do beyond forwarding, health
// checks, balancing. Each part is written and read here, side by side. An object without a part has one bit for it in
// its flags (flat.ts), so that it costs nothing.

import type { FlatBytes, FlatCursor } from "./flat-bytes.ts";
import type {
  AnswerTexts,
  BalancingTuningObject,
  ClusterPolicyObject,
  ClusterTransportObject,
  FrontendPolicyObject,
  HeaderEditObject,
  HealthCheckObject,
  UdpClusterObject,
  UdpHealthObject,
} from "./objects.ts";

export function writeAnswers(out: FlatBytes, answers: AnswerTexts): void {
  out.u8(answers.length);
  for (let i = 0; i < answers.length; i++) {
    out.text(answers[i]![0]);
    out.longText(answers[i]![1]);
  }
}

export function readAnswers(from: FlatCursor): AnswerTexts {
  const answers: [string, string][] = [];
  for (let left = from.u8(); left > 0 && !from.bad; left--) answers.push([from.text(), from.longText()]);
  return answers;
}

export function writeTexts(out: FlatBytes, texts: readonly string[]): void {
  out.u16(texts.length);
  for (let i = 0; i < texts.length; i++) out.text(texts[i]!);
}

export function readTexts(from: FlatCursor): string[] {
  const texts: string[] = [];
  for (let left = from.u16(); left > 0 && !from.bad; left--) texts.push(from.text());
  return texts;
}

export function writeClusterPolicy(out: FlatBytes, policy: ClusterPolicyObject): void {
  writeAnswers(out, policy.answers);
  writeTexts(out, policy.authorizedHashes);
  out.text(policy.wwwAuthenticate);
  writeOptionalU32(out, policy.maxConnectionsPerIp);
  writeOptionalU32(out, policy.retryAfter);
}

export function readClusterPolicy(from: FlatCursor): ClusterPolicyObject {
  return {
    answers: readAnswers(from),
    authorizedHashes: readTexts(from),
    wwwAuthenticate: from.optionalText(),
    maxConnectionsPerIp: readOptionalU32(from),
    retryAfter: readOptionalU32(from),
  };
}

export function writeHealthCheck(out: FlatBytes, check: HealthCheckObject): void {
  out.text(check.uri);
  out.u32(check.interval);
  out.u32(check.timeout);
  out.u32(check.healthyThreshold);
  out.u32(check.unhealthyThreshold);
  out.u16(check.expectedStatus);
  out.u8(check.tcp ? 1 : 0);
  out.u8(check.acceptedStatuses.length);
  for (let i = 0; i < check.acceptedStatuses.length; i++) {
    out.u16(check.acceptedStatuses[i]![0]);
    out.u16(check.acceptedStatuses[i]![1]);
  }
}

export function readHealthCheck(from: FlatCursor): HealthCheckObject {
  const uri = from.text();
  const interval = from.u32();
  const timeout = from.u32();
  const healthyThreshold = from.u32();
  const unhealthyThreshold = from.u32();
  const expectedStatus = from.u16();
  const tcp = from.u8() !== 0;
  const acceptedStatuses: [number, number][] = [];
  for (let left = from.u8(); left > 0 && !from.bad; left--) acceptedStatuses.push([from.u16(), from.u16()]);
  return { uri, interval, timeout, healthyThreshold, unhealthyThreshold, expectedStatus, tcp, acceptedStatuses };
}

export function writeTuning(out: FlatBytes, tuning: BalancingTuningObject): void {
  out.u8(tuning.affinity);
  out.text(tuning.affinityName);
  out.u32(tuning.slowStart);
  out.u32(tuning.ejectAfter);
  out.u32(tuning.ejectionTime);
}

export function readTuning(from: FlatCursor): BalancingTuningObject {
  return {
    affinity: from.u8(),
    affinityName: from.text(),
    slowStart: from.u32(),
    ejectAfter: from.u32(),
    ejectionTime: from.u32(),
  };
}

export function writeTransport(out: FlatBytes, { proxyProtocol, http2, udp }: ClusterTransportObject): void {
  out.u8((http2 ? 1 : 0) | (udp === null ? 0 : 2) | (udp === null || udp.health === null ? 0 : 4));
  out.u8(proxyProtocol === null ? 0 : proxyProtocol + 1);
  if (udp === null) return;
  out.u8(udp.affinityKey | (udp.sendProxyProtocol ? 2 : 0) | (udp.proxyProtocolEveryDatagram ? 4 : 0));
  out.u32(udp.responses);
  out.u32(udp.requests);
  if (udp.health === null) return;
  const { health } = udp;
  out.u8(health.mode | (health.failOpen ? 4 : 0));
  out.u16(health.tcpPort ?? 0);
  out.u32(health.rise);
  out.u32(health.fall);
  out.u32(health.probeInterval);
  out.u32(health.probeTimeout);
  out.u16(health.udpProbePayload.length);
  for (let i = 0; i < health.udpProbePayload.length; i++) out.u8(health.udpProbePayload[i]!);
}

export function readTransport(from: FlatCursor): ClusterTransportObject {
  const flags = from.u8();
  const proxy = from.u8();
  return {
    proxyProtocol: proxy === 0 ? null : proxy - 1,
    http2: (flags & 1) !== 0,
    udp: (flags & 2) === 0 ? null : readUdp(from, (flags & 4) !== 0),
  };
}

function readUdp(from: FlatCursor, withHealth: boolean): UdpClusterObject {
  const how = from.u8();
  const responses = from.u32();
  const requests = from.u32();
  return {
    affinityKey: how & 1,
    responses,
    requests,
    sendProxyProtocol: (how & 2) !== 0,
    proxyProtocolEveryDatagram: (how & 4) !== 0,
    health: withHealth ? readUdpHealth(from) : null,
  };
}

function readUdpHealth(from: FlatCursor): UdpHealthObject {
  const how = from.u8();
  const port = from.u16();
  const rise = from.u32();
  const fall = from.u32();
  const probeInterval = from.u32();
  const probeTimeout = from.u32();
  const udpProbePayload: number[] = [];
  for (let left = from.u16(); left > 0 && !from.bad; left--) udpProbePayload.push(from.u8());
  return {
    mode: how & 3,
    tcpPort: port === 0 ? null : port,
    rise,
    fall,
    failOpen: (how & 4) !== 0,
    udpProbePayload,
    probeInterval,
    probeTimeout,
  };
}

export function writeFrontendPolicy(out: FlatBytes, policy: FrontendPolicyObject): void {
  out.u8(policy.redirect);
  out.u8(policy.redirectScheme | (policy.requiredAuth ? REQUIRED_AUTH : 0));
  out.longText(policy.redirectTemplate);
  out.text(policy.rewriteHost);
  out.text(policy.rewritePath);
  out.u16(policy.rewritePort ?? 0);
  out.u8(policy.headers.length);
  for (let i = 0; i < policy.headers.length; i++) {
    const edit = policy.headers[i]!;
    out.u8(edit.position | (edit.append ? APPEND : 0));
    out.text(edit.name);
    out.text(edit.value);
  }
}

export function readFrontendPolicy(from: FlatCursor): FrontendPolicyObject {
  const redirect = from.u8();
  const flags = from.u8();
  const redirectTemplate = from.optionalLongText();
  const rewriteHost = from.optionalText();
  const rewritePath = from.optionalText();
  const port = from.u16();
  const headers: HeaderEditObject[] = [];
  for (let left = from.u8(); left > 0 && !from.bad; left--) {
    const how = from.u8();
    headers.push({
      position: how & ~APPEND,
      name: from.text(),
      value: from.text(),
      append: (how & APPEND) !== 0,
    });
  }
  return {
    redirect,
    redirectScheme: flags & ~REQUIRED_AUTH,
    redirectTemplate,
    rewriteHost,
    rewritePath,
    rewritePort: port === 0 ? null : port,
    requiredAuth: (flags & REQUIRED_AUTH) !== 0,
    headers,
  };
}

const REQUIRED_AUTH = 0x80;
const APPEND = 0x80;

function writeOptionalU32(out: FlatBytes, value: number | null): void {
  out.u8(value === null ? 0 : 1);
  if (value !== null) out.u32(value);
}

function readOptionalU32(from: FlatCursor): number | null {
  return from.u8() === 0 ? null : from.u32();
}
