// CRC32C (RFC 3720 B.4), the checksum of a binary PROXY protocol header (2.2.3). One table, a byte at a time: headers are
// short and one comes per connection.

/** Reflected polynomial 0x1edc6f41. */
const POLYNOMIAL = 0x82f63b78 | 0;
const TABLE = makeTable();

/** The checksum of [from, to) as a signed number, with the four bytes at `hole` taken as zeros. */
export function crc32c(bytes: Uint8Array, from: number, to: number, hole: number): number {
  let crc = -1;
  for (let i = from; i < to; i++) {
    const byte = i >= hole && i < hole + 4 ? 0 : bytes[i];
    crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  }
  return ~crc;
}

function makeTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? POLYNOMIAL ^ (crc >>> 1) : crc >>> 1;
    table[byte] = crc;
  }
  return table;
}
