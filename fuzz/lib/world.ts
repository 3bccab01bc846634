// The proxy under test with everything around it, in one process and without Node's loop: the proxy's event loop is turned
// by hand between the steps of clients and backends, so an execution is a plain function call and the same each time.
//
// Three listeners: on `open` every request goes to the recording backend; on `routed` paths lead to local answers, too; on
// `tight` the buffers of all sockets are small, so that both directions meet back-pressure; on `edited` routes have policies.
// A witness, a client that speaks correctly on a connection of its own, sends a request in the middle of each execution:
// what the input does to others shows in its answer. Idle backend connections are shared, and live on from execution to
// execution.

import { METRIC_BACKEND_CONNECTIONS, METRIC_BACKEND_POOL_SIZE } from "../../src/observe/metrics.ts";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import * as sockets from "../../src/os/sockets.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "../../test/proxy/rig.ts";
import { type Area, PeerSocket } from "./peers.ts";
import { addPolicies } from "./policies.ts";
import type { RequestCase } from "./request-mode.ts";
import type { ResponseCase } from "./response-mode.ts";
import { readRequests, readResponse, type StrictRequest } from "./strict.ts";
import type { TunnelCase } from "./tunnel-mode.ts";

const AREA_BYTES = 128 * 1024;
/** Of the sockets of the tight listener. */
const SMALL_BYTES = 8192;
const ROUNDS_MAX = 2000;
/** Rounds without any movement after which nothing more is expected. */
const QUIET_ROUNDS = 2;

/** Something that can be executed, printed and repeated. */
export type Case = RequestCase | ResponseCase | TunnelCase;

export type Listener = "open" | "routed" | "tight" | "edited";

/** What the backend does with a request. */
export type Behaviour = (link: BackendLink, request: StrictRequest, sequence: number) => void;

/** A request that came in whole. */
export interface Recorded {
  readonly request: StrictRequest;
  readonly sequence: number;
}

/** A connection from the proxy to the backend. */
export class BackendLink {
  readonly socket: PeerSocket;
  /** Bytes of `socket.received` that belong to requests read already. */
  consumed: number;
  /** Requests begun on it; an answer may come before the end. */
  answeredEarly: boolean;
  /** The rest of an early answer, for when the request is there. */
  atEnd: (() => void) | null;
  /** What it sent leaves doubt: the proxy may not use it again. */
  spoiled: boolean;
  /** The bytes behind the request are not HTTP. */
  isRaw: boolean;
  /** Steps of an answer that are still to be carried out, one per round. */
  readonly plan: (() => void)[];

  constructor(socket: PeerSocket) {
    this.socket = socket;
    this.consumed = 0;
    this.answeredEarly = false;
    this.atEnd = null;
    this.spoiled = false;
    this.isRaw = false;
    this.plan = [];
  }

  get pending(): string {
    return this.socket.received.slice(this.consumed);
  }
}

/** Anything that must never be. */
export class Finding extends Error {
  /** Findings of one kind are one finding. */
  readonly kind: string;

  constructor(kind: string, detail: string) {
    super(`${kind}: ${detail}`);
    this.kind = kind;
  }
}

export class World {
  readonly rig: Rig;
  readonly ports: Readonly<Record<Listener, number>>;
  recorded: Recorded[];
  links: BackendLink[];
  /** How requests are answered; the witness is always answered well. */
  behaviour: Behaviour;
  /** Whether the answer may begin when the head is there. */
  answersEarly: boolean;
  #sequence: number;
  #witness: PeerSocket | null;
  #witnessed: number;
  readonly #area: Area;
  readonly #listenFds: readonly number[];
  readonly #clients: Set<PeerSocket>;
  readonly #registered: number;

  constructor() {
    this.rig = new Rig({}, undefined, AREA_BYTES + 4096);
    const { memory } = this.rig;
    const at = memory.allocate(AREA_BYTES);
    const { buffer, byteOffset, byteLength } = memory.bytes;
    this.#area = { buffer: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength), at, length: AREA_BYTES };
    this.recorded = [];
    this.links = [];
    this.behaviour = answerPlainly;
    this.answersEarly = false;
    this.#sequence = 0;
    this.#witness = null;
    this.#witnessed = 0;
    this.#clients = new Set();
    const plain = listen();
    const small = listen();
    sockets.setsockopt(small, sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_BYTES);
    this.#listenFds = [plain, small];
    const ports = [plain, small].map(portOf);
    this.ports = {
      open: this.rig.listen([ports[0]]),
      routed: this.rig.listen([ports[0]]),
      tight: this.#listenTightly(ports[1]),
      edited: this.rig.listen([ports[0]]),
    };
    addPolicies(this.rig, this.ports.edited);
    this.#route(this.ports.routed);
    this.pump();
    this.#registered = this.rig.loop.registered;
  }

