// Requests that change a running proxy, at random but repeatable: small sets of names, so that changes of several clients
// meet, repeat and undo each other.

import { type Client, connect, type Response, ResponseStatus } from "../../src/client/index.ts";
import { addressToMessage } from "../../src/command/address.ts";
import {
  HeaderPosition,
  ListenerType,
  PathRuleKind,
  RedirectPolicy,
  RedirectScheme,
  RulePosition,
} from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";

type RequestInit = Parameters<typeof request>[0];

/** Numbers from a seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer from 0 to `sides` - 1. */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % sides;
  }
}

/** What random changes are about. */
export interface Playground {
  /** Port of a listener that exists from the start. */
  readonly port: number;
  /** Ports that listeners come and go on. */
  readonly spares: readonly number[];
  readonly backendPorts: readonly number[];
}

/**
 * A random change of clusters `c0`.., hosts `h0.test`.., backends, health checks and listeners. Nothing that it does to
 * the listener at `port` keeps a request for another host from being served.
 */
export function randomChange(dice: Dice, { port, spares, backendPorts }: Playground): RequestInit {
  const clusterId = `c${dice.roll(3)}`;
  const kind = dice.roll(15);
  if (kind === 0) return { case: "removeCluster", value: clusterId };
  if (kind <= 2) return { case: "addCluster", value: randomCluster(dice, clusterId) };
  if (kind === 12) return healthChange(dice, clusterId);
  if (kind === 13) return { case: "setMaxConnectionsPerIp", value: BigInt(1000 * dice.roll(3)) };
  if (kind === 14) return listenerPatch(dice, dice.roll(2) === 0 ? port : (spares[dice.roll(spares.length)] as number));
  if (kind <= 6) {
    const at = backendPorts[dice.roll(backendPorts.length)] as number;
    const value = { clusterId, backendId: `b${dice.roll(3)}`, address: local(at) };
    return kind <= 4 ? { case: "addBackend", value } : { case: "removeBackend", value };
  }
  const listenPort = dice.roll(2) === 0 ? port : (spares[dice.roll(spares.length)] as number);
  if (kind <= 9) {
    const path = { kind: dice.roll(2) === 0 ? PathRuleKind.PREFIX : PathRuleKind.EQUALS, value: `/${dice.roll(2)}` };
    const own = dice.roll(5) === 0 ? {} : { clusterId };
    const hostname = `h${dice.roll(4)}.test`;
    const address = local(listenPort);
    const value = { ...own, address, hostname, path, position: RulePosition.TREE, ...randomPolicy(dice) };
    return kind === 9 ? { case: "removeHttpFrontend", value } : { case: "addHttpFrontend", value };
  }
  return listenerChange(dice.roll(4), spares[dice.roll(spares.length)] as number);
}

function randomCluster(dice: Dice, clusterId: string) {
  const loadBalancing = dice.roll(6) as 0 | 1 | 2 | 3 | 4 | 5;
  const answers = dice.roll(2) === 0 ? {} : { 503: `HTTP/1.1 503 Service Unavailable\r\n\r\n${dice.roll(10)}` };
  const credentials = dice.roll(2) === 0 ? {} : { authorizedHashes: [`u:${"a".repeat(64)}`], wwwAuthenticate: "c" };
  return { clusterId, stickySession: false, httpsRedirect: false, loadBalancing, answers, ...credentials };
}

/** What a frontend does with requests before its cluster gets them: in half of all cases nothing. */
function randomPolicy(dice: Dice) {
  switch (dice.roll(12)) {
    case 0:
      return { redirect: RedirectPolicy.PERMANENT, redirectScheme: RedirectScheme.USE_HTTPS };
    case 1:
      return { redirect: RedirectPolicy.FOUND, rewriteHost: "elsewhere.test" };
    case 2:
      return { redirect: RedirectPolicy.UNAUTHORIZED };
    case 3:
      return { requiredAuth: true };
    case 4:
      return { rewritePath: "/rewritten", rewriteHost: "rewritten.test", rewritePort: 81 };
    case 5:
      return { headers: [{ position: HeaderPosition.BOTH, key: "X-Random", val: `${dice.roll(10)}` }] };
    default:
      return {};
  }
}

function healthChange(dice: Dice, clusterId: string): RequestInit {
  if (dice.roll(3) === 0) return { case: "removeHealthCheck", value: clusterId };
  const numbers = { interval: 1 + dice.roll(5), timeout: 5, healthyThreshold: 1, unhealthyThreshold: 3 };
  return { case: "setHealthCheck", value: { clusterId, config: { uri: "/", expectedStatus: 0, ...numbers } } };
}

/** Some members of a listener, at random; those that would change what `localhost` is served are left alone. */
function listenerPatch(dice: Dice, port: number): RequestInit {
  const value = { address: local(port), frontTimeout: 30 + dice.roll(30), stickyName: `S${dice.roll(3)}` };
  const answers = { 404: `HTTP/1.1 404 Not Found\r\n\r\n${dice.roll(10)}` };
  const trustedProxies = { values: dice.roll(2) === 0 ? [] : ["10.0.0.0/8"] };
  const more = dice.roll(2) === 0 ? { sendXRealIp: dice.roll(2) === 0, dotSegments: "pass" } : { trustedProxies };
  return { case: "updateHttpListener", value: { ...value, answers, ...more } };
}

function listenerChange(kind: number, port: number): RequestInit {
  const address = local(port);
  const proxy = ListenerType.HTTP;
  switch (kind) {
    case 0:
      return { case: "removeListener", value: { address, proxy } };
    case 1:
      return { case: "deactivateListener", value: { address, proxy, toScm: false } };
    case 2:
      return { case: "activateListener", value: { address, proxy, fromScm: false } };
    default:
      return { case: "addHttpListener", value: httpListener(port) };
  }
}

/** The value of AddHttpListener for 127.0.0.1:`port`. */
export function httpListener(port: number) {
  const timeouts = { frontTimeout: 60, backTimeout: 30, connectTimeout: 3, requestTimeout: 10 };
  return { address: local(port), expectProxy: false, stickyName: "S", active: false, ...timeouts };
}

/** 127.0.0.1:`port` as the protocol has it. */
export function local(port: number) {
  return addressToMessage({ ip: "127.0.0.1", port });
}

/** Sends a request; the final answer. */
export function send(client: Client, init: RequestInit): Promise<Response> {
  return client.send(request(init));
}

/** Sends a request on a connection of its own. @throws Error with the message when it is refused. */
export async function order(socketPath: string, init: RequestInit): Promise<Response> {
  const client = await connect({ socketPath, timeoutMs: 10_000 });
  try {
    const answer = await send(client, init);
    if (answer.status !== ResponseStatus.OK) throw new Error(answer.message);
    return answer;
  } finally {
    client.close();
  }
}

/** The hashes per cluster by process (`main`, worker ids). */
export async function hashes(socketPath: string): Promise<Map<string, Record<string, bigint>>> {
  const answer = await order(socketPath, { case: "queryClustersHashes", value: {} });
  const held = answer.content?.contentType;
  if (held?.case !== "workerResponses") throw new Error("no hashes in the answer");
  const found = new Map<string, Record<string, bigint>>();
  for (const [name, { contentType }] of Object.entries(held.value.map)) {
    if (contentType.case === "clusterHashes") found.set(name, { ...contentType.value.map });
  }
  return found;
}
