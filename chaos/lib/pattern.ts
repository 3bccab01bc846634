// Bytes that are known at every offset, so that a lost, doubled or moved byte shows. The period is a prime, not a size
// that any buffer has.

const PERIOD = 65_521;
const block = Buffer.alloc(2 * PERIOD);
for (let i = 0, value = 1; i < PERIOD; i++) {
  value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
  block[i] = value >>> 16;
  block[i + PERIOD] = block[i] as number;
}

/** At most 65,521 bytes of the pattern from `offset` on. */
export function pattern(offset: number, length: number): Buffer {
  const at = offset % PERIOD;
  return block.subarray(at, at + Math.min(length, PERIOD));
}

/** Whether `bytes` are what the pattern has at `offset`. */
export function isPattern(bytes: Buffer, offset: number): boolean {
  for (let at = 0; at < bytes.length; at += PERIOD) {
    const part = bytes.subarray(at, at + PERIOD);
    if (!part.equals(pattern(offset + at, part.length))) return false;
  }
  return true;
}
