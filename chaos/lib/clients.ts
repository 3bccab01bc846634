// The clients of the chaos suite. Each knows of its requests which may fail: those in flight on a connection whose worker
// was killed (Lost), and no other. Every answer is checked to the byte.

import { randomBytes } from "node:crypto";
import { readAnswer } from "../../e2e/lib/answer.ts";
import type { Dice } from "../../e2e/lib/changes.ts";
import { sleep } from "../../e2e/lib/scope.ts";
import type { Ledger } from "./ledger.ts";
import { isPattern, pattern } from "./pattern.ts";
import { Lost, type Wire, type Wires } from "./wires.ts";

/** A pause after a failure, so that a run with a bug ends with a readable account. */
const PAUSE_MS = 20;
/** New connections that wait at once; more is a failure by itself. */
const WAITING_MAX = 2000;

/** How much load. */
export interface Mix {
  /** Of each lane, plain and secure. */
  readonly keepAlive: readonly [number, number];
  /** New connections a second. */
  readonly fresh: readonly [number, number];
  readonly idle: readonly [number, number];
  readonly webSocket: readonly [number, number];
  readonly download: readonly [number, number];
  readonly upload: readonly [number, number];
  readonly slow: readonly [number, number];
  readonly flaky: number;
  /** Bytes of a download and an upload. */
  readonly transferBytes: number;
  /** Between two requests of a keep-alive client. */
  readonly thinkMs: number;
}

/** About half of what one core serves here. */
export const EVERYTHING: Mix = {
  keepAlive: [8, 4],
  fresh: [60, 20],
  idle: [6, 3],
  webSocket: [4, 3],
  download: [2, 1],
  upload: [2, 1],
  slow: [2, 1],
  flaky: 2,
  transferBytes: 4_000_000,
  thinkMs: 4,
};

/** All clients of a run. */
export class Clients {
  readonly #wires: Wires;
  readonly #ledger: Ledger;
  readonly #host: string;
  readonly #mix: Mix;
  readonly #dice: Dice;
  readonly #lanes: Promise<void>[];
  #timers: NodeJS.Timeout[];
  #waiting: number;
  #stopping: boolean;

  constructor(wires: Wires, ledger: Ledger, host: string, mix: Mix, dice: Dice) {
    this.#wires = wires;
    this.#ledger = ledger;
    this.#host = host;
    this.#mix = mix;
    this.#dice = dice;
    this.#lanes = [];
    this.#timers = [];
    this.#waiting = 0;
    this.#stopping = false;
    for (const secure of [false, true]) this.#start(secure, secure ? 1 : 0);
    this.#lane(mix.flaky, "flaky", false, (wire) => this.#flaky(wire));
  }

