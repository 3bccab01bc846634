// Byte classes of the HTTP grammar as lookup tables, one load per byte. RFC 9110 5.6.2 (token), 5.5 (field content),
// RFC 9112 3.2 (request target), RFC 3986 3.2.2 (host).

/** 1 for the bytes of a token: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2). */
export const TOKEN = table((c) => isAlphanumeric(c) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(c)));

/** 1 for the bytes of a field value and of a reason phrase: HTAB, SP, visible ASCII, 0x80 to 0xff (RFC 9110 5.5). */
export const FIELD_CONTENT = table((c) => c === 0x09 || (c >= 0x20 && c !== 0x7f));

/** 1 for the bytes of a request target's query: visible ASCII apart from `#`. */
export const QUERY = table((c) => c > 0x20 && c < 0x7f && c !== 0x23);

/**
 * Not 0 for the bytes of a target before its query: as QUERY without `?` and `\\` (some servers take that for `/`).
 * TARGET_MARKED for `.` and `%`: without them a path holds no dot segment and nothing encoded.
 */
export const TARGET = table((c) => QUERY[c] === 1 && c !== 0x3f && c !== 0x5c);
export const TARGET_MARKED = 2;
TARGET[0x2e] = TARGET_MARKED;
TARGET[0x25] = TARGET_MARKED;

/** 1 for the bytes of a label of a host name as this proxy routes it: letters, digits, `-`, `_` (decisions 16). */
export const HOST_LABEL = table((c) => isAlphanumeric(c) || c === 0x2d || c === 0x5f);

/** Value of a hexadecimal digit, 255 for anything else. */
export const HEX_VALUE = hexTable();

/** Bytes with names. */
export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

/** A method that Node documents for Buffer subclasses only; it skips the encoding lookup of toString(). */
interface Slices {
  latin1Slice(start: number, end: number): string;
}

class Sliced {
  bytes: Uint8Array = new Uint8Array(0);
  slices: Slices = slicesOf(this.bytes);
}

const sliced = new Sliced();

/**
 * The text of bytes [start, end), a character each. One flat string: joined characters would be flattened when they are
 * read, at ten times the price.
 */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  if (bytes !== sliced.bytes) {
    sliced.bytes = bytes;
    sliced.slices = slicesOf(bytes);
  }
  return sliced.slices.latin1Slice(start, end);
}

function slicesOf(bytes: Uint8Array): Slices {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as Slices;
}

/** The ASCII bytes of a text, for constants made when a module loads. */
export function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The first four characters of a text as a little-endian word, to compare with or store through a DataView. */
export function littleEndianWord(text: string): number {
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16) | (text.charCodeAt(3) << 24);
}

class Viewed {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
}

// A constant, for compiled code has to check a module's `let` for being initialised each time.
const viewed = new Viewed();

/** Word access to `bytes`. Only the last array's view is kept: in a worker that is always the arena's. */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== viewed.bytes) {
    viewed.bytes = bytes;
    viewed.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return viewed.view;
}

function table(member: (c: number) => boolean): Uint8Array {
  const classes = new Uint8Array(256);
  for (let c = 0; c < 256; c++) classes[c] = member(c) ? 1 : 0;
  return classes;
}

function hexTable(): Uint8Array {
  const values = new Uint8Array(256).fill(255);
  for (let i = 0; i < 10; i++) values[0x30 + i] = i;
  for (let i = 0; i < 6; i++) {
    values[0x41 + i] = 10 + i;
    values[0x61 + i] = 10 + i;
  }
  return values;
}

function isAlphanumeric(c: number): boolean {
  return (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);
}
