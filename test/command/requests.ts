// Makers of requests for the tests of the command room, and generators of random ones.

import fc from "fast-check";
import { addressToMessage, parseAddress } from "../../src/command/address.ts";
import type { Request, SocketAddress } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";

export function address(text: string): SocketAddress {
  return addressToMessage(parseAddress(text)!);
}

export function addCluster(clusterId: string, more: object = {}): Request {
  const value = { clusterId, stickySession: false, httpsRedirect: false, loadBalancing: 0, ...more } as const;
  return request({ case: "addCluster", value });
}

export function removeCluster(clusterId: string): Request {
  return request({ case: "removeCluster", value: clusterId });
}

export function addBackend(clusterId: string, backendId: string, at = "127.0.0.1:1026", more: object = {}): Request {
  return request({ case: "addBackend", value: { clusterId, backendId, address: address(at), ...more } });
}

export function removeBackend(clusterId: string, backendId: string, at = "127.0.0.1:1026"): Request {
  return request({ case: "removeBackend", value: { clusterId, backendId, address: address(at) } });
}

export function frontend(hostname: string, path = "/", more: object = {}): object {
  const rule = { kind: 0, value: path } as const;
  return { clusterId: "app", address: address("0.0.0.0:8080"), hostname, path: rule, position: 2, tags: {}, ...more };
}

export function addFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({ case: "addHttpFrontend", value: frontend(hostname, path, more) });
}

export function removeFrontend(hostname: string, path = "/", more: object = {}): Request {
  return request({ case: "removeHttpFrontend", value: frontend(hostname, path, more) });
}

export function addListener(at: string, more: object = {}): Request {
  const value = {
    address: address(at),
    stickyName: "SOZUBALANCEID",
    expectProxy: false,
    frontTimeout: 60,
    backTimeout: 30,
    connectTimeout: 3,
    requestTimeout: 10,
    active: false,
    ...more,
  };
  return request({ case: "addHttpListener", value });
}

export function onListener(verb: "removeListener" | "activateListener" | "deactivateListener", at: string): Request {
  if (verb === "removeListener") return request({ case: verb, value: { address: address(at), proxy: 0 } });
  if (verb === "activateListener") {
    return request({ case: verb, value: { address: address(at), proxy: 0, fromScm: false } });
  }
  return request({ case: verb, value: { address: address(at), proxy: 0, toScm: false } });
}

/** Requests over a small set of names, so that additions meet, repeat and undo each other. */
export function anyRequest(): fc.Arbitrary<Request> {
  const id = fc.constantFrom("a", "b", "__proto__", "ü", "c;d");
  const at = fc.constantFrom("127.0.0.1:80", "127.0.0.1:81", "[::1]:80");
  const host = fc.constantFrom("a.test", "*.test", "B.test.", "[::1]", "*");
  const path = fc.constantFrom("", "/", "/a;GET", "/ü");
  const rule = fc.record({ kind: fc.constantFrom(0, 2), value: path });
  const front = fc.record({
    clusterId: fc.option(id, { nil: undefined }),
    address: at.map(address),
    hostname: host,
    path: rule,
    method: fc.option(fc.constantFrom("GET", "POST"), { nil: undefined }),
    position: fc.constantFrom(0, 1, 2),
    tags: fc.dictionary(id, id, { noNullPrototype: true, maxKeys: 2 }),
  });
  const weight = fc.option(fc.record({ weight: fc.integer({ min: 0, max: 255 }) }), { nil: undefined });
  return fc.oneof(
    fc.tuple(id, fc.constantFrom(0, 1, 2, 3)).map(([name, loadBalancing]) => addCluster(name, { loadBalancing })),
    id.map(removeCluster),
    fc
      .tuple(id, id, at, weight)
      .map(([cluster, name, where, w]) => addBackend(cluster, name, where, { loadBalancingParameters: w })),
    fc.tuple(id, id, at).map(([cluster, name, where]) => removeBackend(cluster, name, where)),
    front.map((value) => request({ case: "addHttpFrontend", value: value as never })),
    front.map((value) => request({ case: "removeHttpFrontend", value: value as never })),
    at.map((where) => addListener(where)),
    fc
      .tuple(fc.constantFrom("removeListener", "activateListener", "deactivateListener"), at)
      .map(([verb, where]) => onListener(verb as "removeListener", where)),
  );
}