  /** Lets everything in flight finish. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#lanes);
    while (this.#waiting > 0) await sleep(10);
    this.#wires.destroyAll();
  }

  #start(secure: boolean, index: 0 | 1): void {
    const mix = this.#mix;
    const name = (kind: string): string => (secure ? `${kind} tls` : kind);
    this.#lane(mix.keepAlive[index], name("keep-alive"), secure, (wire, kind) => this.#get(wire, kind, mix.thinkMs));
    this.#lane(mix.idle[index], name("idle"), secure, (wire, kind) =>
      this.#get(wire, kind, 500 + this.#dice.roll(2500)),
    );
    this.#lane(mix.webSocket[index], name("websocket"), secure, (wire, kind) => this.#webSocket(wire, kind));
    this.#lane(mix.download[index], name("download"), secure, (wire, kind) => this.#download(wire, kind));
    this.#lane(mix.upload[index], name("upload"), secure, (wire, kind) => this.#upload(wire, kind));
    this.#lane(mix.slow[index], name("slow"), secure, (wire, kind) => this.#slow(wire, kind));
    if (mix.fresh[index] > 0) {
      this.#timers.push(setInterval(() => void this.#fresh(name("fresh"), secure), 1000 / mix.fresh[index]));
    }
  }

  /** Repeats `act` on a connection that is kept for as long as `act` returns true. */
  #lane(count: number, kind: string, secure: boolean, act: (wire: Wire, kind: string) => Promise<boolean>): void {
    const run = async (): Promise<void> => {
      let wire: Wire | null = null;
      while (!this.#stopping) {
        // It died with its worker while nothing was in flight: nobody was promised anything.
        if (wire?.cut === true) wire = null;
        try {
          wire ??= await this.#wires.open(secure);
          wire.busy = true;
          const keep = await act(wire, kind);
          if (keep && wire.ended === null) continue;
          wire.destroy();
        } catch (error) {
          wire?.destroy();
          this.#settle(kind, error);
          await sleep(PAUSE_MS);
        }
        wire = null;
      }
    };
    for (let i = 0; i < count; i++) this.#lanes.push(run());
  }

  #settle(kind: string, error: unknown): void {
    if (error instanceof Lost) this.#ledger.of(kind).lost++;
    else this.#ledger.fail(kind, error instanceof Error ? error.message : String(error));
  }

  async #fresh(kind: string, secure: boolean): Promise<void> {
    if (this.#waiting > WAITING_MAX) {
      this.#ledger.fail(kind, "too many connections wait");
      return;
    }
    this.#waiting++;
    const startedMs = performance.now();
    let wire: Wire | null = null;
    try {
      wire = await this.#wires.open(secure);
      await this.#exchange(wire, "/");
      this.#ledger.serve(kind, performance.now() - startedMs);
    } catch (error) {
      this.#settle(kind, error);
    } finally {
      wire?.destroy();
      this.#waiting--;
    }
  }

  /** One request; the answer says whether the connection may carry another. */
  async #exchange(wire: Wire, path: string, host = this.#host): Promise<{ status: number; keep: boolean }> {
    wire.busy = true;
    wire.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const answer = await this.#answer(wire);
    if (answer.status !== 200 && host === this.#host) throw new Error(`status ${answer.status}`);
    return { status: answer.status, keep: answer.headers.get("connection") !== "close" };
  }

  async #answer(wire: Wire) {
    const answer = await wire.until("an answer", () => readAnswer(wire.pending, false, "GET"));
    if (answer.length !== wire.pending.length) throw new Error("more bytes than one answer");
    wire.pending = Buffer.alloc(0);
    wire.busy = false;
    return answer;
  }

  async #get(wire: Wire, kind: string, pauseMs: number): Promise<boolean> {
    const startedMs = performance.now();
    const { keep } = await this.#exchange(wire, "/");
    this.#ledger.serve(kind, performance.now() - startedMs);
    if (!keep) return false;
    await sleep(this.#stopping ? 0 : pauseMs);
    // An idle connection is not closed by an upgrade: it is served one more request (decisions 28).
    if (wire.ended !== null && !wire.cut) throw new Error(`${wire.ended} while idle`);
    return true;
  }

  /** Its backend dies and returns: any answer is fine, none is not. */
  async #flaky(wire: Wire): Promise<boolean> {
    const { status, keep } = await this.#exchange(wire, "/", "flaky.test");
    if (![200, 502, 503, 504].includes(status)) throw new Error(`status ${status}`);
    this.#ledger.pass("flaky");
    await sleep(30);
    return keep;
  }

  /** The request comes in pieces, and so the answer is read. */
  async #slow(wire: Wire, kind: string): Promise<boolean> {
    const text = `GET /slow HTTP/1.1\r\nHost: ${this.#host}\r\nX-Filler: ${"x".repeat(200)}\r\n\r\n`;
    for (let at = 0; at < text.length && wire.ended === null; at += 8) {
      wire.send(text.slice(at, at + 8));
      await sleep(15);
    }
    const answer = await this.#answer(wire);
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    this.#ledger.pass(kind);
    return answer.headers.get("connection") !== "close";
  }

  async #download(wire: Wire, kind: string): Promise<boolean> {
    const length = this.#mix.transferBytes;
    wire.send(`GET /bytes/${length} HTTP/1.1\r\nHost: ${this.#host}\r\nConnection: close\r\n\r\n`);
    const headEnd = await wire.until("a head", () =>
      wire.pending.includes("\r\n\r\n") ? wire.pending.indexOf("\r\n\r\n") : null,
    );
    const head = wire.pending.toString("latin1", 0, headEnd);
    if (!head.startsWith("HTTP/1.1 200")) throw new Error(head.slice(0, 20));
    let received = 0;
    let isExact = true;
    const take = (chunk: Buffer): void => {
      isExact &&= isPattern(chunk, received);
      received += chunk.length;
      wire.socket.pause();
      setTimeout(() => wire.socket.resume(), 10);
    };
    wire.onData = take;
    take(wire.pending.subarray(headEnd + 4));
    await wire.until(`the bytes after ${received}`, () => (received >= length || !isExact ? true : null), 60_000);
    if (!isExact || received !== length) throw new Error(`wrong bytes before ${received}`);
    this.#ledger.pass(kind);
    return false;
  }

  async #upload(wire: Wire, kind: string): Promise<boolean> {
    const length = this.#mix.transferBytes;
    wire.send(`POST / HTTP/1.1\r\nHost: ${this.#host}\r\nContent-Length: ${length}\r\n\r\n`);
    for (let sent = 0; sent < length && wire.ended === null; ) {
      const part = pattern(sent, Math.min(40_000, length - sent));
      wire.send(part);
      sent += part.length;
      await sleep(15);
    }
    const answer = await this.#answer(wire);
    const said = answer.body.toString();
    if (answer.status !== 200 || said !== String(length))
      throw new Error(`status ${answer.status}: ${said.slice(0, 40)}`);
    this.#ledger.pass(kind);
    return answer.headers.get("connection") !== "close";
  }

  /** Messages for a few seconds, each echoed before the next. */
  async #webSocket(wire: Wire, kind: string): Promise<boolean> {
    const lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    const key = `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`;
    wire.send(`GET /ws HTTP/1.1\r\nHost: ${this.#host}\r\n${[...lines, key].join("\r\n")}\r\n\r\n`);
    const end = await wire.until("the handshake", () =>
      wire.pending.includes("\r\n\r\n") ? wire.pending.indexOf("\r\n\r\n") + 4 : null,
    );
    if (!wire.pending.toString("latin1", 0, 12).endsWith("101"))
      throw new Error(wire.pending.toString("latin1", 0, 30));
    wire.pending = wire.pending.subarray(end);
    const untilMs = performance.now() + 1000 + this.#dice.roll(5000);
    while (performance.now() < untilMs && !this.#stopping) {
      const frame = maskedFrame(1 + this.#dice.roll(3000));
      wire.send(frame);
      // The backend echoes our frame with the mask taken off.
      const echo = await wire.until("an echo", () => (wire.pending.length >= frame.length - 4 ? wire.pending : null));
      if (!echo.equals(unmasked(frame))) throw new Error("another message came back");
      wire.pending = Buffer.alloc(0);
      this.#ledger.pass(kind);
      await sleep(20 + this.#dice.roll(60));
    }
    return false;
  }
}

/** A binary message (RFC 6455 5.2) of up to 65,535 bytes. */
function maskedFrame(length: number): Buffer {
  const head = length < 126 ? Buffer.of(0x82, 0x80 | length) : Buffer.of(0x82, 0xfe, length >> 8, length & 255);
  return Buffer.concat([head, randomBytes(4 + length)]);
}

function unmasked(frame: Buffer): Buffer {
  const maskAt = frame[1] === 0xfe ? 4 : 2;
  const copy = Buffer.concat([frame.subarray(0, maskAt), frame.subarray(maskAt + 4)]);
  copy[1] = (copy[1] as number) & 127;
  for (let i = maskAt; i < copy.length; i++)
    copy[i] = (copy[i] as number) ^ (frame[maskAt + ((i - maskAt) & 3)] as number);
  return copy;
}