  #listenTightly(backend: number): number {
    const { rig } = this;
    const fd = listen();
    // Accepted sockets inherit it.
    sockets.setsockopt(fd, sockets.SOL_SOCKET, sockets.SO_SNDBUF, SMALL_BYTES);
    const address = { ip: "127.0.0.1", port: portOf(fd) };
    rig.must({ kind: "add_http_listener", listener: rig.listenerAt(address) });
    rig.must({ kind: "add_cluster", cluster: clusterOf("tight") });
    rig.must({ kind: "add_http_frontend", frontend: frontendOf("tight", address) });
    rig.must({ kind: "add_backend", backend: backendOf("tight", backend) });
    const refused = rig.proxy.activate(address, fd);
    if (refused !== null) throw new Error(refused);
    return address.port;
  }

  /** Local answers of every kind. */
  #route(port: number): void {
    const address = { ip: "127.0.0.1", port };
    const { rig } = this;
    rig.must({ kind: "add_cluster", cluster: clusterOf("empty") });
    rig.must({ kind: "add_cluster", cluster: { ...clusterOf("moved"), httpsRedirect: true } });
    const prefix = (path: string, clusterId: string | null): void => {
      rig.must({ kind: "add_http_frontend", frontend: { ...frontendOf("", address), clusterId, path } });
    };
    prefix("/503", "empty");
    prefix("/301", "moved");
    prefix("/401", null);
    rig.must({ kind: "remove_http_frontend", frontend: frontendOf(`app-${port}`, address) });
    prefix("/a", `app-${port}`);
    prefix("/?", `app-${port}`);
  }

  connect(listener: Listener): PeerSocket {
    const port = this.ports[listener];
    const fd = sockets.socket(sockets.TCP4);
    const { buffer, at } = this.#area;
    const length = sockets.encodeSockaddr({ ip: "127.0.0.1", port }, buffer, at);
    sockets.setsockopt(fd, sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1);
    if (listener === "tight") sockets.setsockopt(fd, sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_BYTES);
    sockets.connect(fd, at, length);
    const peer = new PeerSocket(this.#area, fd);
    this.#clients.add(peer);
    return peer;
  }

  /** Turns the proxy's loop and lets peers take one step each. True when anything moved. */
  round(): boolean {
    this.rig.loop.turn();
    let moved = this.#stepBackend();
    for (const client of this.#clients) if (client.step()) moved = true;
    return moved;
  }

  /** Until nothing moves any more. */
  pump(): void {
    let quiet = 0;
    for (let rounds = 0; quiet < QUIET_ROUNDS; rounds++) {
      quiet = this.round() ? 0 : quiet + 1;
      if (rounds > ROUNDS_MAX) throw new Finding("busy", `no rest after ${ROUNDS_MAX} rounds`);
    }
  }

  /** Until `condition` holds; gives the kernel some real time when nothing moves. False: it never did. */
  pumpUntil(condition: () => boolean): boolean {
    for (let wait = 0; wait < 60; wait++) {
      this.pump();
      if (condition()) return true;
      Atomics.wait(SLEEPER, 0, 0, wait < 20 ? 1 : 5);
    }
    return condition();
  }

  /** The witness sends a request; call `checkWitness` when the answer may be expected. */
  sendWitness(): void {
    if (this.#witness === null) this.#witness = this.connect("open");
    this.#witness.received = "";
    this.#witness.send(`GET /witness/${++this.#witnessed} HTTP/1.1\r\nHost: witness.test\r\nX-Witness: yes\r\n\r\n`);
  }

  checkWitness(): void {
    const witness = this.#witness as PeerSocket;
    this.pumpUntil(() => witness.ended || readResponse(witness.received, 0, "GET", false, true).end !== "incomplete");
    const seen = readResponse(witness.received, 0, "GET", false, true);
    const target = `/witness/${this.#witnessed}`;
    const broken = seen.end !== "complete" || seen.at !== witness.received.length;
    const echo = seen.final?.fields.find((field) => field.name === "X-Echo")?.value;
    if (broken || witness.ended || seen.final?.status !== 200 || echo !== target) {
      this.dropWitness();
      throw new Finding("witness", `asked for ${target}, got ${JSON.stringify(witness.received.slice(0, 400))}`);
    }
  }

  dropWitness(): void {
    if (this.#witness === null) return;
    this.disconnect(this.#witness);
    this.#witness = null;
  }

  disconnect(client: PeerSocket): void {
    client.close();
    this.#clients.delete(client);
  }

  /** Nothing of an execution may be left: no connection, buffer, slot, exchange or half a request. */
  checkRest(): void {
    const { proxy, loop, stats } = this.rig;
    const { context, http } = proxy;
    const witnesses = this.#witness === null ? 0 : 1;
    const idle = (): boolean => {
      return (
        proxy.sessions === witnesses &&
        context.buffers.inUse === 0 &&
        context.slots.inUse === 0 &&
        context.records.inUse === witnesses &&
        http.exchanges.active === 0 &&
        stats.values[METRIC_BACKEND_CONNECTIONS] === stats.values[METRIC_BACKEND_POOL_SIZE] &&
        loop.registered === this.#registered + witnesses + stats.values[METRIC_BACKEND_CONNECTIONS] &&
        this.links.length === stats.values[METRIC_BACKEND_CONNECTIONS]
      );
    };
    if (!this.pumpUntil(idle)) {
      throw new Finding(
        "leak",
        `sessions ${proxy.sessions}, buffers ${context.buffers.inUse}, slots ${context.slots.inUse}, records ${context.records.inUse}, ` +
          `exchanges ${http.exchanges.active}, backend connections ${stats.values[METRIC_BACKEND_CONNECTIONS]}, ` +
          `idle ${stats.values[METRIC_BACKEND_POOL_SIZE]}, at the backend ${this.links.length}, ` +
          `registrations ${loop.registered - this.#registered}`,
      );
    }
    for (const link of this.links) {
      if (link.spoiled) throw new Finding("spoiled", "a backend connection is kept after an answer that leaves doubt");
      if (link.pending !== "") throw new Finding("left over", `on an idle connection: ${JSON.stringify(link.pending)}`);
    }
  }

  /** After a finding: a state in which the next execution may begin. */
  reset(): void {
    this.dropWitness();
    for (const client of this.#clients) this.disconnect(client);
    for (const link of this.links) link.socket.close();
    this.links = [];
    this.recorded = [];
    for (let i = 0; i < 10; i++) this.rig.loop.turn();
  }

  stop(): void {
    this.reset();
    this.rig.stop();
    this.rig.loop.dispose();
    for (const fd of this.#listenFds) sockets.close(fd);
  }

  #stepBackend(): boolean {
    let moved = false;
    for (const listenFd of this.#listenFds) {
      for (let fd = sockets.accept(listenFd); fd >= 0; fd = sockets.accept(listenFd)) {
        this.links.push(new BackendLink(new PeerSocket(this.#area, fd)));
        moved = true;
      }
    }
    for (const link of this.links) {
      if (link.socket.step()) moved = true;
      if (link.socket.received.length > link.consumed && !link.isRaw) this.#take(link);
      const next = link.plan.shift();
      if (next !== undefined) {
        next();
        moved = true;
      }
    }
    if (moved) this.#bury();
    return moved;
  }

  #bury(): void {
    this.links = this.links.filter((link) => {
      if (!link.socket.ended && link.socket.fd !== -1) return true;
      // A tunnel ends in order, so that what was sent arrives.
      if (link.isRaw) link.socket.leave();
      else link.socket.close();
      return false;
    });
  }

  /** Reads the requests that are there, strictly, and has them answered. */
  #take(link: BackendLink): void {
    const { requests, end, reason, partial } = readRequests(link.pending, true);
    if (end === "refused") throw new Finding("not canonical", `${reason} in ${JSON.stringify(link.pending)}`);
    const from = link.consumed;
    for (const request of requests) {
      link.consumed = from + request.end;
      const sequence = this.#sequence++;
      this.recorded.push({ request, sequence });
      if (request.target.startsWith("/witness/")) answerPlainly(link, request, sequence);
      else if (!link.answeredEarly) this.behaviour(link, request, sequence);
      link.answeredEarly = false;
      if (link.atEnd !== null) link.plan.push(link.atEnd);
      link.atEnd = null;
    }
    if (this.answersEarly && partial !== null && !link.answeredEarly) {
      link.answeredEarly = true;
      this.behaviour(link, partial, this.#sequence++);
    }
  }
}

const SLEEPER = new Int32Array(new SharedArrayBuffer(4));

function listen(): number {
  const fd = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  if (fd < 0) throw new Error(`cannot listen: ${fd}`);
  return fd;
}

function portOf(fd: number): number {
  const name = getsockname(fd);
  if (name === null || typeof name === "number") throw new Error("no name");
  return name.port;
}

/** 200 with a body that says which request it answers. */
export function answerPlainly(link: BackendLink, request: StrictRequest, sequence: number): void {
  link.socket.send(plainAnswer(request, sequence));
}

/** `size`: bytes to add to the body. */
export function plainAnswer(request: StrictRequest, sequence: number, size = 0): string {
  const body = `${sequence} ${request.method} ${request.body.length}${" ".repeat(size)}`;
  const head = `HTTP/1.1 200 OK\r\nX-Echo: ${request.target}\r\nX-Sequence: ${sequence}\r\nContent-Length: ${body.length}\r\n\r\n`;
  return request.method === "HEAD" ? head : head + body;
}
