// What the TLS tests share: contexts, and two sessions joined by a socketpair that are run in turns.

import assert from "node:assert/strict";
import { socketpair } from "../../src/os/listeners.ts";
import { close, recv, send, UNIX_STREAM } from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { type MadeCertificate, makeCertificate } from "../command/certs.ts";
import { arena } from "./descriptors.ts";

/** Where a ClientHello goes. */
export const HELLO_AT = 40_000;
export const HELLO_ROOM = 16_384;

export const authority: MadeCertificate = makeCertificate({ commonName: "Test CA", names: [], isAuthority: true });
export const leaf: MadeCertificate = makeCertificate({ names: ["example.com"], issuer: authority });

export function context(options: tls.TlsContextOptions = {}): number {
  const result = tls.createContext(options);
  assert.ok(typeof result === "number", `context: ${JSON.stringify(result)}`);
  return result;
}

export function clientContext(options: tls.TlsContextOptions = {}): number {
  return context({ role: "client", authorities: authority.pem, ...options });
}

export function identity(of: MadeCertificate = leaf, chain = ""): number {
  const result = tls.createIdentity(of.pem, chain, of.key);
  assert.ok(typeof result === "number", `identity: ${JSON.stringify(result)}`);
  return result;
}

export interface PairOptions {
  readonly server?: tls.TlsContextOptions;
  readonly client?: tls.TlsContextOptions;
  readonly identity?: number;
  readonly clientIdentity?: number;
  readonly resumption?: number;
  readonly serverName?: string;
  readonly expectedHost?: string;
  readonly alpn?: number;
}

/** Both ends of a connection. */
export class Pair {
  readonly serverFd: number;
  readonly clientFd: number;
  readonly server: number;
  readonly client: number;
  readonly identity: number;
  readonly alpn: number;
  readonly #contexts: number[];
  /** The ClientHello of the last pause. */
  hello: Buffer = Buffer.alloc(0);
  /** Decides at the pause; the default chooses the identity. */
  decide: (pair: Pair) => void;

  constructor(options: PairOptions = {}) {
    [this.serverFd, this.clientFd] = socketpair(UNIX_STREAM);
    this.#contexts = [context(options.server), clientContext(options.client)];
    this.server = tls.tlsAccept(this.serverFd, this.serverContext, 0, 0);
    this.client = tls.tlsConnect(
      this.clientFd,
      this.#contexts[1] ?? -1,
      options.serverName ?? "example.com",
      options.expectedHost ?? "example.com",
      options.clientIdentity ?? -1,
      options.resumption ?? -1,
    );
    assert.ok(this.server >= 0 && this.client >= 0, `sessions ${this.server} ${this.client}`);
    this.identity = options.identity ?? identity();
    this.alpn = options.alpn ?? tls.ALPN_NONE;
    this.decide = (pair) => assert.equal(tls.choose(pair.server, pair.serverContext, pair.alpn, pair.identity), 0);
  }

  get serverContext(): number {
    return this.#contexts[0] ?? -1;
  }

  get clientContext(): number {
    return this.#contexts[1] ?? -1;
  }

  /** Runs both sides until nothing moves: their last results and failures. */
  handshake(): { server: number; client: number; serverFailure: number[]; clientFailure: number[] } {
    const last = { server: -1, client: -1, serverFailure: [] as number[], clientFailure: [] as number[] };
    for (let turn = 0; turn < 20; turn++) {
      last.client = tls.handshake(this.client, 0, 0);
      if (last.client === tls.HANDSHAKE_FAILED) last.clientFailure = Array.from(tls.failureWords);
      last.server = tls.handshake(this.server, HELLO_AT, HELLO_ROOM);
      if (last.server === tls.HANDSHAKE_FAILED) last.serverFailure = Array.from(tls.failureWords);
      if (last.server === tls.HANDSHAKE_HELLO) {
        const length = tls.helloLength();
        if (length > 0) this.hello = Buffer.from(arena.subarray(HELLO_AT, HELLO_AT + length));
        this.decide(this);
      }
      if (last.server === tls.HANDSHAKE_DONE && last.client === tls.HANDSHAKE_DONE) break;
    }
    return last;
  }

  /** Handshake that must succeed. */
  open(): this {
    const { server, client, serverFailure, clientFailure } = this.handshake();
    assert.deepEqual([server, client, serverFailure, clientFailure], [0, 0, [], []]);
    return this;
  }

  free(): void {
    tls.tlsFree(this.server);
    tls.tlsFree(this.client);
    close(this.serverFd);
    close(this.clientFd);
    for (const handle of this.#contexts) tls.destroyContext(handle);
    tls.destroyIdentity(this.identity);
  }
}

/** What a session gets now, as text, and the last result below 1. */
export function readAll(session: number): { text: string; end: number } {
  let text = "";
  for (;;) {
    const n = tls.tlsRead(session, 0, 16_384);
    if (n <= 0) return { text, end: n };
    text += Buffer.from(arena.subarray(0, n)).toString("latin1");
  }
}

export function writeText(session: number, text: string): number {
  Buffer.from(arena.buffer).write(text, 0, "latin1");
  return tls.tlsWrite(session, 0, text.length);
}

/** Raw bytes of a socket. */
export function takeRaw(fd: number): Buffer {
  const n = recv(fd, 0, 32_768);
  return n > 0 ? Buffer.from(arena.subarray(0, n)) : Buffer.alloc(0);
}

export function putRaw(fd: number, bytes: Uint8Array): void {
  arena.set(bytes, 0);
  assert.equal(send(fd, 0, bytes.length), bytes.length);
}
