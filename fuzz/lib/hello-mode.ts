// ClientHellos: made from a grammar, mutated, cut into records of any size. What the decoder says is compared with a plain
// reading of RFC 8446 4.1.2 that shares no code with it, and must not depend on where the message lies or how it came.

import { ClientHello, decodeClientHello } from "../../src/wire/client-hello/decoder.ts";
import { SERVER_NAME } from "../../src/wire/client-hello/server-name.ts";
import { alpn, helloBytes, pairs, recordsOf, sni, versions } from "./hello-bytes.ts";
import { HELLO_RECORDS, HelloRecords } from "./hello-records.ts";
import type { Random } from "./random.ts";

/** What a message says, or why it says nothing. */
export interface HelloReading {
  readonly verdict: "ok" | "more" | "bad";
  readonly sni: string | null;
  readonly alpn: readonly string[] | null;
  readonly tls13: boolean;
}

/** Runs one case; returns what is wrong, or null. */
export function runHelloCase(random: Random): { readonly message: Uint8Array; readonly reason: string } | null {
  const message = mutated(random, made(random));
  const plain = readPlainly(message);
  const decoded = readByDecoder(message, 0);
  const reason =
    differs("decoder and plain reading", decoded, plain) ??
    differs("place of the message", readByDecoder(message, 1 + random.below(20)), decoded) ??
    (decoded.verdict === "ok" ? throughRecords(random, message) : null);
  return reason === null ? null : { message, reason };
}

function differs(what: string, a: HelloReading, b: HelloReading): string | null {
  const left = JSON.stringify(a);
  const right = JSON.stringify(b);
  return left === right ? null : `${what}: ${left} and ${right}`;
}

function throughRecords(random: Random, message: Uint8Array): string | null {
  const records = recordsOf(message, 1 + random.below(random.once(4) ? 5 : message.length));
  const collected = new HelloRecords();
  let result: number = HELLO_RECORDS.MORE;
  for (let at = 0; at < records.length; ) {
    const end = Math.min(records.length, at + 1 + random.below(50));
    result = collected.push(records, at, end);
    at = end;
  }
  if (result !== HELLO_RECORDS.COMPLETE) return `records: ${result}`;
  // A mutation may have left bytes behind the message.
  const expected = message.subarray(0, collected.length);
  return Buffer.compare(collected.message.subarray(0, collected.length), expected) === 0
    ? null
    : "records: other bytes";
}

const NAMES = ["a.test", "WWW.A.Test.", "x", "127.0.0.1", "a..b", "a\0b", "*.a.test", "a".repeat(64), "::1", "a_b-c.d"];
const PROTOCOLS = ["h2", "http/1.1", "h3", "x".repeat(255)];
const NUMBERS = [0x0304, 0x0303, 0x0a0a, 0x7a7a, 0x0403, 0x0804, 0x001d, 0x11ec];

function made(random: Random): Uint8Array {
  const extensions: (readonly [number, Uint8Array])[] = [];
  const some = (): number[] => Array.from({ length: 1 + random.below(5) }, () => random.pick(NUMBERS));
  if (!random.once(3))
    extensions.push(sni(...Array.from({ length: random.once(9) ? 2 : 1 }, () => random.pick(NAMES))));
  if (!random.once(3))
    extensions.push(alpn(...Array.from({ length: 1 + random.below(4) }, () => random.pick(PROTOCOLS))));
  if (!random.once(3)) extensions.push(versions(...some()));
  if (random.once(2)) extensions.push(pairs(10, ...some()), pairs(13, ...some()));
  if (random.once(4)) extensions.push([35, new Uint8Array(random.below(9))]);
  if (random.once(6)) extensions.push([41, new Uint8Array(random.below(9))], [42, new Uint8Array(random.below(2))]);
  if (random.once(3)) extensions.push([random.word() & 0xffff, new Uint8Array(random.below(40))]);
  extensions.sort(() => random.below(3) - 1);
  return helloBytes({
    version: random.once(9) ? 0x0301 : 0x0303,
    sessionId: new Uint8Array(random.below(34)),
    ciphers: some(),
    compression: random.once(20) ? [] : [0],
    extensions: random.once(20) ? null : extensions,
  });
}

/** Half of the messages stay as they are; the rest have bytes changed, put in, taken out, or an end that is missing. */
function mutated(random: Random, message: Uint8Array): Uint8Array {
  let bytes = Buffer.from(message);
  if (random.once(2)) return bytes;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length);
    const kind = random.below(4);
    if (kind === 0) bytes[at] = random.word() & 0xff;
    else if (kind === 1) bytes[at]! += random.pick([1, -1, 2, 0x80]);
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(4))]);
    else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(random.word() & 0xff), bytes.subarray(at)]);
    if (bytes.length === 0) return bytes;
  }
  return random.once(8) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

