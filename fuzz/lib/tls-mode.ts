// TLS on the engine of the proxy: a client of OpenSSL whose bytes are changed, left out, put in and cut at random on their
// way, in the handshake and behind it. What must hold: an untouched connection works; of a touched one the server takes
// nothing but what the client sent, and ends or waits; no call fails in a way that its contract does not have.
//
// A process has one arena, so this runs in a process of its own.

import { mapAnonymous, registerArena } from "../../src/os/arena.ts";
import { EAGAIN, ECONNABORTED, ECONNRESET, EPIPE, EPROTO } from "../../src/os/errno.ts";
import { socketpair } from "../../src/os/listeners.ts";
import { close, recv, send, UNIX_STREAM } from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { makeCertificate } from "../../test/command/certs.ts";
import { sized } from "./hello-bytes.ts";
import type { Random } from "./random.ts";

const ROOM = 32_768;
const SECRET = "what the client sends, and nothing else. ";
const ROUNDS = 40;
/** How a call on a session may fail. */
const ENDS = new Set([0, -EAGAIN, -ECONNABORTED, -ECONNRESET, -EPIPE, -EPROTO]);

export class TlsFuzz {
  readonly #arena: Uint8Array;
  readonly #identity: number;
  readonly #contexts: readonly (readonly [server: number, client: number])[];

  constructor() {
    this.#arena = mapAnonymous(2 * ROOM);
    registerArena(this.#arena);
    const { pem, key } = makeCertificate({ names: ["a.test"] });
    this.#identity = must(tls.createIdentity(pem, "", key));
    this.#contexts = [tls.TLS12, tls.TLS13].map((version) => {
      const limits = { minVersion: version, maxVersion: version };
      return [must(tls.createContext(limits)), must(tls.createContext({ role: "client", verify: "none", ...limits }))];
    });
  }

  /** Runs one case; what is wrong, or null. */
  run(random: Random): string | null {
    const [serverContext, clientContext] = random.pick(this.#contexts);
    const [clientFd, relayIn] = socketpair(UNIX_STREAM);
    const [serverFd, relayOut] = socketpair(UNIX_STREAM);
    const client = tls.tlsConnect(clientFd, clientContext, "a.test", "", -1, -1);
    const server = tls.tlsAccept(serverFd, serverContext, 0, 0);
    try {
      return this.#talk(random, { client, server, relayIn, relayOut, serverContext });
    } finally {
      tls.tlsFree(client);
      tls.tlsFree(server);
      for (const fd of [clientFd, relayIn, serverFd, relayOut]) close(fd);
    }
  }

  #talk(random: Random, ends: Ends): string | null {
    const { client, server, relayIn, relayOut } = ends;
    const mayTouch = !random.once(4);
    let touched = false;
    let isOpen = false;
    let text = "";
    for (let round = 0; round < ROUNDS; round++) {
      if (tls.handshake(client, 0, 0) === tls.HANDSHAKE_DONE) {
        this.#arena.set(Buffer.from(SECRET));
        tls.tlsWrite(client, 0, SECRET.length);
      }
      const sent = this.#take(relayIn);
      const bytes = mayTouch && random.once(3) ? changed(random, sent) : sent;
      touched ||= bytes !== sent;
      const cut = random.once(2) ? random.below(bytes.length + 1) : bytes.length;
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        this.#give(relayOut, part);
        const result: number = isOpen ? tls.HANDSHAKE_DONE : this.#shake(server, ends.serverContext);
        if (result === tls.HANDSHAKE_FAILED) return touched ? null : "an untouched handshake failed";
        isOpen = result === tls.HANDSHAKE_DONE;
        if (!isOpen) continue;
        const read = tls.tlsRead(server, 0, ROOM);
        if (read > 0) text += Buffer.from(this.#arena.subarray(0, read)).toString("latin1");
        else if (!ENDS.has(read)) return `read: ${read}`;
        else if (read !== -EAGAIN) return touched ? this.#judge(text) : `an untouched connection ended: ${read}`;
      }
      this.#give(relayIn, this.#take(relayOut));
    }
    if (!touched && !text.startsWith(SECRET)) return "an untouched connection carried nothing";
    return this.#judge(text);
  }

  #judge(text: string): string | null {
    const wanted = SECRET.repeat(Math.ceil(text.length / SECRET.length));
    return wanted.startsWith(text) ? null : `bytes that nobody sent: ${JSON.stringify(text)}`;
  }

  #shake(server: number, context: number): number {
    const result = tls.handshake(server, 0, ROOM);
    if (result < 0) throw new Error(`handshake: ${result}`);
    if (result !== tls.HANDSHAKE_HELLO) return result;
    if (tls.choose(server, context, tls.ALPN_NONE, this.#identity) < 0) tls.refuse(server, tls.ALERT_HANDSHAKE_FAILURE);
    return this.#shake(server, context);
  }

  #take(fd: number): Buffer {
    const length = recv(fd, 0, ROOM);
    return length > 0 ? Buffer.from(this.#arena.subarray(0, length)) : Buffer.alloc(0);
  }

  #give(fd: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#arena.set(bytes.subarray(0, ROOM));
    send(fd, 0, Math.min(bytes.length, ROOM));
  }
}

interface Ends {
  readonly client: number;
  readonly server: number;
  readonly relayIn: number;
  readonly relayOut: number;
  readonly serverContext: number;
}

/** The same object when nothing was changed. */
function changed(random: Random, bytes: Buffer): Buffer {
  const noise = (): Buffer => Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
  const at = random.below(bytes.length + 1);
  switch (random.below(5)) {
    case 0: {
      if (bytes.length === 0) return bytes;
      const flipped = Buffer.from(bytes);
      for (let i = random.below(3); i >= 0; i--) flipped[random.below(bytes.length)]! ^= 1 << random.below(8);
      return flipped.equals(bytes) ? bytes : flipped;
    }
    case 1:
      return at === bytes.length ? bytes : bytes.subarray(0, at);
    case 2:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.of(20 + random.below(6), 3, random.below(5)),
        sized(noise()),
        bytes.subarray(at),
      ]);
    case 3:
      return bytes.length === 0 ? bytes : Buffer.concat([bytes, bytes]);
    default:
      return Buffer.concat([noise(), Buffer.of(0), bytes]);
  }
}

function must(handle: number | tls.TlsRefusal): number {
  if (typeof handle !== "number") throw new Error(handle.reason);
  return handle;
}
