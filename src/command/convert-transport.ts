// How a cluster speaks to its backends, from its message to the record: PROXY protocol, HTTP/2, UDP (spec 2.5, 2.9, 11).
// null when it asks for none of it, so that plain clusters stay small.

import { checkTimeout, checkUnknownEnums, has } from "./convert-checks.ts";
import { checkPort } from "./convert-policies.ts";
import { CommandError, commandError } from "./errors.ts";
import type { Cluster, UdpClusterConfig, UdpHealthConfig } from "./gen/sozu_pb.ts";
import { UDP_PROBE_BYTES_MAX } from "./limits.ts";
import type { ClusterTransportObject, UdpClusterObject, UdpHealthObject } from "./objects.ts";

export function toTransport(message: Cluster): ClusterTransportObject | null | CommandError {
  const udp = message.udp === undefined ? null : toUdp(message.udp);
  if (udp instanceof CommandError) return udp;
  const proxyProtocol = has(message, "proxyProtocol") ? message.proxyProtocol : null;
  if (proxyProtocol === null && !message.http2 && udp === null) return null;
  return { proxyProtocol, http2: message.http2, udp };
}

function toUdp(message: UdpClusterConfig): UdpClusterObject | CommandError {
  const bad = checkUnknownEnums(message);
  if (bad !== null) return bad;
  const health = message.health === undefined ? null : toUdpHealth(message.health);
  if (health instanceof CommandError) return health;
  return {
    affinityKey: message.affinityKey,
    responses: message.responses,
    requests: message.requests,
    sendProxyProtocol: message.sendProxyProtocol,
    proxyProtocolEveryDatagram: message.proxyProtocolEveryDatagram,
    health,
  };
}

function toUdpHealth(message: UdpHealthConfig): UdpHealthObject | CommandError {
  const { mode, rise, fall, failOpen, udpProbePayload } = message;
  const probeInterval = message.probeIntervalSeconds;
  const probeTimeout = message.probeTimeoutSeconds;
  const bad =
    checkUnknownEnums(message) ??
    (has(message, "tcpPort") ? checkPort("udp.health.tcp_port", message.tcpPort) : null) ??
    checkAtLeastOne("udp.health.rise", rise) ??
    checkAtLeastOne("udp.health.fall", fall) ??
    checkAtLeastOne("udp.health.probe_interval_seconds", probeInterval) ??
    checkAtLeastOne("udp.health.probe_timeout_seconds", probeTimeout) ??
    checkTimeout("udp.health.probe_interval_seconds", probeInterval) ??
    checkTimeout("udp.health.probe_timeout_seconds", probeTimeout);
  if (bad !== null) return bad;
  if (udpProbePayload.length > UDP_PROBE_BYTES_MAX) {
    const reason = `it is longer than ${UDP_PROBE_BYTES_MAX} bytes`;
    return commandError("INVALID_VALUE", "udp.health.udp_probe_payload", reason);
  }
  const tcpPort = has(message, "tcpPort") ? message.tcpPort : null;
  const payload = Array.from(udpProbePayload);
  return { mode, tcpPort, rise, fall, failOpen, udpProbePayload: payload, probeInterval, probeTimeout };
}

function checkAtLeastOne(field: string, value: number): CommandError | null {
  return value >= 1 ? null : commandError("INVALID_VALUE", field, "it must be at least 1, got 0");
}