function readByDecoder(message: Uint8Array, offset: number): HelloReading {
  const bytes = Buffer.concat([Buffer.alloc(offset, 0xee), message]);
  const hello = new ClientHello();
  const result = decodeClientHello(bytes, offset, bytes.length, hello);
  if (result <= 0) return nothing(result === 0 ? "more" : "bad");
  return {
    verdict: "ok",
    sni: hello.serverName === SERVER_NAME.VALID ? text(bytes.subarray(hello.sniStart, hello.sniEnd)) : null,
    alpn: hello.alpnStart < 0 ? null : listOf(bytes.subarray(hello.alpnStart, hello.alpnEnd)),
    tls13: hello.isTls13,
  };
}

function nothing(verdict: "more" | "bad"): HelloReading {
  return { verdict, sni: null, alpn: null, tls13: false };
}

class Bad extends Error {}

/** Takes a message apart by its grammar, with exceptions for what is missing. */
class Part {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  number(size: number): number {
    return this.take(size).readUIntBE(0, size);
  }

  take(size: number): Buffer {
    if (this.#at + size > this.#bytes.length) throw new Bad();
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  /** Content behind its length of `size` bytes. */
  sized(size: number): Buffer {
    return this.take(this.number(size));
  }
}

function readPlainly(message: Uint8Array): HelloReading {
  if (message.length > 0 && message[0] !== 1) return nothing("bad");
  if (message.length < 4) return nothing("more");
  const length = Buffer.from(message).readUIntBE(1, 3);
  if (length > 131_068) return nothing("bad");
  if (message.length < 4 + length) return nothing("more");
  try {
    return readBody(new Part(message.subarray(4, 4 + length)));
  } catch (error) {
    if (error instanceof Bad) return nothing("bad");
    throw error;
  }
}

function readBody(body: Part): HelloReading {
  let version = body.number(2);
  body.take(32);
  check(body.sized(1).length <= 32);
  const ciphers = body.sized(2);
  check(ciphers.length >= 2 && ciphers.length % 2 === 0);
  check(body.sized(1).length >= 1);
  const found = new Map<number, Buffer>();
  if (!body.isEmpty) {
    const extensions = new Part(body.sized(2));
    check(body.isEmpty);
    while (!extensions.isEmpty) {
      const type = extensions.number(2);
      const content = extensions.sized(2);
      if (!KNOWN.includes(type)) continue;
      check(!found.has(type));
      found.set(type, content);
    }
  }
  for (const type of [10, 13]) {
    const list = found.get(type);
    if (list !== undefined) check(pairsOf(whole(list, 2)).length > 0);
  }
  check((found.get(41)?.length ?? 1) > 0 && (found.get(42)?.length ?? 0) === 0);
  const list = found.get(43);
  if (list !== undefined) version = Math.max(0, ...pairsOf(whole(list, 1)).filter((one) => (one & 0x0f0f) !== 0x0a0a));
  const protocols = found.get(16);
  const names = found.get(0);
  return {
    verdict: "ok",
    sni: names === undefined ? null : hostOf(whole(names, 2)),
    alpn: protocols === undefined ? null : listOf(whole(protocols, 2)),
    tls13: version >= 0x0304,
  };
}

const KNOWN: readonly number[] = [0, 5, 10, 13, 16, 35, 41, 42, 43];

function check(good: boolean): void {
  if (!good) throw new Bad();
}

/** A list with its length before it, and nothing behind. */
function whole(content: Buffer, size: number): Buffer {
  const part = new Part(content);
  const list = part.sized(size);
  check(part.isEmpty && list.length > 0);
  return list;
}

function pairsOf(list: Buffer): number[] {
  check(list.length % 2 === 0);
  return Array.from({ length: list.length / 2 }, (_, i) => list.readUInt16BE(2 * i));
}

function listOf(list: Uint8Array): string[] {
  const part = new Part(list);
  const names: string[] = [];
  while (!part.isEmpty) {
    const name = part.sized(1);
    check(name.length > 0);
    names.push(text(name));
  }
  return names;
}

function hostOf(list: Buffer): string | null {
  const part = new Part(list);
  const hosts: string[] = [];
  let isHost = true;
  while (!part.isEmpty) {
    if (part.number(1) !== 0) isHost = false;
    const name = part.sized(2);
    check(name.length > 0);
    hosts.push(text(name));
  }
  const [host = ""] = hosts;
  const bare = host.length > 1 && host.endsWith(".") ? host.slice(0, -1) : host;
  if (
    !isHost ||
    hosts.length !== 1 ||
    bare.length > 253 ||
    !/^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/.test(bare)
  ) {
    return null;
  }
  return /(^|\.)[0-9]+$/.test(bare) ? null : bare;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
