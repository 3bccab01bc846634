// Makes ClientHello messages for tests (RFC 8446 4.1.2), right or wrong in any part.

/** The parts of a message; `extensions` are [type, content]. */
export interface HelloRecipe {
  readonly version?: number;
  readonly sessionId?: Uint8Array;
  readonly ciphers?: readonly number[];
  readonly compression?: readonly number[];
  readonly extensions?: readonly (readonly [number, Uint8Array])[] | null;
  /** Bytes behind the extensions, inside the message. */
  readonly rest?: Uint8Array;
}

export function helloBytes(recipe: HelloRecipe = {}): Uint8Array {
  const { version = 0x0303, sessionId = new Uint8Array(0), ciphers = [0x1301, 0xc02b], compression = [0] } = recipe;
  const { extensions = [], rest = new Uint8Array(0) } = recipe;
  const body = Buffer.concat([
    u16(version),
    Buffer.alloc(32, 7),
    Buffer.of(sessionId.length),
    sessionId,
    u16(2 * ciphers.length),
    ...ciphers.map(u16),
    Buffer.of(compression.length, ...compression),
    extensions === null
      ? new Uint8Array(0)
      : sized(Buffer.concat(extensions.map(([type, content]) => Buffer.concat([u16(type), sized(content)])))),
    rest,
  ]);
  return Buffer.concat([Buffer.of(1, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff), body]);
}

/** A host name, or a name of another type. */
export type NameRecipe = string | readonly [type: number, name: string];

/** Content of server_name. */
export function sni(
  ...names: readonly (string | readonly [type: number, name: string])[]
): readonly [number, Uint8Array] {
  const list = names.map((name) => {
    const [type, text] = typeof name === "string" ? [0, name] : name;
    return Buffer.concat([Buffer.of(type), sized(Buffer.from(text, "latin1"))]);
  });
  return [0, sized(Buffer.concat(list))];
}

export function alpn(...names: readonly string[]): readonly [number, Uint8Array] {
  const list = names.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, "latin1")]));
  return [16, sized(Buffer.concat(list))];
}

export function pairs(type: 10 | 13, ...values: readonly number[]): readonly [number, Uint8Array] {
  return [type, sized(Buffer.concat(values.map(u16)))];
}

export function versions(...values: readonly number[]): readonly [number, Uint8Array] {
  return [43, Buffer.concat([Buffer.of(2 * values.length), ...values.map(u16)])];
}

/** The message in records with payloads of at most `size` bytes. */
export function recordsOf(message: Uint8Array, size: number): Uint8Array {
  const records: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += size) {
    const payload = message.subarray(at, at + size);
    records.push(Buffer.of(22, 3, 1), u16(payload.length), payload);
  }
  return Buffer.concat(records);
}

export function u16(value: number): Uint8Array {
  return Buffer.of(value >> 8, value & 0xff);
}

/** Content with its length in two bytes before it. */
export function sized(content: Uint8Array): Uint8Array {
  return Buffer.concat([u16(content.length), content]);
}
